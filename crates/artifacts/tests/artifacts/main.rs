//! Packages and registries, from the outside.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on must end")]

mod build;
mod content;
mod cut;
mod fixture;
mod hostile;
mod package;
mod server;
mod sync;
