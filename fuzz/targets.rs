//! What each fuzz target does with the bytes it is given, and what must hold then. `cargo fuzz`
//! runs these functions, and so do the tests of `artifacts`, on the corpora kept beside this file.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read as _, Write as _};

use api::config::PreflightConfig;
use api::version::{KubernetesVersion, Version, VersionRange};
use api::{ImageRef, Release, plugin_values};
use artifacts::content::{ReleaseContent, is_release_path};
use artifacts::digest;
use artifacts::oci::{
    CONFIG_TYPE, DOCUMENT_TYPES, Descriptor, ImageConfig, Index, LAYER_GZIP_TYPE, LAYER_TYPE,
    Manifest,
};
use artifacts::plugin::{self, PluginPackage};
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;

/// A target by its name: that of its file in `fuzz_targets` and of its folder in `corpus`.
pub(crate) type Target = (&'static str, fn(&[u8]));

/// Every target.
pub(crate) const TARGETS: [Target; 9] = [
    ("package_reader", package_reader),
    ("oci_manifest", oci_manifest),
    ("image_reference", image_reference),
    ("release_yaml", release_yaml),
    ("cvo_config", cvo_config),
    ("versions", versions),
    ("www_authenticate", www_authenticate),
    ("plugin_yaml", plugin_yaml),
    ("plugin_package", plugin_package),
];

const RELEASE: &str = "
formatVersion: 1
version: 4.3.0
upgradeFrom: { range: '>=4.2.1 <4.3.0' }
kubernetes: { creates: '1.34', compatible: '>=1.31 <1.35' }
minCVO: 4.3.0
stages:
- name: base
  priority: 1
  components:
  - { name: dns, version: 1.0.0, chart: charts/dns-1.0.0.tgz, namespace: kube-system }
";

/// The layer of a product image, plain and packed; a chart; the sums of a package.
pub(crate) fn package_reader(data: &[u8]) {
    for (kind, plain) in [(LAYER_TYPE, data), (LAYER_GZIP_TYPE, &unpacked(data)[..])] {
        let config = format!(
            r#"{{"architecture":"amd64","os":"linux","rootfs":{{"diff_ids":["{}"]}}}}"#,
            digest::of(plain)
        );
        let manifest = Manifest::new(
            Descriptor::of(CONFIG_TYPE, config.as_bytes()),
            vec![Descriptor::of(kind, data)],
        );
        let read =
            ReleaseContent::read(digest::of(b"manifest"), &manifest, config.as_bytes(), data);
        if let Ok(content) = read {
            assert!(content.files.keys().all(|path| is_release_path(path)));
        }
    }
    let release = Release::parse(RELEASE.as_bytes()).expect("the release here is a good one");
    let files = BTreeMap::from([("charts/dns-1.0.0.tgz".to_owned(), data.to_vec())]);
    if let Err(error) = artifacts::build::product_image(&release, files) {
        one_line(&error.to_string());
    }
    if let Ok(sums) = artifacts::package::parse_sums(data) {
        let leaves = |name: &String| {
            name.starts_with('/') || name.split('/').any(|part| matches!(part, "" | "." | ".."))
        };
        assert!(!sums.keys().any(leaves));
    }
}

/// Manifests under every media type, indexes, configurations of images.
pub(crate) fn oci_manifest(data: &[u8]) {
    let mut read = 0;
    for kind in DOCUMENT_TYPES {
        match Manifest::parse(data, kind) {
            Ok(manifest) => {
                let again = serde_json::to_vec(&manifest).expect("what was read can be written");
                let kind = manifest.media_type.as_deref().unwrap_or(kind);
                assert_eq!(Manifest::parse(&again, kind).ok().as_ref(), Some(&manifest));
                read += 1;
            }
            Err(error) => one_line(&error.to_string()),
        }
    }
    let is_index = Index::parse(data).is_ok();
    assert!(!(is_index && read > 0), "a document is read in two ways");
    // Nothing has to hold of a configuration but that it is read or refused.
    let _read = ImageConfig::parse(data);
}

/// References of images.
pub(crate) fn image_reference(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match text.parse::<ImageRef>() {
        Ok(reference) => {
            let again = reference.to_string();
            assert_eq!(again.parse().as_ref(), Ok(&reference), "{again}");
            assert!(!reference.repository.split('/').any(|part| matches!(part, "" | "." | "..")));
        }
        Err(error) => one_line(&error.to_string()),
    }
}

/// `release.yaml`.
pub(crate) fn release_yaml(data: &[u8]) {
    match Release::parse(data) {
        Ok(release) => {
            let leaves = |path: &str| path.starts_with('/') || path.split('/').any(|p| p == "..");
            assert!(!release.components().any(|(_, component)| leaves(component.path())));
        }
        Err(error) => one_line(&error.to_string()),
    }
}

/// `preflight` of cvo-config.
pub(crate) fn cvo_config(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let config = PreflightConfig::parse(text);
    config.problems.iter().for_each(|problem| one_line(problem));
    let is_malformed = config.problems.iter().any(|p| p.starts_with("not valid YAML"));
    assert!(!is_malformed || config.disabled.is_empty(), "malformed YAML disables something");
}

/// Versions and ranges of versions.
pub(crate) fn versions(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (version, range) = (text.parse::<Version>(), text.parse::<VersionRange>());
    let kubernetes = text.parse::<KubernetesVersion>();
    if let Ok(version) = &version {
        assert_eq!(version.to_string().parse().as_ref(), Ok(version));
    }
    if let (Ok(version), Ok(range)) = ("4.3.0".parse::<Version>(), &range) {
        let again: VersionRange = range.to_string().parse().expect("a range can be read again");
        assert_eq!(again.contains(&version), range.contains(&version));
    }
    if let (Ok(kubernetes), Ok(range)) = (&kubernetes, ">=1.31 <1.35".parse::<VersionRange>()) {
        // Whether it is inside or not: it must be told without a panic.
        let _inside = range.contains_kubernetes(kubernetes);
    }
}

/// `WWW-Authenticate` of a registry.
pub(crate) fn www_authenticate(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match artifacts::registry::token_realm(text, "registry.local:5000") {
        Ok(Some(realm)) => assert!(realm.starts_with("https://registry.local:5000/"), "{realm}"),
        Ok(None) => {}
        Err(reason) => one_line(&reason),
    }
}

/// `plugin.yaml` and `rbac.yaml` of a plugin package.
pub(crate) fn plugin_yaml(data: &[u8]) {
    match plugin::read_config(data) {
        Ok(config) => {
            for chart in config.app_releases.iter().flat_map(|release| &release.chart_versions) {
                let image = format!("registry.local:5000/{}:{}", chart.name, chart.version);
                assert!(image.parse::<ImageRef>().is_ok(), "{image}");
            }
            for template in config.values_templates.values() {
                let values = plugin_values::values(template, &config.config);
                assert!(values.expect("it was made of the defaults").is_object());
            }
            let problems = plugin_values::check(&config.deploy_descriptors, &config.config);
            problems.iter().for_each(|problem| one_line(problem));
        }
        Err(reason) => one_line(&reason),
    }
    match plugin::read_rights(data, "pages") {
        Ok(objects) => assert!(!objects[0]["rules"].to_string().contains('*')),
        Err(reason) => one_line(&reason),
    }
}

/// The archive of a plugin package, before it is packed.
pub(crate) fn plugin_package(data: &[u8]) {
    let folder = tempfile::tempdir().expect("there is room for a folder");
    let (file, into) = (folder.path().join("plugin.tgz"), folder.path().join("unpacked"));
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(data).expect("memory takes everything");
    fs::write(&file, packed.finish().expect("memory takes everything")).expect("there is room");
    if let Err(error) = plugin::peek(&file) {
        one_line(&error.to_string());
    }
    match PluginPackage::unpack(&file, &into, |_| {}) {
        Ok(package) => {
            assert!(api::names::is_label(package.name()));
            assert!(package.verify(|_| {}).is_ok(), "what was unpacked is not what its sums say");
        }
        Err(error) => one_line(&error.to_string()),
    }
    let beside = fs::read_dir(&folder).expect("it is there").count();
    assert!(beside <= 2, "something is written beside the folder that was given");
}

/// The first mebibyte of what is packed; nothing where it is no gzip.
fn unpacked(data: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    let read = GzDecoder::new(data).take(1024 * 1024).read_to_end(&mut plain);
    read.map_or_else(|_| Vec::new(), |_| plain)
}

/// What is told to a user is one line of a limited length.
fn one_line(text: &str) {
    assert!(!text.chars().any(char::is_control), "{text:?}");
    assert!(text.len() <= 1024, "{} bytes", text.len());
}
