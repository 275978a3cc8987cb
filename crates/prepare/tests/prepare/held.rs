//! What a registry holds of a package, looked at with the registry's own answers.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use artifacts::oci::{Descriptor, LAYER_TYPE};
use artifacts::package::Package;
use artifacts::registry::{Credentials, Registry, Settings};
use artifacts::sync::{Artifact, Plan, check};
use sandbox::TestRegistry;
use sandbox::registry::Access;

/// A package and the registry that it is sent to.
pub(crate) struct Held {
    pub(crate) artifacts: Vec<Artifact>,
    plan: Plan,
    registry: Registry,
}

impl Held {
    pub(crate) fn new(package: &Path, registry: &TestRegistry) -> Self {
        // The second test of this process finds it installed.
        let _installed = rustls::crypto::ring::default_provider().install_default();
        let mut settings = Settings::new(registry.address());
        settings.ca = Some(std::fs::read(registry.authority()).unwrap());
        let push = &registry.credentials().push;
        let (username, password) = (push.name.clone(), push.password.clone());
        settings.credentials = Some(Credentials { username, password });
        let package = Package::open(package, "amd64").unwrap();
        let work = tempfile::tempdir().unwrap();
        let plugins = package.plugins().iter().map(|file| file.open(work.path()).unwrap());
        let plugins: Vec<_> = plugins.collect();
        let plugins = plugins.iter().map(|plugin| plugin.package.layout());
        let plan = Plan::of_layouts(std::iter::once(package.layout()).chain(plugins)).unwrap();
        let registry = Registry::new(settings).unwrap();
        Self { artifacts: plan.artifacts.clone(), plan, registry }
    }

    /// Every manifest that is visible has its blobs; gives how many are.
    pub(crate) async fn visible(&self) -> usize {
        let mut visible = 0;
        for one in &self.artifacts {
            if self.registry.exists(&one.repository, &one.tag).await.unwrap().is_none() {
                continue;
            }
            visible += 1;
            for blob in &one.blobs {
                let has = self.registry.has_blob(&one.repository, &blob.digest, blob.size).await;
                assert!(has.unwrap(), "{} is visible without {}", one.name(), blob.digest);
            }
        }
        visible
    }

    /// All is there, every blob with its digest.
    pub(crate) async fn is_whole(&self) {
        assert_eq!(check(&self.plan, &self.registry, 4).await.unwrap(), []);
        for one in &self.artifacts {
            for blob in &one.blobs {
                let descriptor = Descriptor::new(LAYER_TYPE, blob.digest.clone(), blob.size);
                // It hashes what it reads.
                self.registry.pull_blob(&one.repository, &descriptor).await.unwrap();
            }
        }
    }

    /// The bytes that must be sent when these blobs are there, each of the others once.
    pub(crate) fn missing(&self, finished: &BTreeSet<String>) -> u64 {
        let all = self.artifacts.iter().flat_map(|one| &one.blobs);
        let sizes: BTreeMap<String, u64> = all.map(|b| (b.digest.to_string(), b.size)).collect();
        sizes.iter().filter(|(digest, _)| !finished.contains(*digest)).map(|(_, size)| size).sum()
    }
}

fn is_upload(request: &&Access) -> bool {
    request.writes() && request.path.contains("/blobs/uploads/")
}

/// The digests of the blobs that were stored by these requests.
pub(crate) fn finished(requests: &[Access]) -> BTreeSet<String> {
    let stored = requests.iter().filter(is_upload).filter(|r| r.status == 201);
    let digest = |r: &Access| {
        let pair = r.query.split('&').find_map(|p| p.strip_prefix("digest=").map(str::to_owned));
        pair.map(|text| text.replace("%3A", ":"))
    };
    stored.filter_map(digest).collect()
}

/// The bytes of blobs that came with these requests.
pub(crate) fn received(requests: &[Access]) -> u64 {
    requests.iter().filter(is_upload).map(|r| r.received).sum()
}
