//! The tests on real servers, each surface in a file of its own. They need root, and say so.

mod late_image;
mod t2_checks;
mod t2_checks_once;
mod t2_entries;
mod t2_unknown;
mod upgrade_global;
