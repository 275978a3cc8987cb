//! The images that are pushed: one package with all of them for us, one layout an image for the
//! programs that push one image at a time, with the same blobs.

use anyhow::{Context as _, Result};
use api::Release;
use api::names::{CVO_REPOSITORY, PREPARE_FIELD_MANAGER, PRODUCT_IMAGE_REPOSITORY};
use artifacts::build::package::write_sums;
use artifacts::build::{Compression, ImageBuilder, LayoutWriter, Tree, product_image, tgz};
use e2e::packages::root;
use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// How many images.
pub(crate) const IMAGES: u32 = 20;
/// Images that each package has beside them: the release and the operator, of a few bytes.
pub(crate) const SMALL: u32 = 2;
/// Bytes of one image's only file; they do not compress.
const SIZE: usize = 55 * 1024 * 1024;

/// Bytes of the only file of the large image.
const LARGE: usize = 1024 * 1024 * 1024;

/// The file of which the next image is made.
const CONTENT: &str = "content";

/// Where the images lie.
pub(crate) struct Images {
    /// All in one package.
    pub(crate) all: PathBuf,
    /// One image with one large layer, in a package of its own.
    pub(crate) large: PathBuf,
    /// Name and layout of each.
    pub(crate) each: Vec<(String, PathBuf)>,
}

/// Makes them in a folder; those that are there from an earlier run stay.
///
/// # Errors
/// When they cannot be written.
pub(crate) fn make(folder: &Path, programs: &Path) -> Result<Images> {
    let images = Images {
        all: folder.join("all"),
        large: folder.join("large"),
        each: (0..IMAGES).map(|i| (name(i), folder.join(name(i)))).collect(),
    };
    let done = folder.join("done");
    if done.exists() {
        for package in [&images.all, &images.large] {
            finish(package, programs)?;
        }
        return Ok(images);
    }
    if folder.exists() {
        std::fs::remove_dir_all(folder)?;
    }
    std::fs::create_dir_all(folder)?;
    let mut all = begin(&images.all)?;
    for (number, (name, path)) in (0..).zip(&images.each) {
        let image = one(number, folder)?;
        image.write(&mut all, &format!("bench/{name}"), "v1")?;
        let mut own = LayoutWriter::create(path)?;
        image.write(&mut own, &format!("bench/{name}"), "v1")?;
        own.finish()?;
    }
    all.finish()?;
    finish(&images.all, programs)?;
    let image = of_noise(IMAGES, LARGE, folder)?;
    let mut large = begin(&images.large)?;
    image.write(&mut large, "bench/large", "v1")?;
    large.finish()?;
    finish(&images.large, programs)?;
    std::fs::remove_file(folder.join(CONTENT))?;
    std::fs::write(done, "")?;
    Ok(images)
}

/// One of the images. Its content is written below `folder`, where it must stay until the image is
/// written.
///
/// # Errors
/// When it cannot be.
pub(super) fn one(number: u32, folder: &Path) -> Result<ImageBuilder> {
    of_noise(number, SIZE, folder)
}

fn of_noise(number: u32, size: usize, folder: &Path) -> Result<ImageBuilder> {
    let content = folder.join(CONTENT);
    write_noise(&content, u64::from(number), size)?;
    let mut tree = Tree::default();
    tree.file("content", content.as_path())?;
    Ok(ImageBuilder::new(tree).compression(Compression::Gzip(1)))
}

/// The layout of a package, with the images that none is without.
fn begin(package: &Path) -> Result<LayoutWriter> {
    std::fs::create_dir_all(package.join("bin"))?;
    std::fs::copy(root().join("package/upgrade.sh"), package.join("upgrade.sh"))?;
    let mut layout = LayoutWriter::create(&package.join("images"))?;
    let mut tree = Tree::default();
    tree.file("operator", b"operator".to_vec())?;
    ImageBuilder::new(tree).write(&mut layout, CVO_REPOSITORY, "v4.3.0")?;
    let mut chart = Tree::default();
    chart.file("dns/Chart.yaml", b"name: dns\n".to_vec())?;
    let charts = BTreeMap::from([("charts/dns-1.0.0.tgz".to_owned(), tgz(&chart)?)]);
    let release = Release::parse(RELEASE.as_bytes())?;
    product_image(&release, charts)?.write(&mut layout, PRODUCT_IMAGE_REPOSITORY, "v4.3.0")?;
    Ok(layout)
}

/// The program of today, and the sums of everything.
fn finish(package: &Path, programs: &Path) -> Result<()> {
    let program = programs.join(PREPARE_FIELD_MANAGER);
    std::fs::copy(&program, package.join("bin").join(PREPARE_FIELD_MANAGER))
        .with_context(|| program.display().to_string())?;
    Ok(write_sums(package)?)
}

const RELEASE: &str = "
formatVersion: 1
version: 4.3.0
upgradeFrom: { range: '>=4.0.0 <4.3.0' }
kubernetes: { creates: '1.34', compatible: '>=1.31 <1.35' }
minCVO: 4.3.0
stages:
- name: base
  priority: 1
  components:
  - { name: dns, version: 1.0.0, chart: charts/dns-1.0.0.tgz, namespace: kube-system }
";

/// The name of one of the images.
pub(super) fn name(number: u32) -> String {
    format!("image-{number:02}")
}

/// Bytes without any pattern, the same in every run (xorshift64*).
fn write_noise(path: &Path, number: u64, size: usize) -> Result<()> {
    let file = std::fs::File::create(path).with_context(|| path.display().to_string())?;
    let mut file = std::io::BufWriter::new(file);
    let mut state = 0x9E37_79B9_7F4A_7C15_u64.wrapping_mul(number + 1);
    for _ in 0..size / 8 {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        file.write_all(&state.wrapping_mul(0x2545_F491_4F6C_DD1D).to_le_bytes())?;
    }
    file.flush()?;
    Ok(())
}
