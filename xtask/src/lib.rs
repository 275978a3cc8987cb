//! Decides nothing itself: the part of the project's own commands that tests build on.

pub mod cargo;
pub mod figures;
pub mod package;
pub mod plugin_package;
pub mod rights;
