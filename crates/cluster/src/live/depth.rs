//! Reads answers that hold what is nested without end: an API server stores what nobody should
//! have to read, and one such object must not hide all others of its list.

use api::text::TOO_DEEP;
use serde_json::Value;

/// Levels that are read. The parser itself refuses more than 127.
const LEVELS: usize = 120;

/// The value, with [`TOO_DEEP`] in place of whatever lies deeper than [`LEVELS`].
///
/// # Errors
/// When it is not JSON.
pub(super) fn read(bytes: &[u8]) -> Result<Value, serde_json::Error> {
    // Only what cannot be read as it is, is read twice.
    serde_json::from_slice(bytes).or_else(|error| {
        if deepest(bytes) <= LEVELS { Err(error) } else { serde_json::from_slice(&cut(bytes)) }
    })
}

/// Where a walk over JSON stands.
#[derive(Default)]
struct Place {
    level: usize,
    in_text: bool,
    escaped: bool,
}

impl Place {
    fn pass(&mut self, byte: u8) {
        if self.in_text {
            let ends = byte == b'"' && !self.escaped;
            self.escaped = byte == b'\\' && !self.escaped;
            self.in_text = !ends;
            return;
        }
        match byte {
            b'"' => self.in_text = true,
            b'[' | b'{' => self.level += 1,
            b']' | b'}' => self.level = self.level.saturating_sub(1),
            _ => {}
        }
    }
}

fn deepest(bytes: &[u8]) -> usize {
    let mut place = Place::default();
    bytes
        .iter()
        .map(|byte| {
            place.pass(*byte);
            place.level
        })
        .max()
        .unwrap_or_default()
}

fn cut(bytes: &[u8]) -> Vec<u8> {
    let mut place = Place::default();
    let mut kept = Vec::with_capacity(bytes.len());
    for byte in bytes {
        let before = place.level;
        place.pass(*byte);
        if before <= LEVELS && place.level <= LEVELS {
            kept.push(*byte);
        } else if before == LEVELS {
            kept.extend_from_slice(format!("\"{TOO_DEEP}\"").as_bytes());
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn nested(levels: usize) -> String {
        format!("{}1{}", "[".repeat(levels), "]".repeat(levels))
    }

    #[test]
    fn one_object_nested_without_end_does_not_hide_the_others() {
        for levels in [400, 10_000] {
            let list = format!(
                r#"{{"items": [{{"a": {}, "t": "]}}\"["}}, {{"b": {{"c": 1}}}}]}}"#,
                nested(levels)
            );
            let read = read(list.as_bytes()).unwrap();
            assert_eq!(read["items"][1], json!({ "b": { "c": 1 } }));
            assert_eq!(read["items"][0]["t"], "]}\"[");
            assert!(read["items"][0]["a"].to_string().contains(TOO_DEEP));
        }
    }

    #[test]
    fn what_is_no_json_stays_an_error() {
        let deep = nested(400);
        assert!(read(&deep.as_bytes()[..600]).is_err());
        assert!(read(b"{").is_err());
        assert_eq!(read(b"[1]").unwrap(), json!([1]));
    }
}
