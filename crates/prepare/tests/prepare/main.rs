//! `upgrade.sh` from outside: exit codes and both outputs, on real API servers and registries.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod deploying;
mod packages;
mod preflighting;
mod process;
mod stage;
mod syncing;
