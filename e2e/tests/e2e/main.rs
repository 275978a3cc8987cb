//! The tests on real servers, each surface in a file of its own. They need root, and say so.

mod documents;
mod fault_foreign;
mod fault_hostile;
mod fault_leader;
mod fault_links;
mod fault_registry;
mod fault_requests;
mod fault_rest;
mod fault_storm;
mod fault_writes;
mod late_image;
mod reproducible;
mod seed_commands;
mod t2_canaries;
mod t2_checks;
mod t2_checks_once;
mod t2_conflicts;
mod t2_entries;
mod t2_errors;
mod t2_invariants;
mod t2_leader;
mod t2_signature;
mod t2_stalls;
mod t2_unknown;
mod t2_workload;
mod upgrade_global;
