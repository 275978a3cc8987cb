//! `upgrade.sh` from outside: exit codes and both outputs, on real API servers and registries.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod built;
mod canaries;
mod deploying;
mod full;
mod held;
mod killed;
mod link;
mod packages;
mod plugins;
mod preflighting;
mod process;
mod readonly;
mod refusing;
mod stage;
mod syncing;
mod trusting;
