//! What a package holds comes into a registry of the real kind, whole and once.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use artifacts::package::Package;
use artifacts::plugin::PluginPackage;
use artifacts::registry::{Registry, RegistryError};
use artifacts::sync::{Event, Fate, Plan, Progress, Silent, check, sync};

use crate::fixture::{Platform, chain, chart, package, release};
use crate::plugin::Plugin;

#[derive(Default)]
struct Told(Mutex<Vec<Event>>);

impl Progress for Told {
    fn tell(&self, event: Event) {
        self.0.lock().unwrap().push(event);
    }
}

fn extracted(length: usize) -> (tempfile::TempDir, PathBuf) {
    let work = tempfile::tempdir().unwrap();
    let folder = work.path().join("package");
    package(&folder, length, "amd64");
    (work, folder)
}

fn plan(folder: &Path) -> Plan {
    Plan::of_layout(Package::open(folder, "amd64").unwrap().layout())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_package_is_copied_whole_and_a_second_time_nothing_is_sent() {
    let platform = Platform::start().await;
    let (_work, folder) = extracted(3_000_000);
    let package = Package::open(&folder, "amd64").unwrap();
    let (registry, told) = (platform.client(), Arc::new(Told::default()));
    let names = ["acp/cluster-version-operator:v4.3.0", "acp/product-image:v4.3.0"];

    let missing = check(&plan(&folder), &registry, 4).await.unwrap();
    assert_eq!(missing.len(), 3);
    assert_eq!((missing[0].name.as_str(), missing[1].name.as_str()), (names[0], names[1]));
    assert!(platform.requests(0).iter().all(|request| !request.writes()));

    let report = sync(plan(&folder), &registry, 4, told.clone()).await.unwrap();
    assert_eq!((report.artifacts, report.uploaded, report.unchanged), (3, 3, 0), "{report:?}");
    assert!(report.uploaded_bytes > 3_000_000 && report.uploaded_bytes < 3_100_000, "{report:?}");
    assert_eq!(check(&plan(&folder), &registry, 4).await.unwrap(), []);
    let requests = platform.requests(0);
    let last_blob = requests.iter().rposition(|r| r.writes() && r.path.contains("/blobs/"));
    let first_manifest =
        requests.iter().position(|r| r.method == "PUT" && r.path.contains("/manif"));
    assert!(last_blob < first_manifest, "manifests last");
    let mounted = |r: &&sandbox::registry::Access| r.query.contains("mount=") && r.status == 201;
    assert_eq!(requests.iter().filter(mounted).count(), 1, "the common layer");
    let received: u64 = requests.iter().map(|r| r.received).sum();
    assert!(received < 3_100_000, "the common layer went twice: {received}");

    let before = requests.len();
    let report = sync(plan(&folder), &registry, 4, Arc::new(Silent)).await.unwrap();
    assert_eq!((report.uploaded, report.unchanged, report.uploaded_bytes), (0, 3, 0));
    let again = platform.requests(before);
    assert!(again.iter().all(|r| r.method == "HEAD" || r.path == "/v2/"), "{again:?}");

    let digest = registry.resolve("acp/product-image", "v4.3.0").await.unwrap();
    assert_eq!(digest, *package.product_image().digest());
    let content = registry.pull_release("acp/product-image", &digest).await.unwrap();
    assert_eq!((content.release, content.files), (release(), chart()));
    let told = told.0.lock().unwrap();
    let fates = |wanted| {
        told.iter().filter(|e| matches!(e, Event::Artifact { fate, .. } if *fate == wanted)).count()
    };
    assert_eq!(fates(Fate::Sent), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_registry_has_lost_is_listed_and_sent_again() {
    let platform = Platform::start().await;
    let (work, folder) = extracted(50_000);
    let registry = platform.client();
    sync(plan(&folder), &registry, 4, Arc::new(Silent)).await.unwrap();
    // Another operator under the same name, and a plugin beside it.
    let other = work.path().join("other");
    crate::fixture::package(&other, 50_001, "amd64");
    let (core, plugin) = (Package::open(&other, "amd64").unwrap(), Plugin::new());
    let plugin = PluginPackage::open(&plugin.written()).unwrap();
    let both = || Plan::of_layouts([core.layout(), plugin.layout()]).unwrap();
    let missing = check(&both(), &registry, 4).await.unwrap();
    let reasons: Vec<_> = missing.iter().map(|m| (m.name.as_str(), m.reason.as_str())).collect();
    let [chart, operator, web, second] = reasons[..] else { panic!("{reasons:?}") };
    assert_eq!(chart, ("acp/chart-podinfo:1.0.0", "it is not in the registry"));
    assert_eq!(web, ("acp/podinfo:v1", "it is not in the registry"));
    for (name, reason) in [operator, second] {
        assert!(reason.starts_with("the registry has sha256:"), "{name}: {reason}");
    }
    let report = sync(both(), &registry, 4, Arc::new(Silent)).await.unwrap();
    assert_eq!((report.uploaded, report.unchanged), (4, 1), "{report:?}");
    assert_eq!(check(&both(), &registry, 4).await.unwrap(), []);
}

#[test]
fn two_packages_may_bring_the_same_artifact_but_not_two_of_one_name() {
    let (_work, folder) = extracted(50_000);
    let core = Package::open(&folder, "amd64").unwrap();
    let (one, again, other) = (Plugin::new(), Plugin::new(), Plugin::of("arm64"));
    let [one, again, other] =
        [&one, &again, &other].map(|p| PluginPackage::open(&p.written()).unwrap());
    let plan = Plan::of_layouts([core.layout(), one.layout(), again.layout()]).unwrap();
    assert_eq!(plan.artifacts.len(), 5);
    let refused = Plan::of_layouts([one.layout(), other.layout()]).unwrap_err().to_string();
    assert!(refused.contains("different artifacts as acp/podinfo:v1: sha256:"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blob_that_changed_on_disk_is_not_pushed_and_the_rest_is() {
    let platform = Platform::start().await;
    let (_work, folder) = extracted(3_000_000);
    let package = Package::open(&folder, "amd64").unwrap();
    let layer = &package.operator_image().manifest.layers[0];
    let path = package.layout().blob_path(&layer.digest);
    let mut bytes = fs::read(&path).unwrap();
    bytes[2_000_000] ^= 1;
    fs::write(&path, &bytes).unwrap();
    let registry = platform.client();
    let report = sync(plan(&folder), &registry, 4, Arc::new(Silent)).await.unwrap();
    let failed: Vec<&str> = report.failed.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(failed, ["acp/cluster-version-operator:v4.3.0", "acp/second:v1"]);
    let error = report.failed[0].1.to_string();
    assert!(error.contains(path.to_str().unwrap()) && error.contains("its digest"), "{error}");
    assert_eq!(report.uploaded, 1);
    assert!(!registry.has_blob("acp/second", &layer.digest, layer.size).await.unwrap());
    bytes.truncate(1_000_000);
    fs::write(&path, &bytes).unwrap();
    let report = sync(plan(&folder), &registry, 4, Arc::new(Silent)).await.unwrap();
    assert!(report.failed[0].1.to_string().contains("any more"), "{report:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_is_denied_before_anything_is_tried_and_never_shown() {
    let platform = Platform::start().await;
    let (_work, folder) = extracted(1000);
    let mut settings = platform.settings();
    settings.credentials.as_mut().unwrap().password = "canary-7f3a".to_owned();
    let registry = Registry::new(settings.clone()).unwrap();
    let error = sync(plan(&folder), &registry, 4, Arc::new(Silent)).await.unwrap_err();
    assert!(matches!(error, RegistryError::Denied { status: 401, .. }), "{error}");
    assert!(!format!("{error:?} {} {registry:?} {settings:?}", chain(&error)).contains("canary"));
    assert_eq!(platform.requests(0).len(), 2, "asked once, with the password once");
    settings.credentials = None;
    let registry = Registry::new(settings).unwrap();
    let error = registry.resolve("acp/product-image", "v4.3.0").await.unwrap_err();
    assert!(matches!(error, RegistryError::Denied { status: 401, .. }), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_can_only_pull_is_told_what_it_may_not() {
    let platform = Platform::start().await;
    let (_work, folder) = extracted(1000);
    let mut settings = platform.settings();
    let account = &platform.server.credentials().pull;
    let credentials = settings.credentials.as_mut().unwrap();
    credentials.username.clone_from(&account.name);
    credentials.password.clone_from(&account.password);
    let registry = Registry::new(settings).unwrap();
    let report = sync(plan(&folder), &registry, 4, Arc::new(Silent)).await.unwrap();
    assert_eq!(report.failed.len(), 3);
    for (name, error) in &report.failed {
        assert!(matches!(**error, RegistryError::Denied { .. }), "{name}: {error}");
        assert!(error.to_string().contains("denies to push"), "{error}");
    }
}

/// A push that is denied changed nothing for an artifact that has the same blob and was whole.
#[tokio::test(flavor = "multi_thread")]
async fn a_denied_push_does_not_count_a_whole_artifact_as_uploaded() {
    let platform = Platform::start().await;
    let (_work, folder) = extracted(50_000);
    let whole = "acp/cluster-version-operator:v4.3.0";
    let mut first = plan(&folder);
    first.artifacts.retain(|artifact| artifact.name() == whole);
    let report = sync(first, &platform.client(), 4, Arc::new(Silent)).await.unwrap();
    assert_eq!((report.uploaded, report.failed.len()), (1, 0), "{report:?}");
    let mut settings = platform.settings();
    let account = platform.server.credentials().pull.clone();
    let credentials = settings.credentials.as_mut().unwrap();
    (credentials.username, credentials.password) = (account.name, account.password);
    // The second image has the same layer.
    let registry = Registry::new(settings).unwrap();
    let report = sync(plan(&folder), &registry, 4, Arc::new(Silent)).await.unwrap();
    let counts = (report.artifacts, report.unchanged, report.uploaded, report.uploaded_bytes);
    assert_eq!((counts, report.failed.len()), ((3, 1, 0, 0), 2), "{report:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_is_not_found_and_what_is_down_is_unavailable() {
    let mut platform = Platform::start().await;
    let registry = platform.client();
    let error = registry.resolve("acp/product-image", "v9.9.9").await.unwrap_err();
    assert!(matches!(error, RegistryError::NotFound { .. }), "{error}");
    assert!(error.to_string().contains("acp/product-image:v9.9.9"), "{error}");
    assert_eq!(registry.exists("acp/product-image", "v9.9.9").await.unwrap(), None);
    platform.server.cut();
    let error = registry.resolve("acp/product-image", "v4.3.0").await.unwrap_err();
    assert!(error.may_pass(), "{error:?}");
    assert!(error.to_string().contains("Connection refused"), "{error}");
    let mut settings = platform.settings();
    settings.ca = Some(rcgen::generate_simple_self_signed(vec![]).unwrap().cert.pem().into());
    platform.server.resume().await.unwrap();
    assert!(registry.sign_in().await.is_ok());
    let error = Registry::new(settings).unwrap().sign_in().await.unwrap_err();
    assert!(!error.may_pass() && error.to_string().contains("certificate"), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_copies_at_once_both_succeed() {
    let platform = Platform::start().await;
    let (_work, folder) = extracted(3_000_000);
    let (one, other) = (platform.client(), platform.client());
    let (first, second) = tokio::join!(
        sync(plan(&folder), &one, 4, Arc::new(Silent)),
        sync(plan(&folder), &other, 4, Arc::new(Silent)),
    );
    assert_eq!((first.unwrap().failed.len(), second.unwrap().failed.len()), (0, 0));
    assert_eq!(check(&plan(&folder), &one, 4).await.unwrap(), []);
}
