//! Plugin packages in `plugins/`: what must not be published is refused before anything is sent,
//! and preflight counts what deploy will publish.

use api::signing_key::Signer;
use serde_json::json;

use crate::packages::{Contents, noise, package, plugin, plugin_for, publisher};
use crate::stage::{Stage, registry};

#[tokio::test]
async fn a_plugin_that_must_not_be_published_is_refused_before_anything_is_sent() {
    let stage = Stage::new(false).await;
    let registry = registry(&stage.folder.path().join("registry")).await;
    stage.platform(&registry, "4.2.1").await;
    let folder = package(&stage.folder.path().join("package"), &Contents::default());
    let plugins = folder.join("plugins");
    let somebody = Signer::new("somebody", &[42; 32]);
    let sends_nothing = |ended: &crate::stage::Ended, says: &str| {
        assert!(ended.code == 1 && ended.err.contains(says), "{says}: {ended:?}");
        assert!(ended.err.contains("hint: "), "{ended:?}");
        let requests = registry.access_log().unwrap();
        assert!(!requests.iter().any(sandbox::registry::Access::writes), "{requests:?}");
        assert_eq!(stage.changes(), Vec::<String>::new());
    };

    let foreign = plugin(&plugins, "foreign", "1.0.0", &noise(3, 100), Some(&somebody));
    let refused = stage.upgrade(&folder, &[]).await;
    sends_nothing(&refused, "plugins/foreign-1.0.0.tgz: ");
    std::fs::remove_file(foreign).unwrap();

    let cut = plugin(&plugins, "cut", "1.0.0", &noise(4, 3000), None);
    let bytes = std::fs::read(&cut).unwrap();
    std::fs::write(&cut, &bytes[..bytes.len() / 2]).unwrap();
    let refused = stage.upgrade(&folder, &[]).await;
    sends_nothing(&refused, "plugins/cut-1.0.0.tgz is refused: it was cut");
    std::fs::remove_file(cut).unwrap();

    let elsewhere = plugin_for(&plugins, "elsewhere", "arm64");
    let refused = stage.upgrade(&folder, &[]).await;
    sends_nothing(&refused, "plugins/elsewhere-1.0.0.tgz");
    assert!(refused.err.contains("arm64") && refused.err.contains("amd64"), "{refused:?}");
    std::fs::remove_file(elsewhere).unwrap();

    // The version is in the catalogue with another content.
    let labels = json!({ "cpaas.io/module-name": "other" });
    stage
        .apply(&[json!({
            "apiVersion": "cluster.alauda.io/v1alpha1", "kind": "ModuleConfig",
            "metadata": { "name": "other-1.0.0", "labels": labels },
            "spec": { "name": "other", "version": "1.0.0", "targetClusterVersions": ["4.9"] },
        })])
        .await;
    let other = plugin(&plugins, "other", "1.0.0", &noise(5, 100), None);
    let refused = stage.upgrade(&folder, &[]).await;
    sends_nothing(&refused, "other-1.0.0 is published with another content");
    std::fs::remove_file(other).unwrap();

    // What is not signed was put there by the administrator; the publisher's signature counts.
    plugin(&plugins, "plain", "1.0.0", &noise(6, 100), None);
    plugin(&plugins, "signed", "1.0.0", &noise(7, 100), Some(&publisher()));
    let sent = stage.upgrade(&folder, &["--only-sync-image"]).await;
    assert!(sent.code == 0 && sent.out.contains("7 uploaded"), "{sent:?}");
    assert!(sent.err.contains("note: plugins/plain-1.0.0.tgz bears no signature"), "{sent:?}");
    assert!(!sent.err.contains("signed-1.0.0.tgz"), "{sent:?}");
    assert_eq!(stage.changes(), Vec::<String>::new());
}

#[tokio::test]
async fn preflight_counts_the_plugins_that_deploy_will_publish() {
    let stage = Stage::new(false).await;
    let registry = registry(&stage.folder.path().join("registry")).await;
    stage.platform(&registry, "4.2.1").await;
    let labels = json!({
        "cpaas.io/cluster-name": "global", "cpaas.io/module-name": "another",
        "cpaas.io/lifecycle-type": "Aligned",
    });
    let info = json!({
        "apiVersion": "cluster.alauda.io/v1alpha1", "kind": "ModuleInfo",
        "metadata": { "name": "global-another", "labels": labels },
        "spec": { "version": "0.9.0" },
        "status": { "phase": "Running", "version": "0.9.0" },
    });
    stage.apply(&[info]).await;
    let folder = package(&stage.folder.path().join("package"), &Contents::default());
    let missing = stage.upgrade(&folder, &["--preflight"]).await;
    assert!(missing.out.contains("no package for 4.3.0 of: another"), "{missing:?}");
    plugin(&folder.join("plugins"), "another", "1.0.0", &noise(3, 100), None);
    let there = stage.upgrade(&folder, &["--preflight"]).await;
    assert!(there.out.contains("ModuleInfoStable"), "{there:?}");
    assert!(!there.out.contains("no package for"), "{there:?}");
    assert_eq!(stage.changes(), Vec::<String>::new());
}
