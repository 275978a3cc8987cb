//! Publishes a plugin in the catalogue: rights, plugin and version, each applied under one name,
//! whoever publishes. A published version never changes, and no plugin shows a lower version than
//! before.

mod differences;
mod rights;

use crate::admin::{self, Change};
use crate::call::CallError;
use crate::server::{ApiServer, ApplyOptions};
use api::component_version::parse;
use api::names::{LIFECYCLE_LABEL, module_config};
use api::objects::{ModuleConfig, ModulePlugin, object_ref};
use api::{Lifecycle, ModuleConfigStatus, Version};
use differences::differences;
use serde_json::Value;
use std::time::{Duration, Instant};

/// How long the operator may take to confirm what was published.
pub const CONFIRMED_LIMIT: Duration = Duration::from_secs(5);
/// Pause between two looks.
const PAUSE: Duration = Duration::from_millis(200);

/// A version of a plugin, as its package brings it.
#[derive(Debug, Clone, Copy)]
pub struct Arriving<'a> {
    /// The plugin.
    pub name: &'a str,
    /// Its version.
    pub version: &'a str,
    /// The ClusterRole that the operator needs for its charts, and its ClusterRoleBinding.
    pub rights: &'a [Value],
    /// The ModulePlugin.
    pub module_plugin: &'a Value,
    /// The ModuleConfig.
    pub module_config: &'a Value,
}

/// Why a version is not published.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// The API server did not do what it was asked for.
    #[error("cannot {action}")]
    Call {
        /// What that was (`apply ModulePlugin podinfo`).
        action: String,
        /// Why.
        source: CallError,
    },
    /// The version is published with another content.
    #[error(
        "{config} is published with another content, and a published version never changes: {}",
        api::text::names(differences)
    )]
    Other {
        /// The ModuleConfig.
        config: String,
        /// In which fields.
        differences: Vec<String>,
    },
}

impl PublishError {
    /// What to do where the version is another; nothing where the API server's answer says it.
    #[must_use]
    pub fn hints(&self) -> Vec<String> {
        let Self::Other { config, .. } = self else { return Vec::new() };
        let kind = <ModuleConfig as kube::Resource>::plural(&());
        vec![
            "push the package under a new version".to_owned(),
            format!("what is published: kubectl get {kind} {config} -o yaml"),
        ]
    }
}

fn failed(action: impl Into<String>) -> impl FnOnce(CallError) -> PublishError {
    let action = action.into();
    |source| PublishError::Call { action, source }
}

/// Whether the operator can install a version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Confirmed {
    /// It can, since so long after it was looked.
    After(Duration),
    /// It cannot so far, and why.
    NotYet(String),
}

/// What is to be written, and what is left as it is.
#[derive(Debug, Clone)]
pub struct Intent {
    /// The objects that are to be applied, in this order.
    pub objects: Vec<Value>,
    /// Lines on what is left as it is.
    pub left: Vec<String>,
    /// The ModuleConfig.
    pub config: String,
}

impl Intent {
    /// Compares with what the catalogue has, and asks the API server whether it would take the
    /// rest: what it refuses is not worth sending bytes first. Changes nothing.
    ///
    /// # Errors
    /// When the version is published with another content, or the API server refuses an object.
    pub async fn of<A: ApiServer>(
        arriving: Arriving<'_>,
        server: &A,
    ) -> Result<Self, PublishError> {
        let name = module_config(arriving.name, arriving.version);
        let published = server.get(&object_ref::<ModuleConfig>("", &name)).await;
        let published = published.map_err(failed(format!("read {name}")))?;
        let mut intent = Self {
            objects: rights::grown(arriving.rights, server).await?,
            left: Vec::new(),
            config: name.clone(),
        };
        match shown_version(arriving, server).await? {
            Some(shown) => intent.left.push(format!(
                "{} {}: left as it is, for it shows {shown}, which is higher",
                kind(arriving.module_plugin),
                api::text::line(arriving.name, 64)
            )),
            None => intent.objects.push(arriving.module_plugin.clone()),
        }
        match published {
            None => intent.objects.push(arriving.module_config.clone()),
            Some(published) => {
                unchanged(arriving, &published, &name)?;
                intent.left.push(format!("{}: unchanged", title(arriving.module_config)));
            }
        }
        intent.would_be_taken(server).await?;
        Ok(intent)
    }

    async fn would_be_taken<A: ApiServer>(&self, server: &A) -> Result<(), PublishError> {
        let options = ApplyOptions { force: true, dry_run: true };
        for object in &self.objects {
            match server.apply(object, options).await {
                // A binding names a role that is only about to be written.
                Ok(_) | Err(CallError::NotFound(_)) => {}
                Err(error) => return Err(failed(format!("apply {}", title(object)))(error)),
            }
        }
        Ok(())
    }

    /// Writes the objects in their order; `done` is told what came of each.
    ///
    /// # Errors
    /// When the API server refuses an object. Running it again goes on from there.
    pub async fn apply<A: ApiServer>(
        &self,
        server: &A,
        mut done: impl FnMut(&Value, Change),
    ) -> Result<(), PublishError> {
        for object in &self.objects {
            let change = admin::apply(server, object).await;
            let change =
                change.map_err(|(action, source)| PublishError::Call { action, source })?;
            done(object, change);
        }
        Ok(())
    }

    /// Waits until the operator has confirmed the version, or has not within the limit.
    ///
    /// # Errors
    /// When the version cannot be read.
    pub async fn confirm<A: ApiServer>(
        &self,
        server: &A,
        limit: Duration,
    ) -> Result<Confirmed, PublishError> {
        let reference = object_ref::<ModuleConfig>("", &self.config);
        let shown = api::text::line(&self.config, 128);
        let began = Instant::now();
        let status = loop {
            let read = server.get(&reference).await;
            let live = read.map_err(failed(format!("read {shown}")))?;
            let status = live.and_then(|mut live| live.get_mut("status").map(Value::take));
            let status: ModuleConfigStatus =
                status.and_then(|s| serde_json::from_value(s).ok()).unwrap_or_default();
            if status.ready_for_deploy {
                return Ok(Confirmed::After(began.elapsed()));
            }
            if began.elapsed() >= limit {
                break status;
            }
            tokio::time::sleep(PAUSE).await;
        };
        Ok(Confirmed::NotYet(match status.message.as_str() {
            "" => "the operator has not confirmed it yet".to_owned(),
            message => api::text::message(message),
        }))
    }
}

/// The version that the catalogue shows of the plugin, where it is higher than this one.
async fn shown_version<A: ApiServer>(
    arriving: Arriving<'_>,
    server: &A,
) -> Result<Option<Version>, PublishError> {
    let live = server.get(&object_ref::<ModulePlugin>("", arriving.name)).await;
    let live = live.map_err(failed(format!("read {}", title(arriving.module_plugin))))?;
    let shown = live.as_ref().and_then(|live| live.pointer("/spec/version")?.as_str());
    Ok(match (shown.and_then(parse), parse(arriving.version)) {
        (Some(shown), Some(ours)) if ours < shown => Some(shown),
        _ => None,
    })
}

/// Refuses where the published version is another than that of the package.
fn unchanged(arriving: Arriving<'_>, published: &Value, name: &str) -> Result<(), PublishError> {
    let spec = |object: &Value| object.get("spec").cloned().unwrap_or_default();
    let mut differences = differences(&spec(published), &spec(arriving.module_config));
    let lifecycle = |object: &Value| {
        let labels = object.pointer("/metadata/labels").cloned().unwrap_or_default();
        let label = labels.get(LIFECYCLE_LABEL).and_then(Value::as_str);
        api::text::line(label.unwrap_or(Lifecycle::Agnostic.as_str()), 64)
    };
    let (before, now) = (lifecycle(published), lifecycle(arriving.module_config));
    if before != now {
        differences
            .push(format!("its lifecycle is {before} in the catalogue and {now} in the package"));
    }
    match differences.is_empty() {
        true => Ok(()),
        false => Err(PublishError::Other { config: api::text::line(name, 128), differences }),
    }
}

fn text<'a>(object: &'a Value, path: &str) -> &'a str {
    object.pointer(path).and_then(Value::as_str).unwrap_or_default()
}

fn kind(object: &Value) -> String {
    api::text::line(text(object, "/kind"), 64)
}

/// `ModulePlugin podinfo`.
#[must_use]
pub fn title(object: &Value) -> String {
    format!("{} {}", kind(object), api::text::line(text(object, "/metadata/name"), 128))
}
