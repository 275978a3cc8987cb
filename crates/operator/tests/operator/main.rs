//! The operator against a small API server on loopback: what it says of its health, and how it
//! deals with ProductManifests that cannot be read, written or resolved.

#![expect(clippy::unwrap_used, reason = "a test ends where something fails")]

mod health;
mod manifests;
mod server;
