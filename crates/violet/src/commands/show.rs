//! `violet show`: what a plugin package holds, read from the package alone.

use crate::arguments::Show;
use crate::environment::Environment;
use crate::failure::Failure;
use crate::package::{name, open};
use crate::printer::Printer;
use api::ModuleConfigSpec;
use api::objects::{Dependency, Descriptor};
use api::text::line;
use artifacts::plugin::{PluginSummary, SummaryArtifact, peek};
use artifacts::progress::bytes;
use serde_json::Value;

/// Longest value that is shown, in bytes.
const SHOWN: usize = 256;
/// Begins a descriptor that says what kind of value a setting has.
const KIND: &str = "urn:alm:descriptor:com.tectonic.ui:";

/// Shows.
pub(super) fn run(
    flags: &Show,
    environment: &Environment,
    printer: &mut Printer<'_>,
) -> Result<(), Failure> {
    let refused = |source| Failure::Package { file: name(&flags.file), source };
    let about = peek(&flags.file).map_err(refused)?;
    let mut text = summary(&about);
    let mut list = |title: &str, lines: Vec<String>| {
        if !lines.is_empty() {
            text.push_str(&format!("{title}\n"));
            lines.iter().for_each(|line| text.push_str(&format!("  {line}\n")));
        }
    };
    list("Charts:", about.charts.iter().map(artifact).collect());
    if flags.all {
        // Rights are shown as they would be given: of a package that is whole.
        let opened = open(&flags.file, &environment.temporary)?;
        list("Images:", about.images.iter().map(artifact).collect());
        list("Settings:", settings(&about.config));
        list("Rights:", opened.package.rights().iter().flat_map(right).collect());
    }
    printer.say(&text)
}

fn summary(about: &PluginSummary) -> String {
    let config = &about.config;
    let description = about.module_plugin.pointer("/spec/description");
    let english = description.and_then(|d| d.get("en").or(Some(d))).and_then(Value::as_str);
    let or = |text: String, none: &str| if text.is_empty() { none.to_owned() } else { text };
    let needs: Vec<String> = config.dependencies.iter().map(dependency).collect();
    let rows = [
        ("Name", line(&about.name, 64)),
        ("Version", line(&about.version, 64)),
        ("Lifecycle", about.lifecycle.as_str().to_owned()),
        ("Description", or(line(english.unwrap_or_default(), SHOWN), "-")),
        ("For", or(api::text::names(&shown(&config.target_cluster_versions)), "any version")),
        ("Needs", or(api::text::names(&needs), "nothing")),
        ("Size", bytes(about.size)),
        ("Signed", if about.is_signed { "yes, not verified here" } else { "no" }.to_owned()),
    ];
    rows.iter().map(|(name, said)| format!("{name:<13}{said}\n")).collect()
}

fn shown(all: &[String]) -> Vec<String> {
    all.iter().map(|text| line(text, 64)).collect()
}

fn dependency(dependency: &Dependency) -> String {
    let name = line(&dependency.module_name, 64);
    match dependency.versions_match.is_empty() {
        true => name,
        false => format!("{name} {}", shown(&dependency.versions_match).join(" or ")),
    }
}

fn artifact(artifact: &SummaryArtifact) -> String {
    let size = artifact.size.map_or_else(|| "-".to_owned(), bytes);
    format!("{}  {size}  {}", line(&artifact.name, SHOWN), artifact.digest)
}

/// `ingress.host (text), default "a.example": Host of the ingress`.
fn settings(config: &ModuleConfigSpec) -> Vec<String> {
    config.deploy_descriptors.iter().map(|field| setting(field, config)).collect()
}

fn setting(field: &Descriptor, config: &ModuleConfigSpec) -> String {
    let kinds = field.x_descriptors.iter().filter_map(|text| text.strip_prefix(KIND));
    let kinds: Vec<String> = kinds.map(|kind| line(kind, 64)).collect();
    let is_secret = kinds.iter().any(|kind| kind == "password");
    let mut steps = field.path.split('.');
    let first = steps.next().and_then(|step| config.config.get(step));
    let default = steps.fold(first, |value, step| value?.get(step));
    let mut text = line(&field.path, 128);
    if !kinds.is_empty() {
        text.push_str(&format!(" ({})", kinds.join(", ")));
    }
    match default {
        Some(_) if is_secret => text.push_str(", has a default"),
        Some(value) => text.push_str(&format!(", default {}", line(&value.to_string(), 64))),
        None => {}
    }
    if !field.display_name.is_empty() {
        text.push_str(&format!(": {}", line(&field.display_name, 128)));
    }
    text
}

/// A right, one line a rule: `ClusterRole podinfo: get, list on pods`.
fn right(object: &Value) -> Vec<String> {
    let text = |path: &str| object.pointer(path).and_then(Value::as_str).unwrap_or_default();
    let title = line(&format!("{} {}", text("/kind"), text("/metadata/name")), 128);
    let rules = object.get("rules").and_then(Value::as_array);
    let Some(rules) = rules else { return vec![title] };
    let words = |rule: &Value, key: &str| {
        let all = rule.get(key).and_then(Value::as_array).into_iter().flatten();
        let all: Vec<&str> = all.filter_map(Value::as_str).collect();
        line(&api::text::names(&all), SHOWN)
    };
    rules
        .iter()
        .map(|rule| format!("{title}: {} on {}", words(rule, "verbs"), words(rule, "resources")))
        .collect()
}
