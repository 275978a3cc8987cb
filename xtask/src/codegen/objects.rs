//! Decides how the fields of our objects are shown in the reference: what the CRDs say of them.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition as Crd, JSONSchemaProps as Schema, JSONSchemaPropsOrArray,
};

use super::Files;
use super::markdown::{code, page, table};

const INTRODUCTION: &str = "\
The objects that this product brings, with their fields.
`kubectl explain` says the same of each field.
";

/// A closed set with more words is not repeated here: it has a page of its own.
const WORDS_SHOWN: usize = 6;

/// One page for all objects of our own.
pub(super) fn generate(files: &mut Files) {
    let mut text = INTRODUCTION.to_owned();
    for crd in api::crds::own() {
        text.push_str(&object(&crd));
    }
    files.insert("docs/reference/objects.md".to_owned(), page("Objects", &text));
}

fn object(crd: &Crd) -> String {
    let names = &crd.spec.names;
    let mut text = format!("\n## {}\n\n", names.kind);
    for version in &crd.spec.versions {
        let schema = version.schema.as_ref().and_then(|schema| schema.open_api_v3_schema.as_ref());
        if let Some(said) = schema.and_then(|schema| schema.description.as_ref()) {
            text.push_str(&format!("{said}\n\n"));
        }
        let short = names.short_names.iter().flatten().map(|name| code(name));
        let called: Vec<String> = std::iter::once(code(&names.plural)).chain(short).collect();
        text.push_str(&format!(
            "{}, {}, called {}.\n\n",
            code(&format!("{}/{}", crd.spec.group, version.name)),
            crd.spec.scope.to_lowercase(),
            called.join(" or ")
        ));
        let mut rows = Vec::new();
        for part in ["spec", "status", "data"] {
            if let Some(schema) = schema.and_then(|s| s.properties.as_ref()?.get(part)) {
                fields(part, schema, &mut rows);
            }
        }
        text.push_str(&table(&["Field", "Type", "Meaning"], &rows));
        let columns = version.additional_printer_columns.iter().flatten();
        let columns: Vec<Vec<String>> = columns
            .map(|column| {
                let wide =
                    if column.priority.unwrap_or_default() > 0 { "with `-o wide`" } else { "" };
                vec![column.name.to_uppercase(), code(&column.json_path), wide.to_owned()]
            })
            .collect();
        if !columns.is_empty() {
            text.push_str(&format!("\n`kubectl get {}` shows:\n\n", names.plural));
            text.push_str(&table(&["Column", "From", "Shown"], &columns));
        }
    }
    text
}

fn fields(path: &str, schema: &Schema, rows: &mut Vec<Vec<String>>) {
    let (path, inner) = match &schema.items {
        Some(JSONSchemaPropsOrArray::Schema(item)) => (format!("{path}[]"), item.as_ref()),
        _ => (path.to_owned(), schema),
    };
    let said = schema.description.clone().or_else(|| inner.description.clone());
    rows.push(vec![code(&path), kind(schema, inner), said.unwrap_or_default()]);
    for (name, field) in inner.properties.iter().flatten() {
        fields(&format!("{path}.{name}"), field, rows);
    }
}

fn kind(schema: &Schema, inner: &Schema) -> String {
    let one = |schema: &Schema| match (&schema.type_, &schema.format, &schema.enum_) {
        (_, _, Some(words)) if words.len() > WORDS_SHOWN => "word of the reference".to_owned(),
        (_, _, Some(words)) => {
            let words: Vec<String> = words.iter().map(|word| spelling(&word.0)).collect();
            words.join(", ")
        }
        (_, Some(format), _) if format == "date-time" => "time".to_owned(),
        (Some(kind), _, _) => kind.clone(),
        (None, _, _) => "any".to_owned(),
    };
    if schema.items.is_some() { format!("list of {}", one(inner)) } else { one(schema) }
}

fn spelling(word: &serde_json::Value) -> String {
    word.as_str().map_or_else(|| word.to_string(), str::to_owned)
}
