//! The tests on real servers, each surface in a file of its own. They need root, and say so.

mod late_image;
mod seed_commands;
mod t2_checks;
mod t2_checks_once;
mod t2_entries;
mod t2_errors;
mod t2_invariants;
mod t2_leader;
mod t2_stalls;
mod t2_unknown;
mod upgrade_global;

/// Held by each test that brings up clusters with nodes: they share addresses.
static REAL_CLUSTERS: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
