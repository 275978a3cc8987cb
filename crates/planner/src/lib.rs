//! The mind of the product: what is to be done, and what is to be said, for one cluster.
//!
//! Everything here is a pure function of a [`Snapshot`]: no clock, no IO, no randomness, nothing
//! asynchronous. What happens in the world happens in `cluster`.

pub mod apply;
pub mod health;
pub mod modules;
mod moment;
pub mod offers;
pub mod plan;
pub mod preflight;
pub mod request;
pub mod snapshot;
pub mod stages;
pub mod status;
pub mod target;

pub use plan::{Plan, Situation, Step, plan};
pub use snapshot::{Observed, Snapshot};
pub use status::{Outcome, StepResult, status};
pub use target::{Origin, Target};

pub(crate) use api::time as api_time;
