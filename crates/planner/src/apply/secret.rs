//! Secrets as the API server keeps them: what a chart writes as plain text stands in `data`.
//! Only so can what is wanted be held against what is there, and a dropped entry is deleted.

use api::secret_data;
use serde_json::{Map, Value};

/// Writes the texts of `stringData` into `data`, where they win, as with the API server.
pub(super) fn fold_texts(object: &mut Value) {
    let is = |key: &str, value: &str| object.get(key).and_then(Value::as_str) == Some(value);
    let is_secret = is("apiVersion", "v1") && is("kind", "Secret");
    let Some(object) = object.as_object_mut().filter(|_| is_secret) else { return };
    let Some(Value::Object(texts)) = object.get("stringData") else { return };
    // What is no text is refused by the API server, with its own words.
    let coded: Option<Map<String, Value>> = texts
        .iter()
        .map(|(key, text)| Some((key.clone(), secret_data::encode(text.as_str()?).into())))
        .collect();
    let Some(coded) = coded else { return };
    let data = object.entry("data").or_insert_with(|| Value::Object(Map::new()));
    if data.is_null() {
        *data = Value::Object(Map::new());
    }
    if let Some(data) = data.as_object_mut() {
        data.extend(coded);
        object.remove("stringData");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::apply::{normalise, prepare};
    use serde_json::json;
    use std::collections::BTreeMap;

    #[test]
    fn a_secret_with_plain_texts_is_not_sent_again_and_again() {
        let mut all = [json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": { "name": "a" },
            "data": { "old": "b2xk", "both": "b2xk" },
            "stringData": { "both": "new" },
        })];
        let scopes = BTreeMap::from([((String::new(), "Secret".to_owned()), true)]);
        normalise(&mut all, "n", &scopes).unwrap();
        let data = json!({ "old": "b2xk", "both": "bmV3" });
        assert_eq!((&all[0]["data"], all[0].get("stringData")), (&data, None));
        let prepared = prepare(all.to_vec(), "a").unwrap();
        let live = BTreeMap::from([(prepared[0].reference.clone(), prepared[0].body.clone())]);
        assert_eq!(crate::apply::drift(&prepared, &live), Vec::<String>::new());
        let unusual = json!({ "apiVersion": "v1", "kind": "Secret", "stringData": { "a": 1 } });
        let mut kept = unusual.clone();
        fold_texts(&mut kept);
        assert_eq!(kept, unusual);
    }

    #[test]
    fn a_patch_may_add_plain_texts() {
        let object = json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": { "name": "a", "namespace": "n" },
            "stringData": { "a": "x" },
        });
        assert_eq!(prepare(vec![object], "a").unwrap()[0].body["data"], json!({ "a": "eA==" }));
    }
}
