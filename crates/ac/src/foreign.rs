//! Text of foreign origin: what other programs and people wrote into the objects we show.
//!
//! Everything read from an API server passes here once, so that nothing behind has to think of it.

use crate::failure::Failure;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

/// One line without control characters; nothing is cut.
#[must_use]
pub(crate) fn plain(text: &str) -> String {
    api::text::line(text, usize::MAX)
}

/// The object with every string made one plain line and every null field left out.
///
/// # Errors
/// The object has a word or a shape that this version does not know.
pub(crate) fn cleaned<K: DeserializeOwned>(object: &impl Serialize) -> Result<K, Failure> {
    let mut value = serde_json::to_value(object).map_err(Failure::Malformed)?;
    clean(&mut value);
    serde_json::from_value(value).map_err(Failure::Malformed)
}

fn clean(value: &mut Value) {
    match value {
        Value::String(text) => *text = plain(text),
        Value::Array(items) => items.iter_mut().for_each(clean),
        Value::Object(fields) => {
            fields.retain(|_, field| !field.is_null());
            fields.values_mut().for_each(clean);
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}
