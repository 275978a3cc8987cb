//! Which settings break the form of a plugin: each field has a path, and descriptors that say what
//! kind of value stands there. Descriptors that are not known say nothing.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::setting;
use crate::objects::Descriptor;

/// Begins every descriptor that is looked at.
const PREFIX: &str = "urn:alm:descriptor:com.tectonic.ui:";
/// Begins a choice that a field offers.
const SELECT: &str = "select:";
/// Most descriptors of one form.
const DESCRIPTOR_LIMIT: usize = 1024;
/// Longest value that is shown, in bytes.
const SHOWN: usize = 64;

/// What the descriptors of one path say together.
#[derive(Debug, Default)]
struct Field<'a> {
    kinds: BTreeSet<Kind>,
    choices: Vec<&'a str>,
    required: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Number,
    PodCount,
    Bool,
    Text,
    Password,
    Object,
    List,
}

/// What is wrong with settings, the defaults among them: each problem one sentence with the path,
/// what is expected there and what was given. The value of a password is never told.
#[must_use]
pub fn check(descriptors: &[Descriptor], config: &Map<String, Value>) -> Vec<String> {
    if descriptors.len() > DESCRIPTOR_LIMIT {
        return vec![format!("The form has more than {DESCRIPTOR_LIMIT} fields.")];
    }
    let mut fields: BTreeMap<&str, Field> = BTreeMap::new();
    for descriptor in descriptors {
        let field = fields.entry(&descriptor.path).or_default();
        descriptor.x_descriptors.iter().for_each(|text| field.take(text));
    }
    fields.iter().flat_map(|(path, field)| field.problems(path, setting(config, path))).collect()
}

/// The values that a field offers to choose from: both of a switch, each of a choice; none where
/// anything may be written.
#[must_use]
pub fn choices(descriptor: &Descriptor) -> Vec<Value> {
    let mut field = Field::default();
    descriptor.x_descriptors.iter().for_each(|text| field.take(text));
    let switch = [false, true].map(Value::Bool);
    let switch = switch.into_iter().filter(|_| field.kinds.contains(&Kind::Bool));
    switch.chain(field.choices.iter().map(|choice| Value::from(*choice))).collect()
}

impl<'a> Field<'a> {
    fn take(&mut self, text: &'a str) {
        let Some(word) = text.strip_prefix(PREFIX) else { return };
        if let Some(choice) = word.strip_prefix(SELECT) {
            self.choices.push(choice);
            return;
        }
        let kind = match word.split(':').next().unwrap_or_default() {
            "number" => Kind::Number,
            "podCount" => Kind::PodCount,
            "booleanSwitch" | "checkbox" => Kind::Bool,
            "text" | "textarea" => Kind::Text,
            "password" => Kind::Password,
            "resourceRequirements" => Kind::Object,
            "arrayFieldGroup" => Kind::List,
            _ => {
                self.required |= word == "required" || word.ends_with(":required");
                return;
            }
        };
        self.kinds.insert(kind);
    }

    fn problems(&self, path: &str, value: Option<&Value>) -> Vec<String> {
        let path = crate::text::line(path, SHOWN);
        let Some(value) = value else {
            return self.required.then(|| absent(&path)).into_iter().collect();
        };
        if self.required && is_empty(value) {
            return vec![absent(&path)];
        }
        let wrong = self.kinds.iter().filter(|kind| !kind.fits(value));
        let wrong = wrong.map(|kind| kind.expected().to_owned());
        let chosen = self.choices.is_empty() || self.choices.iter().any(|c| is_text(value, c));
        let choices = || format!("one of {}", crate::text::line(&self.choices.join(", "), 256));
        let given = self.given(value);
        wrong
            .chain((!chosen).then(choices))
            .map(|expected| format!("{path} must be {expected}, but is {given}."))
            .collect()
    }

    /// What was given, for people.
    fn given(&self, value: &Value) -> String {
        let kind = match value {
            Value::Null => "nothing",
            Value::Bool(_) => "true or false",
            Value::Number(_) => "a number",
            Value::String(_) => "a text",
            Value::Array(_) => "a list",
            Value::Object(_) => "an object",
        };
        match value {
            // What is in them may be a password too.
            Value::Array(_) | Value::Object(_) | Value::Null => kind.to_owned(),
            _ if self.kinds.contains(&Kind::Password) => kind.to_owned(),
            Value::String(text) => format!("the text '{}'", crate::text::line(text, SHOWN)),
            Value::Bool(_) | Value::Number(_) => value.to_string(),
        }
    }
}

impl Kind {
    fn fits(self, value: &Value) -> bool {
        match self {
            Self::Number => value.is_number(),
            Self::PodCount => value.as_u64().is_some_and(|n| i32::try_from(n).is_ok()),
            Self::Bool => value.is_boolean(),
            Self::Text | Self::Password => value.is_string(),
            Self::Object => value.is_object(),
            Self::List => value.is_array(),
        }
    }

    const fn expected(self) -> &'static str {
        match self {
            Self::Number => "a number",
            Self::PodCount => "a whole number from 0 on",
            Self::Bool => "true or false",
            Self::Text | Self::Password => "a text",
            Self::Object => "an object",
            Self::List => "a list",
        }
    }
}

fn absent(path: &str) -> String {
    format!("{path} is required, but is empty.")
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.trim().is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

/// Whether a scalar is written as a text: a form offers `3` for the number 3.
fn is_text(value: &Value, text: &str) -> bool {
    match value {
        Value::String(own) => own == text,
        Value::Bool(own) => own.to_string() == text,
        Value::Number(own) => own.to_string() == text,
        Value::Null | Value::Array(_) | Value::Object(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn field(path: &str, words: &[&str]) -> Descriptor {
        let x_descriptors = words.iter().map(|word| format!("{PREFIX}{word}")).collect();
        Descriptor { path: path.to_owned(), x_descriptors, ..Descriptor::default() }
    }

    fn checked(field_of: Descriptor, config: &Value) -> Vec<String> {
        check(&[field_of], config.as_object().unwrap())
    }

    #[test]
    fn every_kind_has_its_values() {
        for (word, good, bad, expected) in [
            ("number", json!(1.5), json!("1"), "a number, but is the text '1'"),
            ("podCount", json!(0), json!(-1), "a whole number from 0 on, but is -1"),
            ("podCount", json!(3), json!(1.5), "a whole number from 0 on, but is 1.5"),
            ("booleanSwitch", json!(true), json!("true"), "true or false, but is the text 'true'"),
            ("checkbox", json!(false), json!(0), "true or false, but is 0"),
            ("text", json!(""), json!(5), "a text, but is 5"),
            ("textarea", json!("a\nb"), json!(["a"]), "a text, but is a list"),
            ("password", json!("x"), json!(12345), "a text, but is a number"),
            ("resourceRequirements", json!({}), json!("1Gi"), "an object, but is the text '1Gi'"),
            ("arrayFieldGroup:items", json!([]), json!({}), "a list, but is an object"),
        ] {
            let config = |value: Value| json!({ "a": { "b": value } });
            assert!(checked(field("a.b", &[word]), &config(good)).is_empty(), "{word}");
            let told = checked(field("a.b", &[word]), &config(bad));
            assert_eq!(told, [format!("a.b must be {expected}.")], "{word}");
            assert!(checked(field("a.b", &[word]), &json!({ "a": 1 })).is_empty(), "{word}");
        }
    }

    #[test]
    fn a_choice_is_one_of_those_that_are_offered() {
        let form = || field("theme", &["select:light", "select:dark", "select:3"]);
        for good in [json!("dark"), json!(3)] {
            assert!(checked(form(), &json!({ "theme": good })).is_empty());
        }
        let told = checked(form(), &json!({ "theme": "da\u{1b}rk blue" }));
        assert_eq!(told, ["theme must be one of light, dark, 3, but is the text 'dark blue'."]);
    }

    #[test]
    fn what_is_required_is_there_and_not_empty() {
        for word in ["required", "validation:required"] {
            let told = |config: Value| checked(field("a", &["text", word]), &config);
            for empty in [json!({}), json!({ "a": null }), json!({ "a": " " })] {
                assert_eq!(told(empty), ["a is required, but is empty."]);
            }
            assert!(told(json!({ "a": "x" })).is_empty());
        }
        let zero = checked(field("a", &["number", "required"]), &json!({ "a": 0 }));
        assert!(zero.is_empty());
    }

    #[test]
    fn a_password_is_never_told() {
        let fields = [field("p", &["select:a", "number"]), field("p", &["password"])];
        let told = check(&fields, json!({ "p": "s3cret" }).as_object().unwrap()).join(" ");
        assert!(told.contains("but is a text") && !told.contains("s3cret"), "{told}");
    }

    #[test]
    fn what_is_not_known_says_nothing() {
        let mut form = field("a", &["hidden", "fieldGroup:x", "expression:required:x"]);
        form.x_descriptors.push("urn:other:number".to_owned());
        assert!(checked(form, &json!({ "a": {} })).is_empty());
    }
}
