//! Packages and registries, from the outside.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on must end")]

mod build;
mod chart;
mod content;
#[path = "../corpus/corpus.rs"]
mod corpus;
mod cut;
mod evil;
mod fixture;
mod fuzzed;
mod hostile;
mod package;
mod plugin;
mod refused;
mod resume;
mod server;
mod signed;
mod slow;
mod sync;
mod uploads;
