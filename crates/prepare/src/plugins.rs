//! The plugin packages in `plugins/`: what each brings, whose they are, and what is published of
//! them. The sync sends their charts and images like any other; only deploy makes objects.

use crate::failure::Failure;
use crate::kubeconfig::Connection;
use crate::printer::Printer;
use crate::trust::Trusted;
use api::failure::chain;
use api::names::VIOLET;
use api::objects::ModuleConfig;
use artifacts::package::{Package, PluginFile};
use artifacts::plugin::{Opened, PluginError, PluginSummary, peek};
use cluster::admin::Change;
use cluster::catalogue::{Arriving, CONFIRMED_LIMIT, Confirmed, Intent, PublishError};
use cluster::{CallError, Live};
use planner::snapshot::ModuleConfigFacts;
use std::path::Path;
use std::time::Instant;

/// A package of `plugins/` that was read and checked.
pub(crate) struct Plugin {
    /// `plugins/pages-1.0.0.tgz`.
    file: String,
    /// It belongs to the core package, whose sums vouch for it.
    is_part: bool,
    opened: Opened,
}

fn refused(file: &PluginFile) -> impl FnOnce(PluginError) -> Failure {
    let file = file.name();
    |source| Failure::Plugin { file, source }
}

/// Opens every plugin package, each unpacked below `temporary`.
///
/// # Errors
/// When one is not as it was made, or is for other machines.
pub(crate) fn open(
    package: &Package,
    temporary: &Path,
    architecture: &str,
) -> Result<Vec<Plugin>, Failure> {
    let open = |file: &PluginFile| {
        let opened = file.open(temporary).map_err(refused(file))?;
        opened.package.check_architecture(architecture).map_err(refused(file))?;
        Ok(Plugin { file: file.name(), is_part: file.digest.is_some(), opened })
    };
    package.plugins().iter().map(open).collect()
}

/// What the plugin packages say of themselves, as the catalogue will once they are published.
///
/// # Errors
/// When one is no plugin package.
pub(crate) fn announced(package: &Package) -> Result<Vec<ModuleConfigFacts>, Failure> {
    let facts = |PluginSummary { name, lifecycle, config, .. }: PluginSummary| {
        ModuleConfigFacts::of(name, Some(lifecycle), config)
    };
    let read = |file: &PluginFile| peek(&file.path).map(facts).map_err(refused(file));
    package.plugins().iter().map(read).collect()
}

impl Plugin {
    /// What is unpacked of it.
    pub(crate) const fn opened(&self) -> &Opened {
        &self.opened
    }

    /// Says whose it is; one that an administrator added need not be signed, but a signature that
    /// it bears must count.
    ///
    /// # Errors
    /// When it bears a signature that does not count.
    pub(crate) fn verify(
        &self,
        trusted: &Trusted,
        printer: &mut Printer<'_>,
    ) -> Result<(), Failure> {
        if self.is_part {
            return Ok(());
        }
        let file = &self.file;
        let unread = |source| Failure::Plugin { file: file.clone(), source };
        if !self.opened.package.is_signed().map_err(unread)? {
            printer.note(&format!(
                "note: {file} bears no signature: it is used because it was put there"
            ));
            return Ok(());
        }
        let key = self.opened.package.verify_sums(&trusted.keys, trusted.at);
        key.map(drop).map_err(|error| Failure::Refused {
            message: format!("{file}: {}", chain(&error)),
            hints: vec![format!(
                "take it away, or verify it with the key of its publisher and push it by itself: violet push {file} --public-key FILE"
            )],
        })
    }

    fn arriving(&self) -> Arriving<'_> {
        let package = &self.opened.package;
        Arriving {
            name: package.name(),
            version: package.version(),
            rights: package.rights(),
            module_plugin: package.module_plugin(),
            module_config: package.module_config(),
        }
    }

    fn failed(&self, connection: &Connection, error: PublishError) -> Failure {
        match error {
            PublishError::Call { action, source } => connection.failed(action)(source),
            PublishError::Other { .. } => Failure::Refused {
                message: format!("{}: {error}", self.file),
                hints: error.hints(),
            },
        }
    }

    /// Refuses what the catalogue would not take, before anything is sent. Where deploy has yet to
    /// define its kinds, that is not known.
    ///
    /// # Errors
    /// When its version is published with another content, or the cluster refuses an object.
    pub(crate) async fn judge(&self, connection: &Connection) -> Result<(), Failure> {
        match Intent::of(self.arriving(), &publisher(connection)).await {
            Ok(_) | Err(PublishError::Call { source: CallError::KindAbsent(_), .. }) => Ok(()),
            Err(error) => Err(self.failed(connection, error)),
        }
    }

    /// Writes it into the catalogue; gives what was written, and whether anything changed.
    async fn write(&self, server: &Live) -> Result<(Intent, bool), PublishError> {
        let intent = Intent::of(self.arriving(), server).await?;
        let mut is_new = false;
        intent.apply(server, |_, change| is_new |= change != Change::Unchanged).await?;
        Ok((intent, is_new))
    }
}

/// Publishes the plugins and waits until the operator has confirmed them; that it has not is a
/// note.
///
/// # Errors
/// When a version is published with another content, or the cluster refuses an object. Running it
/// again goes on from there.
pub(crate) async fn publish(
    plugins: &[Plugin],
    connection: &Connection,
    printer: &mut Printer<'_>,
) -> Result<(), Failure> {
    let server = publisher(connection);
    let mut written = Vec::new();
    for plugin in plugins {
        let (intent, is_new) =
            plugin.write(&server).await.map_err(|error| plugin.failed(connection, error))?;
        written.push((plugin, intent, is_new));
    }
    let began = Instant::now();
    for (plugin, intent, is_new) in written {
        let left = CONFIRMED_LIMIT.saturating_sub(began.elapsed());
        let confirmed = intent.confirm(&server, left).await;
        let title = plugin.opened.title();
        match confirmed.map_err(|error| plugin.failed(connection, error))? {
            Confirmed::After(_) if !is_new => {
                printer.say(&format!("Plugin {title} is in the catalogue already."))?;
            }
            Confirmed::After(_) => {
                printer.say(&format!("Published plugin {title}: it can be installed."))?;
            }
            Confirmed::NotYet(why) => {
                let kind = <ModuleConfig as kube::Resource>::plural(&());
                printer.note(&format!(
                    "note: plugin {title} is published, but cannot be installed so far: {why}"
                ));
                printer.note(&format!(
                    "hint: look again: kubectl get {kind} {} -o yaml",
                    intent.config
                ));
            }
        }
    }
    Ok(())
}

/// Whoever publishes a plugin does it under one name.
fn publisher(connection: &Connection) -> Live {
    connection.server.clone().managed_by(VIOLET)
}
