//! Real clusters on one machine, for the demo, the tests and the benchmarks; never shipped.
//!
//! Decides how they come up, where their state is and how they go away without a trace. The
//! product must not know this crate: a cluster of one's own works as well.

pub mod certificates;
pub mod companion;
pub mod core;
pub mod image;
pub mod lifecycle;
pub mod narration;
pub mod network;
mod node;
pub mod plane;
pub mod platform;
pub mod prerequisites;
pub mod process;
pub mod registry;
pub mod toolchain;

pub use lifecycle::{Options, Sandbox, default_cache};
pub use narration::Narrator;
pub use plane::ControlPlane;
pub use registry::TestRegistry;
