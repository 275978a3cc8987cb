//! Decides nothing itself: the part of the project's own commands that tests build on.

pub mod package;
