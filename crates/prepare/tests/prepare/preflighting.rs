//! Preflight of the package in hand, where nothing of ours is installed and where something is.

use serde_json::{Value, json};

use crate::packages::{Contents, package};
use crate::stage::{Stage, registry};

#[tokio::test]
async fn preflight_reads_a_bare_platform_and_changes_nothing() {
    let stage = Stage::new(false).await;
    let folder = package(&stage.folder.path().join("package"), &Contents::default());
    let bare = stage.upgrade(&folder, &["--preflight"]).await;
    // Nothing at all is known of the platform: a person must bring the licence at least.
    assert_eq!(bare.code, 1, "{bare:?}");
    assert!(bare.out.starts_with("Summary\n  Cluster          global\n"), "{bare:?}");
    assert!(bare.out.contains("Current version  none (nothing is installed yet)"), "{bare:?}");

    let registry = registry(&stage.folder.path().join("registry")).await;
    stage.platform(&registry, "4.2.1").await;
    stage.set_settings("disabled: [PlatformLicense, Nonsense]").await;
    let some = stage.upgrade(&folder, &["--preflight=true", "--cluster=global"]).await;
    assert!(some.out.contains("Current version  4.2.1\n  Desired version  4.3.0\n"));
    assert!(some.out.contains("Desired image    registry.local:"));
    assert!(some.out.contains("/acp/product-image@sha256:"));
    assert!(some.out.contains("Disabled  PlatformLicense"));
    assert!(some.out.contains("Disabled by cpaas-system/cvo-config: PlatformLicense\n"));
    for check in api::CheckName::ALL {
        let rows = some.out.lines().filter(|l| l.split_whitespace().nth(1) == Some(check.as_str()));
        assert_eq!(rows.count(), 1, "{check}");
    }
    assert!(some.out.contains("Passed    ClusterVersionUpgradeable"), "{}", some.out);
    assert!(some.out.contains("Passed    VersionUpgradePath"), "{}", some.out);

    // Settings that are not obeyed are an error, whatever the checks say.
    let passing = [control_plane(), static_pods()].concat();
    stage.apply(&passing).await;
    for (settings, wrong) in [
        ("disabled: [PlatformLicense, Nonsense]", "unknown check 'Nonsense' ignored"),
        ("disabled: [PlatformLicense", "not valid YAML, ignored"),
    ] {
        stage.set_settings(settings).await;
        let refused = stage.upgrade(&folder, &["--preflight"]).await;
        assert_eq!(refused.code, 1, "{refused:?}");
        let error = format!("error: cpaas-system/cvo-config is wrong: {wrong}");
        assert!(refused.err.contains(&error), "{refused:?}");
        let hint = "hint: correct it: kubectl -n cpaas-system edit configmap cvo-config";
        assert!(refused.err.contains(hint), "{refused:?}");
    }

    // What is said is what is done.
    stage.set_settings("disabled: [PlatformLicense]").await;
    let passed = stage.upgrade(&folder, &["--preflight"]).await;
    assert_eq!(passed.code, 0, "{passed:?}");
    let passing = api::CheckName::ALL.len() - 1;
    let result = format!("Result           PASSED   1 disabled, {passing} passed   (read-only");
    assert!(passed.out.contains(&result), "{passed:?}");
    assert_eq!(stage.changes(), Vec::<String>::new(), "preflight changes nothing");

    // A version outside the path is not let.
    stage.apply(&[Stage::product_base("registry.local:1", false, "3.9.0")]).await;
    let outside = stage.upgrade(&folder, &["--preflight"]).await;
    assert_eq!(outside.code, 1);
    assert!(outside.out.contains("Failed    VersionUpgradePath"), "{}", outside.out);
    assert!(outside.out.contains("How to clear the failed checks\n  VersionUpgradePath:\n    "));
}

#[tokio::test]
async fn what_cannot_be_known_is_retry_and_exits_with_two() {
    let stage = Stage::new(false).await;
    let registry = registry(&stage.folder.path().join("registry")).await;
    stage.platform(&registry, "4.2.1").await;
    stage.apply(&[control_plane(), static_pods()].concat()).await;
    stage.set_settings("disabled: [PlatformLicense]").await;
    // A registered cluster that does not answer.
    let other = json!({
        "apiVersion": "platform.tkestack.io/v1", "kind": "Cluster",
        "metadata": { "name": "workload-a" }, "spec": { "type": "Baremetal" },
        "status": { "phase": "Running", "addresses": [
            { "type": "Advertise", "host": "127.0.0.1", "port": 1 },
        ] },
    });
    let credential = json!({
        "apiVersion": "platform.tkestack.io/v1", "kind": "ClusterCredential",
        "metadata": { "name": "workload-a" }, "clusterName": "workload-a", "token": "t",
    });
    stage.apply(&[other, credential]).await;
    let folder = package(&stage.folder.path().join("package"), &Contents::default());
    let ended = stage.upgrade(&folder, &["--preflight"]).await;
    assert_eq!(ended.code, 2, "{ended:?}");
    assert!(ended.out.contains("Retry     KubernetesVersionSupported"), "{}", ended.out);
    assert!(ended.out.contains("Result           UNKNOWN   1 retry, "), "{}", ended.out);
}

/// The control plane's node, as kubeadm makes it.
fn control_plane() -> Vec<Value> {
    vec![json!({
        "apiVersion": "v1", "kind": "Node",
        "metadata": { "name": "n1", "labels": { "node-role.kubernetes.io/control-plane": "" } },
        "status": { "nodeInfo": {
            "containerRuntimeVersion": "containerd://2.0.0", "architecture": "amd64",
            "bootID": "", "kernelVersion": "", "kubeProxyVersion": "", "kubeletVersion": "v1.33.0",
            "machineID": "", "operatingSystem": "linux", "osImage": "", "systemUUID": "",
        } },
    })]
}

fn static_pods() -> Vec<Value> {
    let pod = |component: &&str| {
        json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": { "name": format!("{component}-n1"), "namespace": "kube-system",
                "labels": { "component": component, "tier": "control-plane" } },
            "spec": { "nodeName": "n1", "containers": [{ "name": "it", "image": "i.invalid/i:1" }] },
            "status": { "phase": "Running", "conditions": [{ "type": "Ready", "status": "True" }] },
        })
    };
    api::names::STATIC_PODS.iter().map(pod).collect()
}
