//! Everything that is said of the planner without a cluster: the checks, the scenarios, the
//! invariants, and what holds for any input.

#![expect(clippy::unwrap_used, reason = "a test ends where something fails")]

mod checks;
mod in_hand;
mod invariants;
mod module_rules;
mod module_upkeep;
mod modules;
mod modules_together;
mod plugins;
mod properties;
mod recorded;
mod regressions;
mod removal;
mod scenarios;
mod stalled;
mod world;
