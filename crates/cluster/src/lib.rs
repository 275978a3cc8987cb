//! The hands of the product: [`observe`] turns what API servers say into a Snapshot, [`execute`]
//! makes one idempotent attempt at a Step, [`round`] puts the two and the planner in their order.
//!
//! Nothing is decided here that the planner could decide, and nothing is pulled from a registry:
//! the contents of a release are handed in.

pub mod admin;
pub mod call;
pub mod catalogue;
pub mod events;
pub mod execute;
mod kept;
pub mod kubeconfig;
pub mod live;
pub mod modules_round;
pub mod observe;
pub mod platform;
pub mod render;
pub mod round;
pub mod server;
mod status_writer;

pub use call::CallError;
pub use events::Announcer;
pub use kept::Kept;
pub use live::Live;
pub use server::{ApiServer, ApplyOptions, ListQuery};
