//! The simulation: the product's own rounds on clusters in memory, with processes that die, errors
//! and edits at any moment. `SIMULATION_SEED=n` runs one schedule again, `E2E_SOAK=1` ten thousand.

#![expect(clippy::unwrap_used, reason = "a test ends where something fails")]

mod controllers;
mod edits;
mod faults;
mod fields;
mod fleet;
mod follower;
mod invariants;
mod kinds;
mod leaders;
mod platform;
mod plugin_fleet;
mod plugin_life;
mod plugin_regressions;
mod plugin_upgrade;
mod plugin_watch;
mod plugins;
mod prng;
mod regressions;
mod releases;
mod schedules;
mod scope;
mod server;
mod store;
mod times;
mod undisturbed;
mod world;
