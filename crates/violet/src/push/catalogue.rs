//! Publishes a plugin in the catalogue: rights, plugin and version, each applied under our name. A
//! published version never changes, and no plugin shows a lower version than before.

use super::differences::differences;
use super::rights;
use crate::connection::Connection;
use crate::failure::Failure;
use crate::printer::Printer;
use api::ModuleConfigStatus;
use api::Version;
use api::component_version::parse;
use api::names::module_config;
use api::objects::{ModuleConfig, ModulePlugin, object_ref};
use artifacts::plugin::PluginPackage;
use cluster::admin::{self, Change};
use cluster::{ApiServer as _, ApplyOptions, CallError};
use serde_json::Value;
use std::time::{Duration, Instant};

/// How long the operator may take to confirm a version.
const CONFIRMED_LIMIT: Duration = Duration::from_secs(5);
/// Pause between two looks.
const PAUSE: Duration = Duration::from_millis(200);

/// What is to be written, and what is left as it is.
pub(crate) struct Intent {
    objects: Vec<Value>,
    /// Lines on what is left as it is.
    left: Vec<String>,
    config: String,
}

/// Whether anything was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Published {
    /// Something was.
    Now,
    /// All was there already.
    Before,
}

impl Intent {
    /// Compares with what the catalogue has, and asks the API server whether it would take the
    /// rest: what it refuses is not worth sending bytes first. Changes nothing.
    ///
    /// # Errors
    /// When the version is published with another content, or the API server refuses an object.
    pub(crate) async fn of(
        package: &PluginPackage,
        connection: &Connection,
    ) -> Result<Self, Failure> {
        let name = module_config(package.name(), package.version());
        let reference = object_ref::<ModuleConfig>("", &name);
        let published = connection.server.get(&reference).await;
        let published = published.map_err(connection.failed(format!("read {name}")))?;
        let mut intent = Self {
            objects: rights::grown(package.rights(), connection).await?,
            left: Vec::new(),
            config: name.clone(),
        };
        match shown_version(package, connection).await? {
            Some(shown) => intent.left.push(format!(
                "{} {}: left as it is, for it shows {shown}, which is higher",
                kind(package.module_plugin()),
                api::text::line(package.name(), 64)
            )),
            None => intent.objects.push(package.module_plugin().clone()),
        }
        match published {
            None => intent.objects.push(package.module_config().clone()),
            Some(published) => {
                unchanged(package, &published, &name)?;
                intent.left.push(format!("{}: unchanged", title(package.module_config())));
            }
        }
        intent.would_be_taken(connection).await?;
        Ok(intent)
    }

    async fn would_be_taken(&self, connection: &Connection) -> Result<(), Failure> {
        let options = ApplyOptions { force: true, dry_run: true };
        for object in &self.objects {
            match connection.server.apply(object, options).await {
                // A binding names a role that is only about to be written.
                Ok(_) | Err(CallError::NotFound(_)) => {}
                Err(error) => {
                    return Err(connection.failed(format!("apply {}", title(object)))(error));
                }
            }
        }
        Ok(())
    }

    /// Writes what is to be written, and says it.
    ///
    /// # Errors
    /// When the API server refuses an object. Running it again goes on from there.
    pub(crate) async fn apply(
        &self,
        connection: &Connection,
        printer: &mut Printer<'_>,
    ) -> Result<Published, Failure> {
        let mut published = Published::Before;
        for object in &self.objects {
            let change = admin::apply(&connection.server, object).await;
            let change = change.map_err(|(action, error)| connection.failed(action)(error))?;
            let what = match change {
                Change::Created => "created",
                Change::Changed => "changed",
                Change::Unchanged => "unchanged",
            };
            if change != Change::Unchanged {
                published = Published::Now;
            }
            printer.say(&format!("{}: {what}", title(object)))?;
        }
        for line in &self.left {
            printer.say(line)?;
        }
        Ok(published)
    }

    /// Waits until the operator has confirmed the version, and says so; that it has not is a note.
    ///
    /// # Errors
    /// When the version cannot be read.
    pub(crate) async fn confirm(
        &self,
        connection: &Connection,
        printer: &mut Printer<'_>,
    ) -> Result<(), Failure> {
        let reference = object_ref::<ModuleConfig>("", &self.config);
        let shown = api::text::line(&self.config, 128);
        let began = Instant::now();
        let status = loop {
            let read = connection.server.get(&reference).await;
            let live = read.map_err(connection.failed(format!("read {shown}")))?;
            let status = live.and_then(|mut live| live.get_mut("status").map(Value::take));
            let status: ModuleConfigStatus =
                status.and_then(|s| serde_json::from_value(s).ok()).unwrap_or_default();
            if status.ready_for_deploy || began.elapsed() >= CONFIRMED_LIMIT {
                break status;
            }
            tokio::time::sleep(PAUSE).await;
        };
        if status.ready_for_deploy {
            let seconds = began.elapsed().as_secs_f64();
            return printer
                .say(&format!("In the catalogue after {seconds:.1} s: {shown} can be installed."));
        }
        let why = match status.message.as_str() {
            "" => "the operator has not confirmed it yet".to_owned(),
            message => api::text::message(message),
        };
        let kind = <ModuleConfig as kube::Resource>::plural(&());
        printer.note(&format!("note: {shown} is published, but cannot be installed so far: {why}"));
        printer.note(&format!("hint: look again: kubectl get {kind} {shown} -o yaml"));
        Ok(())
    }
}

/// The version that the catalogue shows of the plugin, where it is higher than this one.
async fn shown_version(
    package: &PluginPackage,
    connection: &Connection,
) -> Result<Option<Version>, Failure> {
    let reference = object_ref::<ModulePlugin>("", package.name());
    let live = connection.server.get(&reference).await;
    let live =
        live.map_err(connection.failed(format!("read {}", title(package.module_plugin()))))?;
    let shown = live.as_ref().and_then(|live| live.pointer("/spec/version")?.as_str());
    Ok(match (shown.and_then(parse), parse(package.version())) {
        (Some(shown), Some(ours)) if ours < shown => Some(shown),
        _ => None,
    })
}

/// Refuses where the published version is another than that of the package.
fn unchanged(package: &PluginPackage, published: &Value, name: &str) -> Result<(), Failure> {
    let spec = |object: &Value| object.get("spec").cloned().unwrap_or_default();
    let found = differences(&spec(published), &spec(package.module_config()));
    if found.is_empty() {
        return Ok(());
    }
    let name = api::text::line(name, 128);
    Err(Failure::Refused {
        message: format!(
            "{name} is published with another content, and a published version never changes: {}",
            api::text::names(&found)
        ),
        hints: vec![
            "push the package under a new version".to_owned(),
            format!(
                "what is published: kubectl get {} {name} -o yaml",
                <ModuleConfig as kube::Resource>::plural(&())
            ),
        ],
    })
}

fn text<'a>(object: &'a Value, path: &str) -> &'a str {
    object.pointer(path).and_then(Value::as_str).unwrap_or_default()
}

fn kind(object: &Value) -> String {
    api::text::line(text(object, "/kind"), 64)
}

/// `ModulePlugin podinfo`.
pub(super) fn title(object: &Value) -> String {
    format!("{} {}", kind(object), api::text::line(text(object, "/metadata/name"), 128))
}
