//! Core packages as archives that an administrator extracts with tar, each with what the error
//! must name; and the folder around them in which nothing may change.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::archive::{Entry, gzip, tar};
use super::layers::{Hostile, good};
use super::package;

/// The folder in the archive.
const ROOT: &str = "acp-core";
const SUMS: &str = "SHA256SUMS";

/// One package that must be refused.
pub(crate) struct Trap {
    pub(crate) name: &'static str,
    /// What the error must say.
    pub(crate) says: &'static str,
    change: Box<dyn Fn(&mut Parts)>,
    /// Whether reading the package finds it, or only running the program on it.
    pub(crate) is_read: bool,
}

/// The entries of an archive by their path below the root, in their order.
#[derive(Default)]
struct Parts(Vec<(String, Entry)>);

impl Parts {
    fn file(&mut self, path: &str, bytes: &[u8]) {
        self.put(path, Entry::file(&format!("{ROOT}/{path}"), bytes));
    }

    fn put(&mut self, path: &str, entry: Entry) {
        self.remove(path);
        self.0.push((path.to_owned(), entry));
    }

    fn special(&mut self, path: &str, kind: u8, to: &str) {
        let name = format!("{ROOT}/{path}");
        // Character device 1:3, should it be one.
        let entry = Entry::new(kind, name.as_bytes(), b"").to(to);
        self.put(path, entry.with(329, b"0000001\0").with(337, b"0000003\0"));
    }

    fn link(&mut self, path: &str, to: &str) {
        self.special(path, b'2', to);
    }

    fn remove(&mut self, path: &str) {
        let below = format!("{path}/");
        self.0.retain(|(name, _)| name != path && !name.starts_with(&below));
    }

    /// The layer of the product image, the largest blob.
    fn layer(&self) -> String {
        let blobs = self.0.iter().filter(|(name, _)| name.starts_with("images/blobs/"));
        blobs.max_by_key(|(_, entry)| entry.length()).unwrap().0.clone()
    }

    fn sums(&mut self, change: impl Fn(String) -> Vec<u8>) {
        let found = self.0.iter().find(|(name, _)| name == SUMS).unwrap();
        let text = String::from_utf8(found.1.data().to_vec()).unwrap();
        self.file(SUMS, &change(text));
    }
}

/// Every package.
pub(crate) fn all() -> Vec<Trap> {
    let mut all = links();
    all.extend(kinds());
    all.extend(missing());
    all.extend(sums());
    all
}

fn trap(name: &'static str, says: &'static str, change: impl Fn(&mut Parts) + 'static) -> Trap {
    Trap { name, says, change: Box::new(change), is_read: true }
}

fn links() -> Vec<Trap> {
    const CANARY: &str = "../../outside/canary";
    let link = |path: &'static str, says| trap(path, says, move |p| p.link(path, CANARY));
    let file = "is refused: it is no regular file";
    let folder = "is refused: it is no folder";
    let elsewhere = "../../outside";
    let mut lock = link(".upgrade.lock", "cannot lock the package with");
    lock.is_read = false;
    let mut hard = trap("a lock with two names", "cannot lock the package with", |p| {
        p.special(".upgrade.lock", b'1', &format!("{ROOT}/upgrade.sh"));
    });
    hard.is_read = false;
    vec![
        lock,
        hard,
        link("upgrade.sh", "upgrade.sh is refused"),
        link("bin/acp-prepare", "bin/acp-prepare is refused"),
        link("bin/extra", "bin/extra is refused"),
        link("deploy/extra.yaml", "deploy/extra.yaml is refused"),
        link("plugins/x-1.0.0.tgz", "plugins/x-1.0.0.tgz is refused"),
        link("images/index.json", "images/index.json is refused"),
        link("images/oci-layout", "images/oci-layout is refused"),
        link(SUMS, "SHA256SUMS is refused"),
        trap("bin is a link", folder, move |p| p.link("bin", elsewhere)),
        trap("deploy is a link", file, move |p| p.link("deploy", elsewhere)),
        trap("plugins is a link", folder, move |p| p.link("plugins", elsewhere)),
        trap("images is a link", folder, move |p| p.link("images", elsewhere)),
        trap("blobs is a link", "blobs on its way is no folder", move |p| {
            p.link("images/blobs", elsewhere);
        }),
        trap("sha256 is a link", "blobs/sha256 on its way", move |p| {
            p.link("images/blobs/sha256", elsewhere);
        }),
        trap("the layer is a link", file, |p| {
            let layer = p.layer();
            p.link(&layer, "../../../../../outside/canary");
        }),
    ]
}

fn kinds() -> Vec<Trap> {
    let file = "is refused: it is no regular file";
    let kind = |name, path: &'static str, kind: u8, says| {
        trap(name, says, move |p: &mut Parts| p.special(path, kind, ""))
    };
    let layer = |name, kind: u8| {
        trap(name, file, move |p: &mut Parts| {
            let layer = p.layer();
            p.special(&layer, kind, "");
        })
    };
    let rights = |name, path: &'static str, mode: u64, says| {
        trap(name, says, move |p: &mut Parts| {
            let at = p.0.iter().position(|(name, _)| name == path).unwrap();
            p.0[at].1 = p.0[at].1.clone().mode(mode);
        })
    };
    vec![
        kind("a pipe for the sums", SUMS, b'6', "SHA256SUMS is refused: it is no regular file"),
        kind("a pipe for the index", "images/index.json", b'6', "index.json is refused: it is no"),
        kind("a pipe for the layout", "images/oci-layout", b'6', "oci-layout is refused"),
        kind("a pipe for the script", "upgrade.sh", b'6', "upgrade.sh is refused"),
        kind("a pipe among programs", "bin/pipe", b'6', "bin/pipe is refused"),
        kind("a pipe among plugins", "plugins/p-1.0.0.tgz", b'6', "p-1.0.0.tgz is refused"),
        kind("a pipe to deploy", "deploy/p.yaml", b'6', "deploy/p.yaml is refused"),
        kind("a device among programs", "bin/null", b'3', "bin/null is refused"),
        kind("a device among plugins", "plugins/d-1.0.0.tgz", b'3', "d-1.0.0.tgz is refused"),
        kind("a block device", "deploy/disk", b'4', "deploy/disk is refused"),
        layer("a pipe for the layer", b'6'),
        layer("a device for the layer", b'3'),
        layer("a folder for the layer", b'5'),
        kind("a folder for the sums", SUMS, b'5', "SHA256SUMS is refused"),
        kind("a folder for the script", "upgrade.sh", b'5', "upgrade.sh is refused"),
        kind("a folder for the index", "images/index.json", b'5', "images/index.json is refused"),
        kind("a folder for a plugin", "plugins/f-1.0.0.tgz", b'5', "f-1.0.0.tgz is refused"),
        trap("a file for bin", "bin is refused: it is no folder", |p| p.file("bin", b"x")),
        trap("a file for images", "images is refused: it is no folder", |p| p.file("images", b"x")),
        rights("setuid", "bin/acp-prepare", 0o4755, "bin/acp-prepare is refused: it has the right"),
        rights("setgid", "bin/acp-prepare", 0o2755, "bin/acp-prepare is refused: it has the right"),
        rights("setuid script", "upgrade.sh", 0o4755, "upgrade.sh is refused: it has the right"),
        trap("a program not UTF-8", "is refused: its name is not UTF-8", |p| {
            let name = [ROOT.as_bytes(), b"/bin/\xff\xfe"].concat();
            p.put("bin/odd", Entry::new(b'0', &name, b"x"));
        }),
        trap("a plugin not UTF-8", "is refused: its name is not UTF-8", |p| {
            let name = [ROOT.as_bytes(), b"/plugins/\xff.tgz"].concat();
            p.put("plugins/odd", Entry::new(b'0', &name, b"x"));
        }),
        trap("a plugin's name", "plugins/X;rm.tgz is refused: its name cannot be one", |p| {
            p.file("plugins/X;rm.tgz", b"x");
        }),
    ]
}

fn missing() -> Vec<Trap> {
    let lost =
        |name, path: &'static str, says| trap(name, says, move |p: &mut Parts| p.remove(path));
    let added = |path: &'static str, says| trap(path, says, move |p| p.file(path, b"x"));
    vec![
        lost("no sums", SUMS, "SHA256SUMS is missing"),
        lost("no script", "upgrade.sh", "upgrade.sh is missing"),
        lost("no programs", "bin", "bin is missing"),
        lost("no images", "images", "images is missing"),
        lost("no index", "images/index.json", "images/index.json is missing"),
        lost("a listed program is missing", "bin/acp-prepare", "bin"),
        trap("the layer is missing", "is missing", |p| {
            let layer = p.layer();
            p.remove(&layer);
        }),
        added("bin/extra", "bin/extra is refused: SHA256SUMS does not name it"),
        added("bin/deep/extra", "bin/deep/extra is refused: SHA256SUMS does not name it"),
        added("deploy/extra.yaml", "deploy/extra.yaml is refused: SHA256SUMS does not name it"),
        trap("a longer layer", "was cut or changed", |p| {
            let layer = p.layer();
            let at = p.0.iter().position(|(name, _)| *name == layer).unwrap();
            let longer = [p.0[at].1.data(), b"x"].concat();
            p.file(&layer, &longer);
        }),
        trap("another index", "images/index.json was cut or changed", |p| {
            let at = p.0.iter().position(|(name, _)| name == "images/index.json").unwrap();
            let longer = [p.0[at].1.data(), b" "].concat();
            p.file("images/index.json", &longer);
        }),
    ]
}

fn sums() -> Vec<Trap> {
    let hex = "0".repeat(64);
    let line = |name, path: &'static str| {
        let hex = hex.clone();
        trap(name, "SHA256SUMS is refused: line", move |p: &mut Parts| {
            p.sums(|text| format!("{text}{hex}  {path}\n").into_bytes());
        })
    };
    let text = |name, says, change: fn(String) -> Vec<u8>| {
        trap(name, says, move |p: &mut Parts| p.sums(change))
    };
    let refused = "SHA256SUMS is refused: line 1";
    vec![
        line("a sum of a path that leaves", "../../outside/canary"),
        line("a sum of an absolute path", "/etc/passwd"),
        line("a sum of a folder", "bin/"),
        line("a sum of a dot", "bin/./x"),
        line("a sum of nothing", ""),
        line("a second sum of a file", "upgrade.sh"),
        line("a second sum in other case", "UPGRADE.SH"),
        line("a sum of a name with a backslash", "bin\\x"),
        line("a sum of a name with control characters", "bin/\u{1b}[2J"),
        trap("a sum of a file that is not there", "bin/gone is missing", {
            let hex = hex.clone();
            move |p: &mut Parts| p.sums(|text| format!("{text}{hex}  bin/gone\n").into_bytes())
        }),
        text("sums in capitals", refused, |t| t.to_uppercase().into_bytes()),
        text("sums for binary mode", refused, |t| t.replace("  ", " *").into_bytes()),
        text("sums with returns", refused, |t| t.replace('\n', "\r\n").into_bytes()),
        text("sums cut", "SHA256SUMS is refused: it was cut", |t| t.as_bytes()[..90].to_vec()),
        text("no sum at all", "SHA256SUMS", |_| Vec::new()),
        text("only an end", refused, |_| b"\n".to_vec()),
        text("sums not UTF-8", "SHA256SUMS is refused: it is not UTF-8", |_| b"\xff\n".to_vec()),
        text("sums too long", "SHA256SUMS is refused: it is longer", |_| {
            vec![b'\n'; 4 * 1024 * 1024 + 1]
        }),
        text("too many sums", "SHA256SUMS is refused: it names more than", |_| {
            let line = |n| format!("{:064x}  bin/{n}\n", 0);
            (0..20_000).map(line).collect::<String>().into_bytes()
        }),
    ]
}

impl Trap {
    /// Extracts the package as an administrator does, and gives its folder.
    pub(crate) fn set(&self, work: &Path) -> PathBuf {
        let source = work.join("source");
        let entries = good();
        let plain = tar(&entries);
        let (name, says) = (String::new(), String::new());
        package(&source, &Hostile { name, layer: plain.clone(), packed: false, plain, says });
        let mut parts = Parts::default();
        for (path, found) in snapshot(&source) {
            if let Found::File(bytes, ..) = found {
                parts.file(path.to_str().unwrap(), &bytes);
            }
        }
        fs::remove_dir_all(&source).unwrap();
        (self.change)(&mut parts);
        let entries: Vec<Entry> = parts.0.into_iter().map(|(_, entry)| entry).collect();
        let (archive, inside) = (work.join("package.tgz"), work.join("inside"));
        fs::write(&archive, gzip(&tar(&entries))).unwrap();
        fs::create_dir_all(&inside).unwrap();
        let mut extract = Command::new("tar");
        extract.args(["-xpzf", "../package.tgz"]).current_dir(&inside);
        let ended = extract.output().unwrap();
        assert!(ended.status.success(), "{}: {ended:?}", self.name);
        inside.join(ROOT)
    }
}

/// What stands at a path: enough to see that it changed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// Its bytes, its rights and when it was written.
    File(Vec<u8>, u32, i64),
    Folder(u32),
    Link(PathBuf),
    Other,
}

/// Everything below a folder.
pub(crate) fn snapshot(folder: &Path) -> BTreeMap<PathBuf, Found> {
    let (mut found, mut open) = (BTreeMap::new(), vec![folder.to_owned()]);
    while let Some(at) = open.pop() {
        for entry in fs::read_dir(&at).unwrap() {
            let path = entry.unwrap().path();
            let metadata = fs::symlink_metadata(&path).unwrap();
            let kind = metadata.file_type();
            let what = if kind.is_file() {
                let when = metadata.mtime_nsec() + metadata.mtime() * 1_000_000_000;
                Found::File(fs::read(&path).unwrap(), metadata.mode(), when)
            } else if kind.is_dir() {
                open.push(path.clone());
                Found::Folder(metadata.mode())
            } else if kind.is_symlink() {
                Found::Link(fs::read_link(&path).unwrap())
            } else {
                assert!(kind.is_fifo() || kind.is_char_device() || kind.is_block_device());
                Found::Other
            };
            found.insert(path.strip_prefix(folder).unwrap().to_owned(), what);
        }
    }
    found
}

/// A folder with what must not change beside the package.
pub(crate) fn surroundings(work: &Path) {
    fs::create_dir_all(work.join("outside")).unwrap();
    fs::write(work.join("outside/canary"), "as it was").unwrap();
}

/// What changed between two snapshots, the lock of a run aside.
pub(crate) fn changes(
    before: &BTreeMap<PathBuf, Found>,
    after: &BTreeMap<PathBuf, Found>,
) -> Vec<String> {
    let names = before.keys().chain(after.keys());
    let changed = names.filter(|name| before.get(*name) != after.get(*name));
    let lock = |name: &&PathBuf| name.as_os_str().as_bytes().ends_with(b"/.upgrade.lock");
    let fresh = |name: &&PathBuf| !lock(name) || before.contains_key(*name);
    changed.filter(fresh).map(|name| name.display().to_string()).collect()
}
