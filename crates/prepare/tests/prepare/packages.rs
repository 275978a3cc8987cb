//! A small core package with everything that a real one has.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use api::Release;
use api::names::{CVO, CVO_REPOSITORY, NAMESPACE, PRODUCT_IMAGE_REPOSITORY};
use api::signing_key::{Signer, SigningKey};
use artifacts::build::package::{pack, write_sums};
use artifacts::build::{ImageBuilder, LayoutWriter, Tree, product_image, sign_package, tgz};
use serde_json::{Value, json};

/// What tests may choose of a package.
#[derive(Debug, Clone)]
pub(crate) struct Contents {
    pub(crate) version: &'static str,
    /// Versions under `upgradeFrom.partial`.
    pub(crate) partial: &'static str,
    /// Makes the operator's image another one.
    pub(crate) operator: u64,
    pub(crate) architecture: &'static str,
    /// How many bytes the operator's program has.
    pub(crate) operator_bytes: usize,
    /// How many plugin packages there are beside that of logging.
    pub(crate) more_plugins: u64,
    /// Who signs the package and its release.
    pub(crate) signers: Vec<Signer>,
    /// Which keys the release lists.
    pub(crate) keys: Vec<SigningKey>,
}

/// The publisher, whom the releases of the tests list.
pub(crate) fn publisher() -> Signer {
    Signer::new("publisher-1", &[41; 32])
}

/// A key that counts for the time of the tests.
pub(crate) fn listed(signer: &Signer) -> SigningKey {
    signer.public("2099-12-31".parse().unwrap())
}

impl Default for Contents {
    fn default() -> Self {
        Self {
            version: "4.3.0",
            partial: "",
            operator: 1,
            architecture: "amd64",
            operator_bytes: 300_000,
            more_plugins: 0,
            signers: vec![publisher()],
            keys: vec![listed(&publisher())],
        }
    }
}

/// Bytes that no packing makes much smaller.
pub(crate) fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

fn release(contents: &Contents) -> Release {
    let Contents { version, partial, .. } = contents;
    let text = format!(
        "
formatVersion: 1
version: {version}
upgradeFrom: {{ range: '>=4.0.0 <{version}', partial: [{partial}] }}
kubernetes: {{ creates: '1.34', compatible: '>=1.31 <1.35' }}
minCVO: {version}
stages:
- name: base
  priority: 1
  components:
  - {{ name: dns, version: 1.0.0, chart: charts/dns-1.0.0.tgz, namespace: kube-system }}
"
    );
    let mut release = Release::parse(text.as_bytes()).unwrap();
    release.signing_keys.clone_from(&contents.keys);
    release
}

fn project() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Writes an extracted package and gives its folder.
pub(crate) fn package(folder: &Path, contents: &Contents) -> PathBuf {
    let version = contents.version;
    let tag = format!("v{version}");
    fs::create_dir_all(folder.join("bin")).unwrap();
    fs::create_dir_all(folder.join("plugins")).unwrap();
    fs::copy(project().join("package/upgrade.sh"), folder.join("upgrade.sh")).unwrap();
    let program = Path::new(env!("CARGO_BIN_EXE_acp-prepare"));
    if fs::hard_link(program, folder.join("bin/acp-prepare")).is_err() {
        fs::copy(program, folder.join("bin/acp-prepare")).unwrap();
    }
    plugin(&folder.join("plugins"), "logging", "1.2.0", &noise(9, 5000), None);
    for number in 1..=contents.more_plugins {
        let bytes = noise(100 + number, 5000);
        plugin(&folder.join("plugins"), &format!("more{number}"), "1.0.0", &bytes, None);
    }
    let mut layout = LayoutWriter::create(&folder.join("images")).unwrap();
    let image = |seed, length| {
        let mut tree = Tree::default();
        tree.program("program", noise(seed, length)).unwrap();
        ImageBuilder::new(tree).entrypoint(["/program"]).architecture(contents.architecture)
    };
    let operator = image(contents.operator, contents.operator_bytes);
    operator.write(&mut layout, CVO_REPOSITORY, &tag).unwrap();
    image(77, 300_000).write(&mut layout, "acp/dns", "v1").unwrap();
    let mut chart = Tree::default();
    chart.file("dns/Chart.yaml", b"name: dns\n".to_vec()).unwrap();
    let charts = BTreeMap::from([("charts/dns-1.0.0.tgz".to_owned(), tgz(&chart).unwrap())]);
    let product = product_image(&release(contents), charts).unwrap();
    let product = product.architecture(contents.architecture);
    let product = product.write(&mut layout, PRODUCT_IMAGE_REPOSITORY, &tag).unwrap();
    if !contents.signers.is_empty() {
        layout.sign(&product, &contents.signers).unwrap();
    }
    layout.finish().unwrap();
    deploy(&folder.join("deploy"));
    write_sums(folder).unwrap();
    if !contents.signers.is_empty() {
        sign_package(folder, &contents.signers).unwrap();
    }
    folder.to_owned()
}

/// Writes a plugin package of one chart into a folder, and gives its file.
pub(crate) fn plugin(
    folder: &Path,
    name: &str,
    version: &str,
    bytes: &[u8],
    signer: Option<&Signer>,
) -> PathBuf {
    plugin_of(folder, [name, version], bytes, signer, None)
}

/// The same with an image for an architecture.
pub(crate) fn plugin_for(folder: &Path, name: &str, architecture: &str) -> PathBuf {
    plugin_of(folder, [name, "1.0.0"], b"noise", None, Some(architecture))
}

fn plugin_of(
    folder: &Path,
    [name, version]: [&str; 2],
    bytes: &[u8],
    signer: Option<&Signer>,
    architecture: Option<&str>,
) -> PathBuf {
    let work = tempfile::tempdir().unwrap();
    let stem = format!("{name}-{version}");
    let inside = work.path().join(&stem);
    fs::create_dir_all(inside.join("charts")).unwrap();
    let mut tree = Tree::default();
    let about = json!({ "apiVersion": "v2", "name": name, "version": version });
    tree.file(&format!("{name}/Chart.yaml"), about.to_string().into_bytes()).unwrap();
    tree.file(&format!("{name}/noise"), bytes.to_vec()).unwrap();
    let packed = tgz(&tree).unwrap();
    fs::write(inside.join(format!("charts/{stem}.tgz")), &packed).unwrap();
    let mut layout = LayoutWriter::create(&inside.join("images")).unwrap();
    let repository = format!("acp/chart-{name}");
    let chart = layout.chart(&repository, version, &about, &packed).unwrap();
    let images = architecture.map(|architecture| {
        let image = ImageBuilder::new(Tree::default()).architecture(architecture);
        let image = image.write(&mut layout, &format!("acp/{name}"), version).unwrap();
        json!({ name: image })
    });
    layout.finish().unwrap();
    let object = |kind: &str, name: &str, spec: &Value| {
        let labels = json!({ "cpaas.io/module-name": stem.split('-').next(), "cpaas.io/lifecycle-type": "Aligned" });
        json!({
            "apiVersion": "cluster.alauda.io/v1alpha1", "kind": kind,
            "metadata": { "name": name, "labels": labels }, "spec": spec,
        })
    };
    let spec = json!({
        "name": name, "version": version, "targetClusterVersions": ["4.3"],
        "images": images.unwrap_or_else(|| json!({})),
        "appReleases": [{ "name": name, "chartVersions": [{
            "name": repository, "releaseName": name, "version": version, "digest": chart.digest,
        }] }],
    });
    let role = api::names::plugin_role(name);
    let group = "rbac.authorization.k8s.io";
    let right = |kind: &str, more: Value| {
        let mut object = json!({
            "apiVersion": format!("{group}/v1"), "kind": kind, "metadata": { "name": role },
        });
        object.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        object
    };
    let rules =
        json!([{ "apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "patch"] }]);
    let write = |file: &str, objects: [Value; 2]| {
        let text = objects.map(|object| object.to_string()).join("\n---\n");
        fs::write(inside.join(file), text).unwrap();
    };
    write(
        "plugin.yaml",
        [object("ModulePlugin", name, &spec), object("ModuleConfig", &stem, &spec)],
    );
    let binding = json!({
        "roleRef": { "apiGroup": group, "kind": "ClusterRole", "name": role },
        "subjects": [{ "kind": "ServiceAccount", "name": CVO, "namespace": NAMESPACE }],
    });
    write(
        "rbac.yaml",
        [right("ClusterRole", json!({ "rules": rules })), right("ClusterRoleBinding", binding)],
    );
    write_sums(&inside).unwrap();
    if let Some(signer) = signer {
        sign_package(&inside, std::slice::from_ref(signer)).unwrap();
    }
    let target = folder.join(format!("{stem}.tgz"));
    pack(&inside, &stem, &target).unwrap();
    target
}

/// What a real package deploys.
fn deploy(folder: &Path) {
    fs::create_dir_all(folder).unwrap();
    for entry in fs::read_dir(project().join("package/deploy")).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), folder.join(entry.file_name())).unwrap();
    }
    for crd in api::crds::own() {
        let file = format!("10-crd-{}.yaml", crd.spec.names.plural);
        fs::write(folder.join(file), serde_saphyr::to_string(&crd).unwrap()).unwrap();
    }
}
