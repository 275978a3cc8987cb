//! A small core package with everything that a real one has.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use api::Release;
use api::names::{CVO_REPOSITORY, PRODUCT_IMAGE_REPOSITORY};
use api::signing_key::{Signer, SigningKey};
use artifacts::build::package::write_sums;
use artifacts::build::{ImageBuilder, LayoutWriter, Tree, product_image, sign_package, tgz};

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
fn noise(seed: u64, length: usize) -> Vec<u8> {
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
    fs::write(folder.join("plugins/logging-1.2.0.tgz"), noise(9, 5000)).unwrap();
    for number in 1..=contents.more_plugins {
        let path = folder.join(format!("plugins/more-1.0.{number}.tgz"));
        fs::write(path, noise(100 + number, 5000)).unwrap();
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
