//! Decides what `plugin.yaml` says: a ModulePlugin and a ModuleConfig that agree with each other
//! and carry nothing that an administrator would not expect to apply. Whether what they say makes
//! sense is not decided here.

use api::names::{LIFECYCLE_LABEL, MODULE_NAME_LABEL, is_label, module_config};
use api::{Lifecycle, ModuleConfig, ModuleConfigSpec, ModulePlugin, ServedKind, served};
use serde::Deserialize as _;
use serde_json::{Map, Value};

/// The objects of a plugin package.
#[derive(Debug, Clone)]
pub(super) struct Objects {
    /// The plugin.
    pub(super) name: String,
    /// As both objects say.
    pub(super) lifecycle: Lifecycle,
    /// What the ModuleConfig says.
    pub(super) config: ModuleConfigSpec,
    /// As it is applied.
    pub(super) module_plugin: Value,
    /// As it is applied.
    pub(super) module_config: Value,
}

impl Objects {
    /// Reads `plugin.yaml`, whose length was checked.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, String> {
        let [first, second] = documents::<2>(bytes)?;
        let (of_plugin, of_config) = (served::<ModulePlugin>(false), served::<ModuleConfig>(false));
        let (module_plugin, module_config) = match is_of(&first, &of_config) {
            true => (second, first),
            false => (first, second),
        };
        check_object(&module_plugin, &of_plugin, "spec")?;
        check_object(&module_config, &of_config, "spec")?;
        let name = text(&module_plugin, "/metadata/name").to_owned();
        if !is_label(&name) {
            return Err(format!("'{}' is no name of a plugin", api::text::line(&name, 64)));
        }
        let config = ModuleConfigSpec::deserialize(&module_config["spec"]).map_err(|error| {
            let said = api::text::line(&error.to_string(), 256);
            format!("the spec of its ModuleConfig cannot be read: {said}")
        })?;
        let lifecycle = lifecycle(&module_plugin)?;
        let objects = Self { name, lifecycle, config, module_plugin, module_config };
        objects.check_agreement()?;
        Ok(objects)
    }

    fn check_agreement(&self) -> Result<(), String> {
        let (name, version) = (&self.name, &self.config.version);
        let expect = |what: &str, found: &str, expected: &str| match found == expected {
            true => Ok(()),
            false => Err(format!("{what} is '{}', not '{expected}'", api::text::line(found, 128))),
        };
        let config = &self.module_config;
        let label = config["metadata"]["labels"][MODULE_NAME_LABEL].as_str().unwrap_or_default();
        expect(&format!("the label {MODULE_NAME_LABEL} of its ModuleConfig"), label, name)?;
        let expected = module_config(name, version);
        expect("the name of its ModuleConfig", text(config, "/metadata/name"), &expected)?;
        if !self.config.name.is_empty() {
            expect("spec.name of its ModuleConfig", &self.config.name, name)?;
        }
        for (path, expected) in [("/spec/name", name), ("/spec/version", version)] {
            let found =
                self.module_plugin.pointer(path).map_or(Some(expected.as_str()), Value::as_str);
            let what = format!("{} of its ModulePlugin", path[1..].replace('/', "."));
            expect(&what, found.unwrap_or("no text"), expected)?;
        }
        let (ours, other) = (self.lifecycle, lifecycle(config)?);
        match ours == other {
            true => Ok(()),
            false => Err(format!(
                "its ModulePlugin is {} and its ModuleConfig {} by the label {LIFECYCLE_LABEL}",
                ours.as_str(),
                other.as_str()
            )),
        }
    }
}

/// The documents of a YAML stream, exactly so many; each is an object.
pub(super) fn documents<const N: usize>(bytes: &[u8]) -> Result<[Value; N], String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned())?;
    let read: Vec<Value> = serde_saphyr::from_multiple(text)
        .map_err(|error| format!("it is no YAML: {}", api::text::line(&error.to_string(), 256)))?;
    let objects: Vec<Value> = read.into_iter().filter(|object| !object.is_null()).collect();
    <[Value; N]>::try_from(objects)
        .map_err(|objects| format!("it holds {} objects instead of {N}", objects.len()))
}

/// Whether an object is of a kind.
pub(super) fn is_of(object: &Value, kind: &ServedKind) -> bool {
    text(object, "/apiVersion") == kind.api_version && text(object, "/kind") == kind.kind
}

/// Checks that an object has no other fields than its own and a plain head: a name, labels and
/// annotations. A finalizer or an owner would outlive or remove it unseen.
pub(super) fn check_object(object: &Value, kind: &ServedKind, own: &str) -> Result<(), String> {
    let shown = &kind.kind;
    if !is_of(object, kind) {
        return Err(format!("it holds no {shown} of {}", kind.api_version));
    }
    let fields = |value: &Value, known: &[&str], at: &str| -> Result<(), String> {
        let none = Map::new();
        let fields = value.as_object().unwrap_or(&none);
        match fields.keys().find(|key| !known.contains(&key.as_str())) {
            None => Ok(()),
            Some(key) => {
                let key = api::text::line(key, 64);
                Err(format!("its {shown} has {at}{key}, which no package may set"))
            }
        }
    };
    let mut known = vec!["apiVersion", "kind", "metadata"];
    known.extend(own.split(' '));
    fields(object, &known, "")?;
    fields(&object["metadata"], &["name", "labels", "annotations"], "metadata.")?;
    for key in ["labels", "annotations"] {
        let is_texts = match &object["metadata"][key] {
            Value::Null => true,
            Value::Object(all) => all.values().all(Value::is_string),
            Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => false,
        };
        if !is_texts {
            return Err(format!("metadata.{key} of its {shown} are not texts by name"));
        }
    }
    Ok(())
}

/// What the label of an object says; without it the plugin moves with no cluster.
fn lifecycle(object: &Value) -> Result<Lifecycle, String> {
    let label = &object["metadata"]["labels"][LIFECYCLE_LABEL];
    let known = [Lifecycle::Core, Lifecycle::Aligned, Lifecycle::Agnostic];
    match label.as_str() {
        None => Ok(Lifecycle::Agnostic),
        Some(word) => known.into_iter().find(|known| known.as_str() == word).ok_or_else(|| {
            format!("'{}' is no lifecycle: Core, Aligned or none", api::text::line(word, 64))
        }),
    }
}

/// A text in an object; empty where there is none.
pub(super) fn text<'a>(object: &'a Value, path: &str) -> &'a str {
    object.pointer(path).and_then(Value::as_str).unwrap_or_default()
}
