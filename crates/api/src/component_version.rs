//! Versions of components and plugins, which need not be those of the platform: `v1.2` is one too.

use crate::Version;
use std::cmp::Ordering;

/// The version that a text names; a leading `v` and missing parts are allowed.
#[must_use]
pub fn parse(text: &str) -> Option<Version> {
    let text = text.strip_prefix('v').unwrap_or(text);
    let missing = 2_usize.saturating_sub(text.matches('.').count());
    format!("{text}{}", ".0".repeat(missing)).parse().ok()
}

/// The order of two versions; None where they cannot be compared.
#[must_use]
pub fn order(a: &str, b: &str) -> Option<Ordering> {
    if a == b {
        return Some(Ordering::Equal);
    }
    Some(parse(a)?.cmp(&parse(b)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_v_and_missing_parts_count_for_nothing() {
        assert_eq!(order("v1.10", "1.9.3"), Some(Ordering::Greater));
        assert_eq!(order("v1.0.0", "1.0"), Some(Ordering::Equal));
        assert_eq!((order("newest", "1.0.0"), parse("newest")), (None, None));
    }
}
