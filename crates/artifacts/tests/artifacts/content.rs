//! A product image that holds anything but a release is refused, and nothing of it is given.

use std::io::Write;

use artifacts::content::{ContentError, ReleaseContent};
use artifacts::digest;
use artifacts::oci::{CONFIG_TYPE, Descriptor, LAYER_GZIP_TYPE, LAYER_TYPE, Manifest};
use flate2::Compression;
use flate2::write::GzEncoder;
use tar::{Builder, EntryType, Header};

use crate::fixture::{RELEASE, chain, chart, release};

type Archive = Builder<Vec<u8>>;

fn entry(archive: &mut Archive, kind: EntryType, path: &str, bytes: &[u8]) {
    let mut header = Header::new_gnu();
    // Written into the header as it is: the writer's own checks would refuse hostile paths.
    header.as_mut_bytes()[..path.len()].copy_from_slice(path.as_bytes());
    header.set_entry_type(kind);
    header.set_mode(0o644);
    header.set_size(bytes.len() as u64);
    if kind.is_symlink() || kind.is_hard_link() {
        header.set_link_name("/etc/passwd").unwrap();
    }
    header.set_cksum();
    archive.append(&header, bytes).unwrap();
}

fn file(archive: &mut Archive, path: &str, bytes: &[u8]) {
    entry(archive, EntryType::Regular, path, bytes);
}

fn good() -> Archive {
    let mut archive = Builder::new(Vec::new());
    for (path, bytes) in chart() {
        file(&mut archive, &format!("release/{path}"), &bytes);
    }
    file(&mut archive, "release/release.yaml", RELEASE.as_bytes());
    archive
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(bytes).unwrap();
    packed.finish().unwrap()
}

fn config(diff_id: &api::Digest) -> Vec<u8> {
    format!(
        r#"{{"architecture":"amd64","os":"linux","rootfs":{{"type":"layers","diff_ids":["{diff_id}"]}}}}"#
    )
    .into_bytes()
}

fn read_as(
    kind: &str,
    layer: &[u8],
    diff_id: &api::Digest,
) -> Result<ReleaseContent, ContentError> {
    let config = config(diff_id);
    let manifest =
        Manifest::new(Descriptor::of(CONFIG_TYPE, &config), vec![Descriptor::of(kind, layer)]);
    ReleaseContent::read(digest::of(b"manifest"), &manifest, &config, layer)
}

fn read(tar: &[u8]) -> Result<ReleaseContent, ContentError> {
    read_as(LAYER_TYPE, tar, &digest::of(tar))
}

fn refused(build: impl FnOnce(&mut Archive)) -> String {
    let mut archive = good();
    build(&mut archive);
    chain(&read(&archive.into_inner().unwrap()).expect_err("the layer must be refused"))
}

#[test]
fn a_good_layer_is_read_plain_and_packed() {
    let tar = good().into_inner().unwrap();
    let content = read(&tar).unwrap();
    assert_eq!((content.release, content.files), (release(), chart()));
    let content = read_as(LAYER_GZIP_TYPE, &gzip(&tar), &digest::of(&tar)).unwrap();
    assert_eq!(content.files, chart());
}

#[test]
fn paths_outside_the_release_are_refused() {
    for path in [
        "../etc/passwd",
        "/etc/passwd",
        "release/../../etc/passwd",
        "release/./release.yaml",
        "./release/charts/x.tgz",
        "release//charts/x.tgz",
        "release/charts/../x.tgz",
        "release/charts/a/b.tgz",
        "release/charts/.tgz",
        "release/charts/x.zip",
        "release/charts/x\u{1b}[2J.tgz",
        "release/charts/x\\y.tgz",
        "release/manifests/",
        "release/manifests/.hidden",
        "release/other.yaml",
        "release",
        "release/RELEASE.yaml",
        "etc/passwd",
        "",
    ] {
        let error = refused(|archive| file(archive, path, b"x"));
        assert!(error.contains("its layer holds"), "{path}: {error}");
        assert!(!error.contains('\u{1b}'), "{error}");
    }
}

#[test]
fn only_regular_files_are_read() {
    for kind in [
        EntryType::Symlink,
        EntryType::Link,
        EntryType::Char,
        EntryType::Block,
        EntryType::Fifo,
        EntryType::Continuous,
        EntryType::GNUSparse,
        EntryType::GNULongName,
        EntryType::GNULongLink,
        EntryType::XHeader,
        EntryType::XGlobalHeader,
        EntryType::new(b'Z'),
    ] {
        let error = refused(|archive| entry(archive, kind, "release/charts/x.tgz", b""));
        assert!(error.contains("its layer holds 'release/charts/x.tgz'"), "{kind:?}: {error}");
    }
    let error = refused(|archive| entry(archive, EntryType::Directory, "etc/", b""));
    assert!(error.contains("its layer holds 'etc/'"), "{error}");
}

#[test]
fn an_extension_cannot_rename_or_resize_a_file() {
    let error = refused(|archive| {
        let record = b"17 size=99999999\n";
        entry(archive, EntryType::XHeader, "release/manifests/a", record);
        file(archive, "release/manifests/a", b"x");
    });
    assert!(error.contains("its layer holds"), "{error}");
}

#[test]
fn a_file_that_stands_twice_is_refused() {
    let error = refused(|archive| file(archive, "release/release.yaml", RELEASE.as_bytes()));
    assert!(error.contains("'release/release.yaml' twice"), "{error}");
}

#[test]
fn more_entries_than_allowed_are_refused() {
    let error = refused(|archive| {
        for number in 0..1025 {
            file(archive, &format!("release/manifests/{number}"), b"");
        }
    });
    assert!(error.contains("more than 1024 entries"), "{error}");
}

#[test]
fn a_bomb_is_refused_before_it_fills_the_memory() {
    // 200 MiB of zeros behind the end that the tar marks.
    let mut tar = good().into_inner().unwrap();
    let good = tar.len();
    tar.resize(good + 200 * 1024 * 1024, 0);
    let packed = gzip(&tar);
    assert!(packed.len() < 2 * 1024 * 1024);
    let error = read_as(LAYER_GZIP_TYPE, &packed, &digest::of(&tar)).unwrap_err();
    assert!(matches!(error, ContentError::TooLarge), "{error}");
    // The same as a file of the release.
    let mut archive = Builder::new(Vec::new());
    file(&mut archive, "release/manifests/bomb", &vec![0; 65 * 1024 * 1024]);
    let tar = archive.into_inner().unwrap();
    let error = read_as(LAYER_GZIP_TYPE, &gzip(&tar), &digest::of(&tar)).unwrap_err();
    assert!(matches!(&error, ContentError::FileTooLarge(p) if p == "release/manifests/bomb"));
}

#[test]
fn a_size_that_overflows_is_refused() {
    let mut tar = good().into_inner().unwrap();
    // Base-256 size of the first header: 2^63 and more.
    tar[124..136].copy_from_slice(&[0x80, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]);
    let sum: u32 =
        (0..512).map(|i| if (148..156).contains(&i) { 32 } else { u32::from(tar[i]) }).sum();
    tar[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    assert!(read(&tar).is_err());
}

#[test]
fn a_layer_that_is_cut_anywhere_is_refused() {
    let tar = good().into_inner().unwrap();
    let whole = digest::of(&tar);
    for end in (0..tar.len()).step_by(97) {
        assert!(read_as(LAYER_TYPE, &tar[..end], &whole).is_err(), "{end}");
    }
    let packed = gzip(&tar);
    for end in 0..packed.len() {
        assert!(read_as(LAYER_GZIP_TYPE, &packed[..end], &whole).is_err(), "{end}");
    }
}

#[test]
fn other_bytes_than_those_named_are_refused() {
    let tar = good().into_inner().unwrap();
    let error = chain(&read_as(LAYER_TYPE, &tar, &digest::of(b"other")).unwrap_err());
    assert!(error.contains("its unpacked layer is not what its manifest names"), "{error}");
    let config = config(&digest::of(&tar));
    let manifest =
        Manifest::new(Descriptor::of(CONFIG_TYPE, &config), vec![Descriptor::of(LAYER_TYPE, &tar)]);
    let name = digest::of(b"manifest");
    let mut other = tar.clone();
    other[600] ^= 1;
    let error = chain(&ReleaseContent::read(name.clone(), &manifest, &config, &other).unwrap_err());
    assert!(error.contains("its layer is not what its manifest names"), "{error}");
    let error = chain(&ReleaseContent::read(name, &manifest, b"{}", &tar).unwrap_err());
    assert!(error.contains("its config is not what its manifest names"), "{error}");
    let mut packed = gzip(&tar);
    packed.extend(gzip(b"more"));
    let error = read_as(LAYER_GZIP_TYPE, &packed, &digest::of(&tar)).unwrap_err().to_string();
    assert!(error.contains("bytes follow its packed layer"), "{error}");
}

#[test]
fn a_manifest_of_something_else_is_refused() {
    let tar = good().into_inner().unwrap();
    let config = config(&digest::of(&tar));
    let layer = Descriptor::of(LAYER_TYPE, &tar);
    let good = Manifest::new(Descriptor::of(CONFIG_TYPE, &config), vec![layer.clone()]);
    let refused = |change: &dyn Fn(&mut Manifest)| {
        let mut manifest = good.clone();
        change(&mut manifest);
        artifacts::content::check_manifest(&manifest).unwrap_err().to_string()
    };
    assert!(refused(&|m| m.layers.push(layer.clone())).contains("2 layers instead of one"));
    assert!(refused(&|m| m.layers.clear()).contains("0 layers"));
    assert!(refused(&|m| m.artifact_type = Some("x".to_owned())).contains("an artifact"));
    assert!(refused(&|m| m.layers[0].size = 1 << 40).contains("larger than"));
    assert!(refused(&|m| m.config.size = 1 << 40).contains("larger than"));
    assert!(refused(&|m| m.layers[0].media_type = "text/html".to_owned()).contains("text/html"));
}

#[test]
fn a_release_without_its_file_is_refused() {
    let mut archive = Builder::new(Vec::new());
    file(&mut archive, "release/release.yaml", RELEASE.as_bytes());
    let error = read(&archive.into_inner().unwrap()).unwrap_err().to_string();
    assert!(error.contains("names charts/coredns-1.0.0.tgz, which it does not hold"), "{error}");
    let error = read(&Builder::new(Vec::new()).into_inner().unwrap()).unwrap_err().to_string();
    assert!(error.contains("it has no release.yaml"), "{error}");
}
