//! The job that the documents describe, on real clusters: run by the tests, shown by the demo.
//!
//! Commands stand here as users type them and run in bash; nothing of the product is called from
//! inside.

pub mod audit;
pub mod job;
pub mod packages;
pub mod prober;
pub mod shell;
pub mod site;
pub mod t2;
