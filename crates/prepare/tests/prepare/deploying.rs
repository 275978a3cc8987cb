//! Deploy on a real API server whose Pods are simulated; the test plays the operator that takes the
//! Lease.

use std::time::Duration;

use api::names::{CVO, NAMESPACE, PULL_SECRET};
use sandbox::TestRegistry;
use sandbox::process::run;
use serde_json::{Value, json};

use crate::packages::{Contents, package};
use crate::stage::{Stage, registry};

const DEPLOYMENT: &str = "deployment/cluster-version-operator";

/// Takes the Lease for a Pod of the newest operator whenever there is one; never returns.
async fn lead(stage: &Stage) {
    loop {
        let image = "jsonpath={.spec.template.spec.containers[0].image}";
        let kubectl = |words: Vec<&str>| {
            let mut kubectl = stage.plane.kubectl();
            kubectl.args(["-n", NAMESPACE]).args(words);
            async move { run(&mut kubectl, Duration::from_secs(10)).await.unwrap_or_default() }
        };
        let image = kubectl(vec!["get", DEPLOYMENT, "-o", image]).await;
        let pods = kubectl(vec!["get", "pods", "-o", "json"]).await;
        let pods: Value = serde_json::from_str(&pods).unwrap_or_default();
        let newest = pods["items"].as_array().into_iter().flatten().find(|pod| {
            pod["spec"]["containers"][0]["image"].as_str() == Some(&image)
                && pod["status"]["phase"] == "Running"
        });
        if let Some(name) = newest.and_then(|pod| pod["metadata"]["name"].as_str()) {
            let lease = json!({
                "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
                "metadata": { "name": CVO, "namespace": NAMESPACE },
                "spec": { "holderIdentity": name },
            });
            stage.apply(&[lease]).await;
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
}

/// What happens on a stage where every new operator takes the Lease.
async fn with_leaders(happens: impl AsyncFnOnce(&Stage)) {
    let stage = Stage::new(true).await;
    tokio::select! {
        () = happens(&stage) => {}
        () = lead(&stage) => unreachable!("it never returns"),
    }
}

async fn jsonpath(stage: &Stage, object: &str, path: &str) -> String {
    stage.kubectl(&["get", "-n", NAMESPACE, object, "-o", &format!("jsonpath={path}")]).await
}

/// Versions of everything that deploy may write.
async fn versions(stage: &Stage) -> String {
    let kinds = "crd,clusterrole,clusterrolebinding,role,rolebinding,configmap,serviceaccount,\
                 service,poddisruptionbudget,productmanifest";
    let path =
        "{range .items[*]}{.kind}/{.metadata.name}={.metadata.resourceVersion}{\"\\n\"}{end}";
    let all = jsonpath(stage, kinds, path).await;
    let generation = jsonpath(stage, DEPLOYMENT, "{.metadata.generation}").await;
    format!("{all}{generation}")
}

async fn walk(stage: &Stage) {
    let registry = registry(&stage.folder.path().join("registry")).await;
    stage.platform(&registry, "4.2.1").await;
    let packages =
        |name: &str, contents: Contents| package(&stage.folder.path().join(name), &contents);
    let older =
        packages("4.2.1", Contents { version: "4.2.1", operator: 2, ..Contents::default() });
    let newer = packages("4.3.0", Contents::default());

    // A platform that has nothing of ours: sync and deploy in one.
    let first = stage.upgrade(&older, &[]).await;
    assert_eq!(first.code, 0, "{first:?}");
    assert!(first.out.contains("Synchronised 5 artifacts: 5 uploaded"));
    // What the read-only phases are measured by sees the writes of this one.
    assert!(stage.changes().contains(&"patch productmanifests".to_owned()));
    assert!(first.out.contains("Operator 4.2.1 leads: Pod cluster-version-operator-"));
    assert!(first.out.contains("Published v4.2.1: registry.local:"));
    // The plugin package in plugins/: one plugin, under the name of whoever publishes plugins.
    assert!(first.out.contains("Plugins:  logging 1.2.0 (Aligned)\n"), "{first:?}");
    assert!(first.err.contains("plugin logging 1.2.0 (Aligned) is published, but"), "{first:?}");
    let version = jsonpath(stage, "moduleconfig/logging-1.2.0", "{.spec.version}").await;
    assert_eq!(version, "1.2.0");
    let manager = "{.metadata.managedFields[0].manager}";
    for object in ["moduleplugin/logging", "moduleconfig/logging-1.2.0"] {
        assert_eq!(jsonpath(stage, object, manager).await, "violet", "{object}");
    }
    let role = format!("clusterrole/{}", api::names::plugin_role("logging"));
    assert_eq!(jsonpath(stage, &role, "{.rules[0].resources[0]}").await, "configmaps");
    let image = jsonpath(stage, "productmanifest/v4.2.1", "{.spec.image}").await;
    assert!(image.starts_with("registry.local:") && image.contains("/acp/product-image@sha256:"));
    let operator = jsonpath(stage, DEPLOYMENT, "{.spec.template.spec.containers[0].image}").await;
    assert!(operator.contains("/acp/cluster-version-operator@sha256:"), "{operator}");
    let ca = jsonpath(stage, "configmap/registry-ca", "{.data.ca\\.crt}").await;
    assert_eq!(ca.trim(), std::fs::read_to_string(registry.authority()).unwrap().trim());

    // Again: nothing changes.
    let before = versions(stage).await;
    let again = stage.upgrade(&older, &["--skip-sync-image"]).await;
    assert_eq!(again.code, 0, "{again:?}");
    assert!(again.out.contains("Checked 5 artifacts: all are in"));
    assert!(again.out.contains("0 created, 0 changed, "), "{}", again.out);
    assert!(again.out.contains("v4.2.1 is published already"));
    assert_eq!(versions(stage).await, before);

    // A newer one takes over, from two hosts at once; after that the older one is refused.
    let elsewhere = packages("4.3.0 on another host", Contents::default());
    let (second, other) = tokio::join!(stage.upgrade(&newer, &[]), stage.upgrade(&elsewhere, &[]));
    for host in [&second, &other] {
        assert_eq!(host.code, 0, "{second:?}\n{other:?}");
        let published = ["Published v4.3.0", "v4.3.0 is published already"];
        assert!(published.iter().any(|said| host.out.contains(said)), "{host:?}");
    }
    let lower = stage.upgrade(&older, &["--skip-sync-image"]).await;
    assert_eq!(lower.code, 1);
    assert!(lower.err.contains("lower than the running one, 4.3.0"), "{}", lower.err);
    past_rights(stage, &newer).await;
}

/// From a platform that was just deployed on to releases that it must not take, or cannot.
async fn refusals(stage: &Stage) {
    let registry = registry(&stage.folder.path().join("registry")).await;
    stage.platform(&registry, "4.2.1").await;
    let newer = package(&stage.folder.path().join("4.3.0"), &Contents::default());
    let first = stage.upgrade(&newer, &[]).await;
    assert_eq!(first.code, 0, "{first:?}");
    in_flight(stage, &newer).await;
    unable(stage).await;
}

/// A ClusterRole with which a release comes, and its binding.
fn rights(version: &str) -> [Value; 2] {
    let group = "rbac.authorization.k8s.io";
    let name = format!("acp:{CVO}:v{version}");
    let metadata = json!({
        "name": name,
        "labels": {
            "app.kubernetes.io/name": CVO, "app.kubernetes.io/part-of": "acp",
            "app.kubernetes.io/version": version,
        },
    });
    let of = |kind: &str| json!({ "apiVersion": format!("{group}/v1"), "kind": kind, "metadata": metadata });
    let mut binding = of("ClusterRoleBinding");
    binding["roleRef"] = json!({ "apiGroup": group, "kind": "ClusterRole", "name": name });
    [of("ClusterRole"), binding]
}

/// Once every cluster is past a release, the operator has no rights for it any more.
async fn past_rights(stage: &Stage, newer: &std::path::Path) {
    let of_releases = async || {
        let kinds = "clusterrole,clusterrolebinding";
        let names = jsonpath(stage, kinds, "{.items[*].metadata.name}").await;
        names.split(' ').filter(|name| name.contains(":v4.")).map(str::to_owned).collect::<Vec<_>>()
    };
    stage.apply(&[rights("4.2.1"), rights("4.3.0"), rights("4.4.0")].concat()).await;
    // Something else installed it: nobody recorded whom it trusts.
    let at = |version: &str| {
        json!({
            "apiVersion": "product.alauda.io/v1alpha1", "kind": "ClusterVersionShadow",
            "metadata": { "name": "global", "namespace": NAMESPACE }, "spec": {},
            "status": { "revision": 1, "current": { "version": version, "image": "" } },
        })
    };
    for (version, gone) in [("4.2.1", 0), ("4.3.0", 2)] {
        stage.apply(&[at(version)]).await;
        let before = of_releases().await;
        let again = stage.upgrade(newer, &["--skip-sync-image"]).await;
        assert_eq!(again.code, 0, "{again:?}");
        let after = of_releases().await;
        assert_eq!(after.len() + gone, before.len(), "at {version}: {before:?}, {after:?}");
        let said = again.out.contains("Took away rights for releases below 4.3.0");
        assert_eq!(said, gone > 0, "{}", again.out);
    }
    assert!(!of_releases().await.iter().any(|name| name.ends_with("v4.2.1")));
}

/// While an upgrade is in flight the operator stays, unless the release takes over from there.
async fn in_flight(stage: &Stage, newer: &std::path::Path) {
    let entry =
        json!({ "version": "4.3.0", "state": "Partial", "startedTime": "2026-01-01T00:00:00Z" });
    let digest = "0".repeat(64);
    stage
        .apply(&[json!({
            "apiVersion": "product.alauda.io/v1alpha1", "kind": "ClusterVersionShadow",
            "metadata": { "name": "global", "namespace": NAMESPACE }, "spec": {},
            "status": {
                "revision": 1,
                "history": [entry],
                "desired": { "version": "4.3.0", "image": format!("r/a@sha256:{digest}") },
            },
        })])
        .await;
    let contents = Contents { version: "4.3.1", operator: 3, ..Contents::default() };
    let other = package(&stage.folder.path().join("4.3.1"), &contents);
    let refused = stage.upgrade(&other, &[]).await;
    assert_eq!(refused.code, 1);
    assert!(refused.err.contains("global is on its way to 4.3.0"), "{}", refused.err);
    assert!(!refused.out.contains("Synchronised"), "nothing is sent for what is refused");
    let same = stage.upgrade(newer, &["--skip-sync-image"]).await;
    assert_eq!(same.code, 0, "{same:?}");
    let contents = Contents { partial: "4.3.0", ..contents };
    let way_out = package(&stage.folder.path().join("4.3.1-way-out"), &contents);
    let taken = stage.upgrade(&way_out, &[]).await;
    assert_eq!(taken.code, 0, "{taken:?}");

    // The same version with another product image is another release.
    let before = versions(stage).await;
    let clash = stage.upgrade(&other, &[]).await;
    assert_eq!(clash.code, 1);
    assert!(clash.err.contains("ProductManifest v4.3.1 was published"), "{}", clash.err);
    assert_eq!(versions(stage).await, before);
}

/// An operator that does not come up: what it waits for is said when the time is over.
async fn unable(stage: &Stage) {
    stage.kubectl(&["delete", "-n", NAMESPACE, "cvsh", "global"]).await;
    let quota = ["create", "quota", "none", "-n", NAMESPACE, "--hard=pods=0"];
    stage.kubectl(&quota).await;
    let contents = Contents { version: "4.4.0", operator: 4, ..Contents::default() };
    let folder = package(&stage.folder.path().join("4.4.0"), &contents);
    let ended = stage.upgrade(&folder, &["--timeout=8s"]).await;
    assert_eq!(ended.code, 1);
    assert!(ended.err.contains("operator 4.4.0 does not hold the Lease"), "{}", ended.err);
    assert!(ended.err.contains("exceeded quota"), "{}", ended.err);
    let published = stage.kubectl(&["get", "productmanifests", "-o", "name"]).await;
    assert!(!published.contains("v4.4.0"), "{published}");
}

#[tokio::test]
async fn deploy_comes_again_and_never_goes_back() {
    with_leaders(walk).await;
}

#[tokio::test]
async fn deploy_refuses_what_it_must() {
    with_leaders(refusals).await;
}

/// The account with which Pods pull from an external registry.
fn pull_secret(registry: &TestRegistry) -> Value {
    let pull = &registry.credentials().pull;
    let entry = json!({ "username": pull.name, "password": pull.password });
    let accounts = json!({ "auths": { registry.address(): entry } }).to_string();
    json!({
        "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/dockerconfigjson",
        "metadata": { "name": PULL_SECRET, "namespace": NAMESPACE },
        "stringData": { ".dockerconfigjson": accounts },
    })
}

async fn without_sync(stage: &Stage) {
    let registry = registry(&stage.folder.path().join("registry")).await;
    stage.platform(&registry, "4.2.1").await;
    let base = Stage::product_base(registry.address(), true, "4.2.1");
    stage.apply(&[base, pull_secret(&registry)]).await;
    let packages =
        |name: &str, contents: Contents| package(&stage.folder.path().join(name), &contents);
    let older =
        packages("4.2.1", Contents { version: "4.2.1", operator: 2, ..Contents::default() });
    let newer = packages("4.3.0", Contents::default());
    let asked = || registry.access_log().unwrap();

    // An external registry that has nothing: the sync is skipped, the check is not.
    let missing = stage.upgrade(&older, &[]).await;
    assert_eq!(missing.code, 1, "{missing:?}");
    assert!(missing.out.contains("Sync:     skipped (external registry"), "{missing:?}");
    assert!(missing.err.contains("error: 5 of 5 artifacts are not in"), "{missing:?}");
    assert_eq!(stage.changes(), Vec::<String>::new());

    // Whoever skips the check as well goes on to deploy, and the registry is not asked.
    let before = asked().len();
    let flags = ["--skip-sync-image", "--skip-check-artifacts"];
    let unchecked = stage.upgrade(&older, &flags).await;
    assert_eq!(unchecked.code, 0, "{unchecked:?}");
    assert!(unchecked.out.contains("Sync:     skipped (--skip-sync-image)"), "{unchecked:?}");
    assert!(!unchecked.out.contains("Checked "), "{unchecked:?}");
    let published = format!("Published v4.2.1: {}/acp/product-image@sha256:", registry.address());
    assert!(unchecked.out.contains(&published), "{unchecked:?}");
    assert_eq!(asked().len(), before);

    // An administrator brings them; a bare run then checks that they are there, and deploys.
    let named = format!("--registry={}", registry.address());
    let brought = stage.upgrade(&newer, &["--only-sync-image", &named]).await;
    assert!(brought.code == 0 && brought.out.contains("5 uploaded"), "{brought:?}");
    let before = asked().len();
    let bare = stage.upgrade(&newer, &[]).await;
    assert_eq!(bare.code, 0, "{bare:?}");
    assert!(bare.out.contains("Sync:     skipped (external registry"), "{bare:?}");
    assert!(bare.out.contains("Deploy:   yes\n"), "{bare:?}");
    assert!(bare.out.contains("Checked 5 artifacts: all are in"), "{bare:?}");
    assert!(bare.out.contains("Published v4.3.0"), "{bare:?}");
    assert!(asked()[before..].iter().all(|request| !request.writes()), "nothing was sent");
}

#[tokio::test]
async fn deploy_follows_a_sync_that_is_skipped() {
    with_leaders(without_sync).await;
}
