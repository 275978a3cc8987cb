//! The tests on real servers, each surface in a file of its own. They need root, and say so.

mod t2_entries;
mod upgrade_global;
