//! A small core package, as the packaging writes it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use api::Release;
use api::names::{CVO_REPOSITORY, PRODUCT_IMAGE_REPOSITORY};
use artifacts::build::{ImageBuilder, LayoutWriter, Tree, product_image, tgz, write_package};
use artifacts::registry::{Credentials, Registry, Retry, Settings};
use sandbox::registry::Access;
use sandbox::toolchain::{Tool, Toolchain};
use sandbox::{Narrator, TestRegistry};

pub(crate) use crate::corpus::RELEASE;

pub(crate) fn release() -> Release {
    Release::parse(RELEASE.as_bytes()).unwrap()
}

pub(crate) fn chart() -> BTreeMap<String, Vec<u8>> {
    let mut tree = Tree::default();
    tree.file("coredns/Chart.yaml", b"name: coredns\n".to_vec()).unwrap();
    BTreeMap::from([("charts/coredns-1.0.0.tgz".to_owned(), tgz(&tree).unwrap())])
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

/// An image whose one file has `length` bytes.
pub(crate) fn image(seed: u64, length: usize) -> ImageBuilder {
    let mut tree = Tree::default();
    tree.program("program", noise(seed, length)).unwrap();
    ImageBuilder::new(tree).entrypoint(["/program"])
}

/// An extracted package with an operator of `length` bytes; `architecture` is that of its images.
pub(crate) fn package(folder: &Path, length: usize, architecture: &str) {
    fs::create_dir_all(folder.join("bin")).unwrap();
    fs::create_dir_all(folder.join("plugins")).unwrap();
    fs::write(folder.join("upgrade.sh"), "#!/bin/bash\n").unwrap();
    fs::write(folder.join("bin/acp-prepare"), b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\x3e\0")
        .unwrap();
    fs::write(folder.join("plugins/logging-1.2.0.tgz"), noise(9, 5000)).unwrap();
    let mut layout = LayoutWriter::create(&folder.join("images")).unwrap();
    let operator = image(1, length).architecture(architecture);
    operator.write(&mut layout, CVO_REPOSITORY, "v4.3.0").unwrap();
    // The same layer in a second repository, so that something can be mounted.
    operator.user("0:0").write(&mut layout, "acp/second", "v1").unwrap();
    let product = product_image(&release(), chart()).unwrap().architecture(architecture);
    product.write(&mut layout, PRODUCT_IMAGE_REPOSITORY, "v4.3.0").unwrap();
    layout.finish().unwrap();
    let target = folder.with_extension("tgz");
    write_package(folder, "acp-core-4.3.0", &target).unwrap();
}

/// An error with all its causes, as the edges print it.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}

/// A registry of the real kind, on loopback; it ends with this value.
pub(crate) struct Platform {
    pub(crate) server: TestRegistry,
    _folder: tempfile::TempDir,
}

impl Platform {
    pub(crate) async fn start() -> Self {
        provide_tls();
        let set = |name: &str| std::env::var_os(name);
        let cache =
            sandbox::default_cache(set("XDG_CACHE_HOME").as_deref(), set("HOME").as_deref());
        let toolchain = Toolchain::new(&cache.unwrap(), Narrator::silent());
        let program = toolchain.build(&Tool::registry()).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let server = TestRegistry::start(&program, &folder.path().join("registry")).await.unwrap();
        Self { server, _folder: folder }
    }

    /// How to reach it with the account that may push; few and short waits.
    pub(crate) fn settings(&self) -> Settings {
        let account = &self.server.credentials().push;
        let mut settings = Settings::new(self.server.address());
        settings.ca = Some(fs::read(self.server.authority()).unwrap());
        settings.credentials = Some(Credentials {
            username: account.name.clone(),
            password: account.password.clone(),
        });
        settings.retry = quick();
        settings
    }

    pub(crate) fn client(&self) -> Registry {
        Registry::new(self.settings()).unwrap()
    }

    /// The requests since the number `from`, and their number.
    pub(crate) fn requests(&self, from: usize) -> Vec<Access> {
        self.server.access_log().unwrap().split_off(from)
    }
}

pub(crate) fn quick() -> Retry {
    let wait = Duration::from_millis(20);
    Retry { attempts: 5, first: wait, longest: wait * 5, seed: 1 }
}

/// TLS as the programs install it first.
pub(crate) fn provide_tls() {
    // The second test of this process finds it installed.
    let _installed = rustls::crypto::ring::default_provider().install_default();
}
