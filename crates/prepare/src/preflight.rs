//! Runs preflight for the release in the package: reads the cluster, asks the planner, prints what
//! it says. Changes nothing, and works where nothing of ours is installed yet.

mod report;

use crate::Environment;
use crate::failure::Failure;
use crate::kubeconfig::Connection;
use crate::platform;
use crate::plugins;
use crate::printer::Printer;
use api::config::EDIT_SETTINGS;
use api::names::{CVO_CONFIG, GLOBAL, NAMESPACE, PRODUCT_IMAGE_REPOSITORY};
use api::objects::Cluster;
use api::{Digest, Release};
use artifacts::package::Package;
use cluster::Live;
use cluster::execute::ContentError;
use cluster::observe::{Depth, LiveFleet, Releases, Servers, Subject, observe, route, typed};
use cluster::server::{ApiServer as _, ListQuery};
use kube::Resource as _;
use planner::preflight::{Summary, config_of, has_package, of_package, summary};
use planner::snapshot::{ModuleConfigFacts, Observed, PackageFacts, Snapshot};

/// The release in hand, for a ProductManifest that is bound to the same digest.
struct OfPackage<'a> {
    digest: &'a Digest,
    release: &'a Release,
}

impl Releases for OfPackage<'_> {
    async fn release(&self, image: &str) -> Result<Release, ContentError> {
        if image.ends_with(self.digest.as_str()) {
            Ok(self.release.clone())
        } else {
            Err(ContentError::Unavailable("its release is not in this package".to_owned()))
        }
    }
}

/// What the command line asks about.
pub(crate) struct Asked<'a> {
    /// The cluster.
    pub(crate) cluster: &'a str,
    /// The registry that was named, or empty.
    pub(crate) registry: &'a str,
}

/// Runs it; the exit status says what came of it.
///
/// # Errors
/// When the cluster cannot be asked at all, and, after all that was found is printed, when the
/// settings of the checks are wrong.
pub(crate) async fn run(
    package: &Package,
    connection: &Connection,
    asked: &Asked<'_>,
    environment: &Environment,
    printer: &mut Printer<'_>,
) -> Result<u8, Failure> {
    let trusted = crate::trust::verify(package, connection, (environment.now)()).await?;
    let release = &package.release()?.release;
    let announced = plugins::announced(package)?;
    let digest = package.product_image().digest();
    let platform = platform::read(connection).await?;
    let server = server(connection, asked.cluster).await?;
    let address = platform.pods_registry(asked.registry);
    let image = format!("{address}/{PRODUCT_IMAGE_REPOSITORY}@{digest}");
    let subject = Subject {
        cluster: asked.cluster.to_owned(),
        cvo_version: release.version.clone(),
        now: (environment.now)(),
    };
    let releases = OfPackage { digest, release };
    let servers = Servers { home: &connection.server, server: &server };
    let shadow = typed(&connection.server, NAMESPACE, asked.cluster).await;
    let shadow = shadow.map_err(connection.failed("read the cluster"))?;
    let observed = observe(servers, &releases, &LiveFleet, &subject, shadow, Depth::Preflight);
    let mut snapshot = observed.await;
    let image = image.trim_start_matches('/').to_owned();
    let signature = Some(trusted.signature);
    snapshot.package = Some(PackageFacts { image, signature, release: release.clone() });
    publish(&mut snapshot.module_configs, announced);
    if has_package(&snapshot) {
        printer.say(&format!(
            "Cluster {} is at {}, the release of this package: nothing is to be upgraded.",
            snapshot.cluster, release.version
        ))?;
        settings_hold(&snapshot)?;
        return Ok(0);
    }
    let result = of_package(&snapshot).expect("the package was put into the snapshot above");
    printer.say(report::text(&snapshot, &result).trim_end())?;
    settings_hold(&snapshot)?;
    Ok(match summary(&result) {
        Summary::Passed => 0,
        Summary::Failed(_) => 1,
        Summary::Retrying(_) => 2,
    })
}

/// Whoever wrote settings that are not obeyed asked for another answer than the one just printed.
fn settings_hold(snapshot: &Snapshot) -> Result<(), Failure> {
    let problems = match snapshot.cvo_config {
        Observed::Value(_) => config_of(snapshot).problems,
        Observed::KindAbsent | Observed::Unknown(_) | Observed::NotRead => return Ok(()),
    };
    if problems.is_empty() {
        return Ok(());
    }
    Err(Failure::Refused {
        message: format!("{NAMESPACE}/{CVO_CONFIG} is wrong: {}", api::text::names(&problems)),
        hints: vec![format!("correct it: {EDIT_SETTINGS}")],
    })
}

/// Deploy publishes the plugin packages that lie in the package: what is published already counts
/// as the catalogue has it.
fn publish(catalogue: &mut Observed<Vec<ModuleConfigFacts>>, announced: Vec<ModuleConfigFacts>) {
    let published = match catalogue {
        Observed::Value(published) => published,
        Observed::KindAbsent if !announced.is_empty() => {
            *catalogue = Observed::Value(announced);
            return;
        }
        Observed::KindAbsent | Observed::Unknown(_) | Observed::NotRead => return,
    };
    for facts in announced {
        let is_there =
            |p: &ModuleConfigFacts| (&p.module, &p.version) == (&facts.module, &facts.version);
        if !published.iter().any(is_there) {
            published.push(facts);
        }
    }
}

/// The API server of the cluster that is asked about, by the credential that global keeps of it.
async fn server(connection: &Connection, cluster: &str) -> Result<Live, Failure> {
    let home = &connection.server;
    if cluster == GLOBAL {
        return Ok(home.clone());
    }
    let query = ListQuery::all(&Cluster::api_version(&()), &Cluster::kind(&()));
    let registered = home.list(&query).await.map_err(connection.failed("list the clusters"))?;
    let name = |cluster: &serde_json::Value| {
        cluster.pointer("/metadata/name").and_then(|name| name.as_str()).map(str::to_owned)
    };
    let names: Vec<String> = registered.iter().filter_map(name).collect();
    if names.iter().any(|name| name == cluster) {
        let found = route(home, cluster).await.map_err(|error| error.to_string());
        let server = found.and_then(|route| route.server());
        return Ok(server.unwrap_or_else(|why| Live::unreachable(&why)));
    }
    Err(Failure::Refused {
        message: format!("no cluster {} is registered", api::text::line(cluster, 64)),
        hints: vec![format!("choose one with --cluster: {}", api::text::names(&names))],
    })
}
