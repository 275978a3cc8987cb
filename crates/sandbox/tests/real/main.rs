//! Tests on real processes: clusters in namespaces (they need root), registries, control planes.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod clusters;
mod planes;
mod pushing;
