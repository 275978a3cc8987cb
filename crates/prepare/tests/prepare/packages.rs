//! A small core package with everything that a real one has.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use api::Release;
use api::names::{CVO_REPOSITORY, PRODUCT_IMAGE_REPOSITORY};
use artifacts::build::package::write_sums;
use artifacts::build::{ImageBuilder, LayoutWriter, Tree, product_image, tgz};

/// What tests may choose of a package.
#[derive(Debug, Clone)]
pub(crate) struct Contents {
    pub(crate) version: &'static str,
    /// Versions under `upgradeFrom.partial`.
    pub(crate) partial: &'static str,
    /// Makes the operator's image another one.
    pub(crate) operator: u64,
    pub(crate) architecture: &'static str,
}

impl Default for Contents {
    fn default() -> Self {
        Self { version: "4.3.0", partial: "", operator: 1, architecture: "amd64" }
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
    Release::parse(text.as_bytes()).unwrap()
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
    let mut layout = LayoutWriter::create(&folder.join("images")).unwrap();
    let image = |seed| {
        let mut tree = Tree::default();
        tree.program("program", noise(seed, 300_000)).unwrap();
        ImageBuilder::new(tree).entrypoint(["/program"]).architecture(contents.architecture)
    };
    image(contents.operator).write(&mut layout, CVO_REPOSITORY, &tag).unwrap();
    image(77).write(&mut layout, "acp/dns", "v1").unwrap();
    let mut chart = Tree::default();
    chart.file("dns/Chart.yaml", b"name: dns\n".to_vec()).unwrap();
    let charts = BTreeMap::from([("charts/dns-1.0.0.tgz".to_owned(), tgz(&chart).unwrap())]);
    let product = product_image(&release(contents), charts).unwrap();
    let product = product.architecture(contents.architecture);
    product.write(&mut layout, PRODUCT_IMAGE_REPOSITORY, &tag).unwrap();
    layout.finish().unwrap();
    deploy(&folder.join("deploy"));
    write_sums(folder).unwrap();
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
