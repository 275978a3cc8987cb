//! Charts that must be refused, each with what the error must say.

use super::archive::{Entry, gzip, open_tar, record, tar};

fn manifest() -> Entry {
    Entry::file("coredns/Chart.yaml", b"name: coredns\n")
}

/// A good chart.
pub(crate) fn good() -> Vec<u8> {
    gzip(&tar(&[manifest()]))
}

fn with(entries: &[Entry]) -> Vec<u8> {
    let mut all = vec![manifest()];
    all.extend_from_slice(entries);
    gzip(&tar(&all))
}

/// Every chart: a name, its bytes, what the error says.
pub(crate) fn all() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let file = |path: &str| with(&[Entry::file(path, b"x")]);
    let link = |kind, to| with(&[Entry::new(kind, b"coredns/x", b"").to(to)]);
    let renamed = |key: &str, value: &str| {
        let extension = Entry::new(b'x', b"coredns/PaxHeader", &record(key, value));
        with(&[extension, Entry::file("coredns/x", b"x")])
    };
    let long = |name: &[u8]| {
        with(&[Entry::new(b'L', b"././@LongLink", name), Entry::file("coredns/x", b"x")])
    };
    let mut garbage = good();
    garbage.extend_from_slice(b"garbage");
    let kind = "it holds 'coredns/x': neither a file nor a folder";
    let needless = "it holds 'coredns/PaxHeader': an extension that is not needed";
    vec![
        ("not packed", b"no chart".to_vec(), "it cannot be read at its begin"),
        ("empty", Vec::new(), "it cannot be read at its begin"),
        ("nothing inside", gzip(&tar(&[])), "it holds no file"),
        ("cut", gzip(&open_tar(&[manifest()])), "it cannot be read after 'coredns/Chart.yaml'"),
        ("cut packed", good()[..40].to_vec(), "it cannot be read"),
        ("garbage behind it", garbage, "bytes follow its packed archive"),
        ("two members", [good(), good()].concat(), "bytes follow its packed archive"),
        ("a path that leaves", file("coredns/../../canary"), "it holds 'coredns/../../canary'"),
        ("an absolute path", file("/etc/canary"), "it holds '/etc/canary'"),
        ("a backslash", file("coredns\\..\\canary"), "it holds 'coredns\\..\\canary'"),
        ("a drive", file("c:/canary"), "it holds 'c:/canary'"),
        ("two folders", file("other/x"), "it holds 'other/x', which is not in its folder"),
        ("a file beside the folder", file("canary"), "it holds 'canary'"),
        ("a symbolic link", link(b'2', "/etc/canary"), kind),
        ("a hard link", link(b'1', "../canary"), kind),
        ("a device", link(b'3', ""), kind),
        ("a pipe", link(b'6', ""), kind),
        ("a sparse file", link(b'S', ""), kind),
        (
            "special rights",
            with(&[Entry::file("coredns/x", b"x").mode(0o4755)]),
            "it holds 'coredns/x', but it has special rights",
        ),
        ("a size by extension", renamed("size", "999"), needless),
        ("a link by extension", renamed("linkpath", "/etc/canary"), needless),
        ("sparse by extension", renamed("GNU.sparse.name", "/etc/canary"), needless),
        ("a path by extension", renamed("path", "../canary"), "it holds '../canary'"),
        (
            "a long name that leaves",
            long(b"coredns/../../canary\0"),
            "it holds 'coredns/../../canary'",
        ),
        (
            "a long name that is not UTF-8",
            long(b"\xff\xfe\0"),
            "it holds '././@LongLink': a name that is not UTF-8",
        ),
        ("300 MiB of zeros", bomb(), "the charts unpack to more than 268435456 bytes"),
    ]
}

fn bomb() -> Vec<u8> {
    with(&[Entry::file("coredns/bomb", &vec![0; 300 * 1024 * 1024])])
}
