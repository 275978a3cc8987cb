//! `violet push`: reads and checks a package, sends what the registry lacks, and publishes the
//! plugin. Several packages are pushed one after the other; everything is tried.

use crate::arguments::Push;
use crate::clusters;
use crate::connection::Connection;
use crate::destination::{self, Destination};
use crate::environment::Environment;
use crate::failure::{self, Failure};
use crate::package;
use crate::printer::Printer;
use crate::signature::{Keys, Maker, maker};
use api::failure::chain;
use api::objects::ModuleConfig;
use artifacts::plugin::{Opened, PluginPackage};
use artifacts::progress::{Shown, summary};
use artifacts::sync::{PARALLEL, Plan, sync};
use cluster::admin::Change;
use cluster::catalogue::{Arriving, CONFIRMED_LIMIT, Confirmed, Intent, PublishError, title};
use cluster::server::ListQuery;
use cluster::{ApiServer as _, CallError};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

/// What all packages of one push have in common.
struct Target<'a> {
    flags: &'a Push,
    environment: &'a Environment,
    /// None where no platform is asked.
    connection: Option<Connection>,
    /// None with --skip-push.
    destination: Option<Destination>,
    /// Of the platform's nodes; empty where they are not known.
    architectures: BTreeSet<String>,
    clusters: Vec<(String, BTreeMap<String, String>)>,
    keys: Keys,
}

/// Pushes.
pub(super) async fn run(
    flags: &Push,
    environment: &Environment,
    printer: &mut Printer<'_>,
) -> Result<(), Failure> {
    let files = package::found(&flags.path)?;
    if flags.password.is_some() {
        printer.note("warning: others on this machine can see a password on the command line; prefer --password-stdin");
    }
    if flags.plain {
        printer.note("warning: --plain: whoever is between here and the registry can read and change what is sent, the password too");
    }
    let target = Target::of(flags, environment, printer).await?;
    if let [file] = files.as_slice() {
        return target.push(file, printer).await;
    }
    let mut failed = Vec::new();
    for file in &files {
        printer.say(&format!("== {}", package::name(file)))?;
        match target.push(file, printer).await {
            Ok(()) => {}
            Err(failure @ Failure::Output(_)) => return Err(failure),
            Err(failure) => {
                printer.failure(&failure);
                failed.push(package::name(file));
            }
        }
    }
    match failed.len() {
        0 => printer.say(&format!("Pushed {} packages.", files.len())),
        _ => Err(Failure::Several { failed, packages: files.len() }),
    }
}

impl<'a> Target<'a> {
    async fn of(
        flags: &'a Push,
        environment: &'a Environment,
        printer: &mut Printer<'_>,
    ) -> Result<Self, Failure> {
        let given = destination::given(flags, std::io::stdin())?;
        let asks_for_registry = !flags.skip_push && destination::needs_platform(flags, &given);
        let need = if !flags.skip_crs {
            Some("the catalogue is written to the cluster")
        } else if asks_for_registry {
            Some(
                "the registry and its account are read from the cluster (or give --dest-repo with --username and --password-stdin, or --no-auth)",
            )
        } else if !flags.clusters.is_empty() {
            Some("--clusters names clusters of the platform")
        } else {
            None
        };
        let connection = match need {
            Some(need) => {
                Some(Connection::open(&flags.platform, environment, need, printer).await?)
            }
            None => None,
        };
        let (mut architectures, mut clusters) = (BTreeSet::new(), Vec::new());
        if let Some(connection) = &connection {
            clusters = clusters::named(&flags.clusters, connection).await?;
            architectures = architectures_of(connection, printer).await?;
            printer.say(&format!("Platform: {}", connection.url))?;
        }
        let destination = match flags.skip_push {
            true => None,
            false => Some(destination::decide(flags, &given, connection.as_ref()).await?),
        };
        match &destination {
            Some(d) => printer.say(&format!("Registry: {} ({})", d.registry.address(), d.why))?,
            None => printer.say("Registry: nothing is sent (--skip-push)")?,
        }
        let public_key = flags.public_key.as_deref();
        let keys = Keys::of(public_key, connection.as_ref(), (environment.now)()).await?;
        Ok(Self { flags, environment, connection, destination, architectures, clusters, keys })
    }

    /// Pushes one package.
    async fn push(&self, file: &Path, printer: &mut Printer<'_>) -> Result<(), Failure> {
        let opened = package::open(file, &self.environment.temporary)?;
        printer.say(&format!("Package:  {}", opened.words()))?;
        self.check_architecture(&opened, file, printer)?;
        printer.say(&match maker(&opened.package, file, &self.keys)? {
            Maker::Unsigned => "Signed:   no: who made it is not known".to_owned(),
            Maker::Unknown(why) => format!("Signed:   not verified: {why}"),
            Maker::Signed(words) => format!("Signed:   {words}"),
        })?;
        for (name, labels) in &self.clusters {
            let fits = match opened
                .package
                .config()
                .affinity
                .as_ref()
                .and_then(|affinity| affinity.misfit(labels))
            {
                None => "the plugin fits".to_owned(),
                Some(why) => format!("the plugin does not fit: {why}"),
            };
            printer.say(&format!("Cluster {}: {fits}", api::text::line(name, 64)))?;
        }
        let connection = self.connection.as_ref().filter(|_| !self.flags.skip_crs);
        let intent = async || match connection {
            Some(connection) => {
                let intent = Intent::of(arriving(&opened.package), &connection.server).await;
                intent.map(Some).map_err(|error| unpublished(connection, error))
            }
            None => Ok(None),
        };
        // What the catalogue would not take is not worth sending bytes first.
        intent().await?;
        let sent = match &self.destination {
            Some(destination) => self.send(&opened, destination, printer).await?,
            None => 0,
        };
        // It was read before the bytes went, which may take long.
        let (Some(connection), Some(intent)) = (connection, intent().await?) else {
            return printer.say("Published nothing (--skip-crs).");
        };
        if self.destination.as_ref().is_some_and(|d| !d.is_of_platform) {
            printer.note("warning: this is not the registry that the platform's Pods pull from: the plugin can be installed once its artifacts are there too");
        }
        let written = publish(&intent, connection, printer).await?;
        if !written && sent == 0 {
            printer.say("Nothing to do: everything was there already.")?;
        }
        Ok(())
    }

    /// Refuses a package that no node of the platform could run.
    fn check_architecture(
        &self,
        opened: &Opened,
        file: &Path,
        printer: &mut Printer<'_>,
    ) -> Result<(), Failure> {
        let all: Vec<&String> = self.architectures.iter().collect();
        if all.is_empty() {
            return printer.say("Checked:  every sum; for which machines it is was not compared");
        }
        let mut refusal = None;
        for architecture in &all {
            match opened.package.check_architecture(architecture) {
                Ok(()) => {
                    let line = format!("Checked:  every sum; made for {architecture}");
                    return printer.say(&line);
                }
                Err(source) => refusal = Some(source),
            }
        }
        match refusal {
            Some(source) => Err(Failure::refused(
                format!(
                    "{} is not for this platform, whose nodes are {}: {}",
                    package::name(file),
                    api::text::names(&all),
                    chain(&source)
                ),
                format!("use the package for {}", api::text::names(&all)),
            )),
            None => Ok(()),
        }
    }

    /// Sends what is missing; gives how many artifacts were.
    async fn send(
        &self,
        opened: &Opened,
        destination: &Destination,
        printer: &mut Printer<'_>,
    ) -> Result<usize, Failure> {
        let plan = Plan::of_layout(opened.package.layout());
        let began = Instant::now();
        let shown = Shown::new(self.environment.is_terminal);
        let report = sync(plan, &destination.registry, PARALLEL, Arc::clone(&shown) as _).await;
        shown.end();
        let report = report?;
        let mut hints = BTreeSet::new();
        for (name, error) in &report.failed {
            printer.note(&format!("failed: {name}: {}", chain(error.as_ref())));
            hints.insert(failure::registry(error));
        }
        hints.iter().for_each(|hint| printer.note(&format!("hint: {hint}")));
        printer.say(&summary(&report, began.elapsed()))?;
        match report.failed.len() {
            0 => Ok(report.uploaded),
            failed => Err(Failure::Incomplete { failed, artifacts: report.artifacts }),
        }
    }
}

fn arriving(package: &PluginPackage) -> Arriving<'_> {
    Arriving {
        name: package.name(),
        version: package.version(),
        rights: package.rights(),
        module_plugin: package.module_plugin(),
        module_config: package.module_config(),
    }
}

/// Why a plugin is not published, to the user.
fn unpublished(connection: &Connection, error: PublishError) -> Failure {
    match error {
        PublishError::Call { action, source } => connection.failed(action)(source),
        PublishError::Other { .. } => {
            Failure::Refused { message: error.to_string(), hints: error.hints() }
        }
    }
}

/// Writes into the catalogue and says what came of each object; gives whether any changed.
async fn publish(
    intent: &Intent,
    connection: &Connection,
    printer: &mut Printer<'_>,
) -> Result<bool, Failure> {
    let (mut written, mut lines) = (false, Vec::new());
    let applied = intent.apply(&connection.server, |object, change| {
        written |= change != Change::Unchanged;
        lines.push(format!("{}: {}", title(object), change.as_str()));
    });
    let applied = applied.await;
    for line in lines.iter().chain(&intent.left) {
        printer.say(line)?;
    }
    applied.map_err(|error| unpublished(connection, error))?;
    let shown = api::text::line(&intent.config, 128);
    let confirmed = intent.confirm(&connection.server, CONFIRMED_LIMIT).await;
    match confirmed.map_err(|error| unpublished(connection, error))? {
        Confirmed::After(time) => {
            let seconds = time.as_secs_f64();
            printer.say(&format!(
                "In the catalogue after {seconds:.1} s: {shown} can be installed."
            ))?;
        }
        Confirmed::NotYet(why) => {
            let kind = <ModuleConfig as kube::Resource>::plural(&());
            printer.note(&format!(
                "note: {shown} is published, but cannot be installed so far: {why}"
            ));
            printer.note(&format!("hint: look again: kubectl get {kind} {shown} -o yaml"));
        }
    }
    Ok(written)
}

/// The architectures of the nodes of the global cluster; where they may not be looked at, none.
async fn architectures_of(
    connection: &Connection,
    printer: &mut Printer<'_>,
) -> Result<BTreeSet<String>, Failure> {
    match connection.server.list(&ListQuery::all("v1", "Node")).await {
        Ok(nodes) => Ok(nodes
            .iter()
            .filter_map(|node| node.pointer("/status/nodeInfo/architecture")?.as_str())
            .map(|text| api::text::line(text, 32))
            .collect()),
        Err(CallError::Forbidden(why)) => {
            printer.note(&format!("note: the nodes may not be looked at: {why}"));
            Ok(BTreeSet::new())
        }
        Err(error) => Err(connection.failed("list the nodes")(error)),
    }
}
