//! Sync and the registry rules on a real cluster's objects and a real registry.

use api::names::{GLOBAL, NAMESPACE};
use sandbox::TestRegistry;
use serde_json::json;

use crate::packages::{Contents, package, plugin};
use crate::stage::{Stage, registry, upgrade};

/// Takes the VIP away; the platform says another name of this machine.
async fn without_a_vip(stage: &Stage, registry: &TestRegistry) {
    let cluster = json!({
        "apiVersion": "platform.tkestack.io/v1", "kind": "Cluster",
        "metadata": { "name": GLOBAL }, "spec": { "type": "Baremetal" },
        "status": { "phase": "Running", "addresses": [
            { "type": "Real", "host": "10.255.255.1", "port": 6443 },
        ] },
    });
    let (_, port) = registry.address().rsplit_once(':').unwrap();
    let mut base = Stage::product_base(&format!("registry.local:{port}"), false, "4.2.1");
    base["spec"]["platformURL"] = json!("https://localhost:8443/console");
    stage.apply(&[cluster, base]).await;
}

#[tokio::test]
async fn the_registry_rules_hold_on_a_platform() {
    let stage = Stage::new(false).await;
    let registry = registry(&stage.folder.path().join("registry")).await;
    stage.platform(&registry, "4.2.1").await;
    let folder = package(&stage.folder.path().join("package"), &Contents::default());
    let (_, port) = registry.address().rsplit_once(':').unwrap();
    let pushes = || registry.access_log().unwrap().iter().filter(|one| one.writes()).count();

    // Built-in: the address is rebuilt from the global VIP, the account is the platform's.
    let built_in = stage.upgrade(&folder, &["--only-sync-image"]).await;
    assert_eq!(built_in.code, 0);
    let first = format!("Registry: 127.0.0.1:{port} (built-in, from the global VIP)");
    assert!(built_in.out.contains(&first));
    assert!(built_in.out.contains("Deploy:   no (--only-sync-image)"));
    assert!(built_in.out.contains("Synchronised 5 artifacts: 5 uploaded"));
    let sent = pushes();
    assert!(sent > 0);
    let again = stage.upgrade(&folder, &["--only-sync-image=true"]).await;
    assert!(again.out.contains("0 uploaded (0 B), 5 unchanged, 0 failed"));
    assert_eq!(pushes(), sent, "a second run sends nothing");

    // Without a VIP: the host of the platform's own address, with the registry's port.
    without_a_vip(&stage, &registry).await;
    let of_url = stage.upgrade(&folder, &["--only-sync-image"]).await;
    let host =
        format!("localhost:{port} (built-in, from the host of ProductBase.spec.platformURL)");
    assert!(of_url.out.contains(&format!("Registry: {host}")), "{of_url:?}");
    assert!(of_url.code == 0 && of_url.out.contains("5 unchanged, 0 failed"), "{of_url:?}");

    // External: nothing is sent, and it is said why.
    let external = |address: &str| vec![Stage::product_base(address, true, "4.2.1")];
    stage.apply(&external("harbor.invalid:443")).await;
    let skipped = stage.upgrade(&folder, &["--only-sync-image"]).await;
    assert_eq!(skipped.code, 0);
    assert!(skipped.out.contains("Registry: harbor.invalid:443 (external"));
    assert!(skipped.out.contains("Sync:     skipped (external registry"));

    // --registry lifts that, with the account of the Secret; the environment does not give way.
    let ca = format!("--registry-ca={}", registry.authority().display());
    let named = format!("--registry={}", registry.address());
    let sent = stage.upgrade(&folder, &["--only-sync-image", &named, &ca]).await;
    assert!(sent.code == 0 && sent.out.contains("(given by --registry)"));
    assert!(sent.out.contains("5 unchanged"));
    let flags = ["--only-sync-image", &named, &ca];
    let kept = stage.upgrade_with(&folder, &flags, &[("SKIP_SYNC_IMAGE", "true")]).await;
    assert!(kept.code == 0 && kept.out.contains("skipped (SKIP_SYNC_IMAGE=true"));

    // No ProductBase says nothing.
    stage.kubectl(&["delete", "productbase", "base"]).await;
    let none = stage.upgrade(&folder, &["--only-sync-image"]).await;
    assert!(none.code == 1 && none.err.contains("there is no ProductBase base"));
    assert!(none.err.contains("hint: name the registry"));
    assert_eq!(stage.changes(), Vec::<String>::new(), "a sync changes nothing in the cluster");
    assert!(stage.requests().len() > 10);
}

#[tokio::test]
async fn i8_readonly_phases_change_nothing() {
    let stage = Stage::new(false).await;
    let registry = registry(&stage.folder.path().join("registry")).await;
    stage.platform(&registry, "4.2.1").await;
    let folder = package(&stage.folder.path().join("package"), &Contents::default());
    assert_eq!(stage.upgrade(&folder, &["--only-sync-image"]).await.code, 0);
    let after_sync = stage.requests().len();
    assert!(after_sync >= 3, "the audit log shows what a sync reads");
    // Blocked, for this platform has no licence; what counts is that all was read.
    assert_eq!(stage.upgrade(&folder, &["--preflight"]).await.code, 1);
    assert!(stage.requests().len() > after_sync + 20, "{:?}", stage.requests());
    assert_eq!(stage.changes(), Vec::<String>::new());
}

#[tokio::test]
async fn with_registry_and_account_no_cluster_is_needed() {
    let folder = tempfile::tempdir().unwrap();
    let registry = registry(&folder.path().join("registry")).await;
    let package = package(&folder.path().join("package"), &Contents::default());
    let push = &registry.credentials().push;
    let ca = registry.authority().to_str().unwrap();
    let flags = ["--only-sync-image", "--registry", registry.address(), "--registry-ca", ca];
    let account = ["--username", &push.name, "--password-stdin"];
    let with_account = [&flags[..], &account].concat();
    let sent = upgrade(&package, &with_account, &[], &format!("{}\n", push.password)).await;
    assert!(sent.code == 0 && sent.out.contains("5 uploaded"), "{sent:?}");

    // The same account in a file.
    let accounts = package.join("accounts.json");
    let entry = json!({ "username": push.name, "password": push.password });
    let text = json!({ "auths": { registry.address(): entry } }).to_string();
    std::fs::write(&accounts, text).unwrap();
    let in_file = [&flags[..], &["--authfile", "accounts.json"]].concat();
    let again = upgrade(&package, &in_file, &[], "").await;
    assert!(again.code == 0 && again.out.contains("5 unchanged"), "{again:?}");

    let wrong = upgrade(&package, &with_account, &[], "wr0ng-word\n").await;
    assert!(wrong.code == 1 && wrong.err.contains("(401)"), "{wrong:?}");
    assert!(wrong.err.contains("hint: the user name or the password is wrong"), "{wrong:?}");
    assert!(!wrong.err.contains("wr0ng-word") && !wrong.out.contains("wr0ng-word"), "{wrong:?}");

    let pull = &registry.credentials().pull;
    let other = [&flags[..], &["--username", &pull.name, "--password-stdin"]].concat();
    plugin(&package.join("plugins"), "another", "1.0.0", b"x", None);
    let denied = upgrade(&package, &other, &[], &pull.password).await;
    assert!(denied.code == 1 && denied.err.contains("account that may push"), "{denied:?}");
    assert!(denied.err.contains("failed: acp/chart-another:1.0.0"), "{denied:?}");
    assert!(denied.out.contains(", 1 failed in"), "{denied:?}");
}

#[tokio::test]
async fn a_registry_that_cannot_be_used_is_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let mut registry = registry(&folder.path().join("registry")).await;
    let package = package(&folder.path().join("package"), &Contents::default());
    let address = registry.address().to_owned();
    let flags = ["--only-sync-image", "--registry", &address, "--username=u", "--password-stdin"];
    let unknown = upgrade(&package, &flags, &[], "p\n").await;
    assert!(unknown.code == 1 && unknown.err.contains("certificate"), "{unknown:?}");
    assert!(unknown.err.contains("hint: name the certificate"), "{unknown:?}");

    let text = package.join("ca.txt");
    std::fs::write(&text, "this is no certificate").unwrap();
    let with = |file: &'static str| [&flags[..], &["--registry-ca", file]].concat();
    let bad = upgrade(&package, &with("ca.txt"), &[], "p\n").await;
    assert!(bad.code == 1 && bad.err.contains("hint: name the certificate"), "{bad:?}");
    let lost = upgrade(&package, &with("lost.txt"), &[], "p\n").await;
    assert!(lost.code == 1 && lost.err.contains("lost.txt cannot be used"), "{lost:?}");

    registry.cut();
    let gone = upgrade(&package, &flags, &[], "p\n").await;
    assert!(gone.code == 1 && gone.err.contains(&address), "{gone:?}");
    assert!(gone.err.contains("hint: see whether it answers"), "{gone:?}");
}

#[tokio::test]
async fn missing_artifacts_are_listed_and_nothing_is_published() {
    let stage = Stage::new(false).await;
    let registry = registry(&stage.folder.path().join("registry")).await;
    stage.platform(&registry, "4.2.1").await;
    let folder = package(&stage.folder.path().join("package"), &Contents::default());
    let missing = stage.upgrade(&folder, &["--skip-sync-image"]).await;
    assert_eq!(missing.code, 1);
    for name in [
        "acp/product-image:v4.3.0",
        "acp/cluster-version-operator:v4.3.0",
        "acp/dns:v1",
        "acp/chart-logging:1.2.0",
    ] {
        assert!(missing.err.contains(&format!("missing: {name}")), "{name}");
    }
    assert!(missing.err.contains("error: 5 of 5 artifacts are not in"));
    assert!(missing.err.contains("--only-sync-image"));
    assert_eq!(stage.changes(), Vec::<String>::new());

    // Credentials that the API server does not take, or that may not read.
    let token = std::fs::read_to_string(stage.plane.kubeconfig()).unwrap();
    let expired = folder.join("expired");
    std::fs::write(&expired, token.replace(stage.plane.token(), "an-old-token")).unwrap();
    let variables = [("KUBECONFIG", "expired")];
    let refused = stage.upgrade_with(&folder, &["--preflight"], &variables).await;
    assert!(refused.code == 1 && refused.err.contains("does not accept the credentials"));
    assert!(refused.err.contains("hint: the token or certificate in expired has expired"));
    let nobody = stage.kubeconfig_as("nobody", &[]);
    let variables = [("KUBECONFIG", nobody.to_str().unwrap())];
    let refused = stage.upgrade_with(&folder, &["--skip-sync-image"], &variables).await;
    assert!(refused.code == 1 && refused.err.contains("cannot get resource \"productbases\""));
    assert!(refused.err.contains("must be an administrator's"));
    assert!(!stage.kubectl(&["get", "crd", "-o", "name"]).await.contains("productmanifests"));
    let left = stage.kubectl(&["get", "deployments", "-n", NAMESPACE, "-o", "name"]).await;
    assert_eq!(left, "");
}
