//! By which versions a plugin is upgraded: one rule for what is asked for by itself and for what
//! moves with its cluster.

use api::VersionRange;
use api::component_version::{order, parse};
use std::cmp::Ordering;

/// What a published version says of the way to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Published<'a> {
    /// Itself.
    pub(crate) version: &'a str,
    /// From which versions it may be upgraded to; empty: from any.
    pub(crate) from: &'a str,
    /// Whether no upgrade may leave it out.
    pub(crate) must: bool,
}

/// Why a version cannot be upgraded to at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detour<'a> {
    /// It is upgraded to from these versions only.
    From(&'a str),
    /// This version comes first.
    Must(&'a str),
}

/// Why the way from the installed version to another is not open; None: it is.
pub(crate) fn detour<'a>(
    all: impl IntoIterator<Item = Published<'a>>,
    installed: &str,
    to: Published<'a>,
) -> Option<Detour<'a>> {
    let contains = |range: VersionRange| parse(installed).is_some_and(|at| range.contains(&at));
    if !to.from.is_empty() && !to.from.parse().is_ok_and(contains) {
        return Some(Detour::From(to.from));
    }
    let between = all.into_iter().filter(|one| {
        one.must
            && order(one.version, installed) == Some(Ordering::Greater)
            && order(one.version, to.version) == Some(Ordering::Less)
    });
    let lowest = |a: &Published<'_>, b: &Published<'_>| {
        order(a.version, b.version).unwrap_or(Ordering::Equal)
    };
    between.min_by(lowest).map(|one| Detour::Must(one.version))
}
