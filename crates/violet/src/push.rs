//! The parts of a push: where the bytes go, and what is written into the catalogue.

pub(crate) mod catalogue;
pub(crate) mod destination;
mod differences;
mod rights;
