//! The form in which a Secret holds its entries. Knows nothing of what they are.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// A text as `data` of a Secret holds it.
#[must_use]
pub fn encode(text: &str) -> String {
    STANDARD.encode(text)
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_text_is_held_as_base64() {
        assert_eq!(super::encode("new"), "bmV3");
    }
}
