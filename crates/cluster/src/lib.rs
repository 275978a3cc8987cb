//! The hands of the product: [`observe`] turns what API servers say into a Snapshot, [`execute`]
//! makes one idempotent attempt at a Step.
//!
//! Nothing is decided here that the planner could decide, and nothing is pulled from a registry:
//! the contents of a release are handed in.

pub mod call;
pub mod execute;
pub mod live;
pub mod observe;
pub mod render;
pub mod server;

pub use call::CallError;
pub use live::Live;
pub use server::{ApiServer, ApplyOptions, ListQuery};
