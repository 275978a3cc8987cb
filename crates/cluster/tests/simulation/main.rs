//! The simulation: the product's own rounds on a cluster in memory, with processes that die, errors
//! and edits at any moment. `SIMULATION_SEED=n` runs one schedule again.

#![expect(clippy::unwrap_used, reason = "a test ends where something fails")]

mod controllers;
mod faults;
mod fields;
mod invariants;
mod platform;
mod prng;
mod releases;
mod schedules;
mod server;
mod store;
mod undisturbed;
mod world;
