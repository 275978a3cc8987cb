//! Packages and registries: reads and builds core packages, resolves, verifies and copies OCI
//! artifacts.
//!
//! Everything that comes from a file or from a registry is foreign here: it has a limit before it
//! is parsed and a digest before it is used. This crate has no Kubernetes client and knows no
//! cluster.

mod archive;
mod beneath;
pub mod build;
pub mod content;
pub mod digest;
pub mod layout;
pub mod oci;
pub mod package;
pub mod plugin;
pub mod progress;
pub mod registry;
mod signature;
pub mod sync;
