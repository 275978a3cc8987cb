//! What hostile hands could make: layers, charts and packages, built here byte by byte. The tests
//! of the library and those of the program refuse the same ones.

pub(crate) mod archive;
pub(crate) mod charts;
pub(crate) mod layers;
pub(crate) mod tree;

use std::fs;
use std::path::Path;

use artifacts::build::package::write_sums;
use artifacts::build::{ImageBuilder, LayoutWriter, Tree};
use artifacts::digest;
use artifacts::oci::{CONFIG_TYPE, LAYER_GZIP_TYPE, LAYER_TYPE, Manifest, Platform};

use layers::Hostile;

/// The release of a good product image.
pub(crate) const RELEASE: &str = "
formatVersion: 1
version: 4.3.0
upgradeFrom: { range: '>=4.2.1 <4.3.0' }
kubernetes: { creates: '1.34', compatible: '>=1.31 <1.35' }
minCVO: 4.3.0
stages:
- name: base
  priority: 1
  components:
  - name: coredns
    version: 1.0.0
    chart: charts/coredns-1.0.0.tgz
    namespace: kube-system
";

/// The configuration of an image of one layer.
pub(crate) fn config(diff_id: &api::Digest) -> Vec<u8> {
    format!(
        r#"{{"architecture":"amd64","os":"linux","rootfs":{{"type":"layers","diff_ids":["{diff_id}"]}}}}"#
    )
    .into_bytes()
}

/// Writes an extracted package around the layer of its product image; all its sums fit.
pub(crate) fn package(folder: &Path, hostile: &Hostile) {
    fs::create_dir_all(folder.join("bin")).unwrap();
    fs::write(folder.join("upgrade.sh"), "#!/bin/bash\n").unwrap();
    fs::write(folder.join("bin/acp-prepare"), b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\x3e\0")
        .unwrap();
    let mut layout = LayoutWriter::create(&folder.join("images")).unwrap();
    let mut tree = Tree::default();
    tree.program("program", vec![7; 100]).unwrap();
    let operator = ImageBuilder::new(tree);
    operator.write(&mut layout, api::names::CVO_REPOSITORY, "v4.3.0").unwrap();
    let kind = if hostile.packed { LAYER_GZIP_TYPE } else { LAYER_TYPE };
    let layer = layout.blob(kind, &hostile.layer).unwrap();
    let config = layout.blob(CONFIG_TYPE, &config(&digest::of(&hostile.plain))).unwrap();
    let manifest = Manifest::new(config, vec![layer]);
    let repository = api::names::PRODUCT_IMAGE_REPOSITORY;
    layout.image(repository, "v4.3.0", &manifest, Some(Platform::default())).unwrap();
    layout.finish().unwrap();
    write_sums(folder).unwrap();
}
