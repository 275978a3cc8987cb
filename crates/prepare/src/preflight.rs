//! Runs preflight for the release in the package: reads the cluster, asks the planner, prints what
//! it says. Changes nothing, and works where nothing of ours is installed yet.

mod report;

use crate::Environment;
use crate::failure::Failure;
use crate::kubeconfig::Connection;
use crate::platform::Platform;
use crate::printer::Printer;
use api::names::{GLOBAL, PRODUCT_IMAGE_REPOSITORY};
use api::{Digest, Release};
use artifacts::package::Package;
use cluster::execute::ContentError;
use cluster::observe::{Depth, LiveFleet, Releases, Subject, observe};
use planner::preflight::{Summary, of_package, summary};
use planner::snapshot::PackageFacts;

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

/// Runs it; the exit status says what came of it. `registry` is the one that was named, or empty.
///
/// # Errors
/// When the cluster cannot be asked at all.
pub(crate) async fn run(
    package: &Package,
    connection: &Connection,
    registry: &str,
    environment: &Environment,
    printer: &mut Printer<'_>,
) -> Result<u8, Failure> {
    let signature = crate::trust::verify(package, connection, (environment.now)()).await?;
    let release = &package.release()?.release;
    let digest = package.product_image().digest();
    let platform = Platform::read(connection).await?;
    let address = platform.pods_registry(registry);
    let image = format!("{address}/{PRODUCT_IMAGE_REPOSITORY}@{digest}");
    let subject = Subject {
        cluster: GLOBAL.to_owned(),
        cvo_version: release.version.clone(),
        now: (environment.now)(),
    };
    let releases = OfPackage { digest, release };
    let observed = observe(&connection.server, &releases, &LiveFleet, &subject, Depth::Preflight);
    let mut snapshot = observed.await.map_err(connection.failed("read the cluster"))?;
    let image = image.trim_start_matches('/').to_owned();
    snapshot.package =
        Some(PackageFacts { image, signature: Some(signature), release: release.clone() });
    let result = of_package(&snapshot).expect("the package was put into the snapshot above");
    printer.say(report::text(&snapshot, &result).trim_end())?;
    Ok(match summary(&result) {
        Summary::Passed => 0,
        Summary::Failed(_) => 1,
        Summary::Retrying(_) => 2,
    })
}
