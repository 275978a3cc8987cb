//! Packages and registries, from the outside.

mod build;
mod content;
mod fixture;
mod package;
