//! Decides which of two versions of a plugin is higher: the order of versions, whether they are
//! written with a `v` or not.

use api::Version;

/// A version that can be compared; None where it cannot.
pub(crate) fn order(version: &str) -> Option<Version> {
    version.strip_prefix('v').unwrap_or(version).parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_v_counts_for_nothing() {
        assert!(order("v1.10.0") > order("1.9.0"));
        assert_eq!((order("v1.0.0"), order("newest")), (order("1.0.0"), None));
    }
}
