//! Layers of product images that must be refused, each with what the error must say.

use super::archive::{Entry, gzip, missummed, open_tar, record, tar};
use super::{RELEASE, charts};

/// One layer that must be refused.
pub(crate) struct Hostile {
    pub(crate) name: String,
    pub(crate) layer: Vec<u8>,
    pub(crate) packed: bool,
    /// The plain tar, where the configuration is to name it.
    pub(crate) plain: Vec<u8>,
    /// What the error must say: the entry, and why.
    pub(crate) says: String,
}

impl Hostile {
    fn plain(name: &str, tar: Vec<u8>, says: &str) -> Self {
        let (name, says) = (name.to_owned(), says.to_owned());
        Self { name, plain: tar.clone(), layer: tar, packed: false, says }
    }

    fn packed(name: &str, plain: Vec<u8>, layer: Vec<u8>, says: &str) -> Self {
        let (name, says) = (name.to_owned(), says.to_owned());
        Self { name, layer, packed: true, plain, says }
    }
}

const CHART: &str = "release/charts/coredns-1.0.0.tgz";
const YAML: &str = "release/release.yaml";

/// What a good layer holds.
pub(crate) fn good() -> Vec<Entry> {
    vec![Entry::file(CHART, &charts::good()), Entry::file(YAML, RELEASE.as_bytes())]
}

fn with(entry: Entry) -> Vec<u8> {
    let mut entries = good();
    entries.push(entry);
    tar(&entries)
}

/// Every layer.
pub(crate) fn all() -> Vec<Hostile> {
    let mut all = paths();
    all.extend(kinds());
    all.extend(extensions());
    all.extend(doubles());
    all.extend(cuts());
    all.extend(ends());
    all.extend(bombs());
    all.extend(headers());
    all.extend(releases());
    all.extend(charts::all().into_iter().map(|(name, chart, says)| {
        let entries = [Entry::file(CHART, &chart), Entry::file(YAML, RELEASE.as_bytes())];
        let says = format!("'charts/coredns-1.0.0.tgz' is no chart: {says}");
        Hostile::plain(&format!("chart: {name}"), tar(&entries), &says)
    }));
    all
}

fn paths() -> Vec<Hostile> {
    let spelled = [
        ("../canary", "'../canary'"),
        ("..", "'..'"),
        (".", "'.'"),
        ("", "''"),
        ("/etc/canary", "'/etc/canary'"),
        ("//etc/canary", "'//etc/canary'"),
        ("release/../../canary", "'release/../../canary'"),
        ("release/charts/../../../canary.tgz", "'release/charts/../../../canary.tgz'"),
        ("release/charts/..", "'release/charts/..'"),
        ("release/charts/coredns-1.0.0.tgz/../x", "'release/charts/coredns-1.0.0.tgz/../x'"),
        ("./release/release.yaml", "'./release/release.yaml'"),
        ("release/./charts/x.tgz", "'release/./charts/x.tgz'"),
        ("release//charts/x.tgz", "'release//charts/x.tgz'"),
        ("release\\..\\..\\canary", "'release\\..\\..\\canary'"),
        ("release/charts/..\\canary.tgz", "'release/charts/..\\canary.tgz'"),
        ("C:\\canary", "'C:\\canary'"),
        ("~/canary", "'~/canary'"),
        ("release/charts/%2e%2e/x.tgz", "'release/charts/%2e%2e/x.tgz'"),
        ("release/charts/x\u{2215}y.tgz", "'release/charts/x"),
        ("release/charts/x.tgz/", "'release/charts/x.tgz/'"),
        ("release/charts/deep/x.tgz", "'release/charts/deep/x.tgz'"),
        ("release/charts/x\n.tgz", "'release/charts/x"),
        ("release/charts/x\u{1b}[2J.tgz", "'release/charts/x"),
        ("release/charts/\u{202e}zgt.tgz", "'release/charts/"),
        ("release/other.yaml", "'release/other.yaml'"),
        ("RELEASE/release.yaml", "'RELEASE/release.yaml'"),
    ];
    let mut all: Vec<Hostile> = spelled
        .into_iter()
        .map(|(path, says)| {
            let name = format!("path {path:?}");
            Hostile::plain(&name, with(Entry::file(path, b"x")), &format!("its layer holds {says}"))
        })
        .collect();
    let not_utf8 = Entry::new(b'0', b"release/charts/\xff\xfe.tgz", b"x");
    all.push(Hostile::plain("name not UTF-8", with(not_utf8), "its layer holds 'release/charts/"));
    let behind = Entry::file("release/charts/x.tgz", b"x").with(21, b"/../../canary");
    all.push(Hostile::plain(
        "name behind a NUL",
        with(behind),
        "'release/charts/x.tgz', but its name",
    ));
    for (prefix, name, says) in
        [("..", "canary", "'../canary'"), ("/etc", "canary", "'/etc/canary'")]
    {
        let entry = Entry::file(name, b"x").with(345, prefix.as_bytes());
        all.push(Hostile::plain(&format!("prefix {prefix}"), with(entry), says));
    }
    all
}

fn kinds() -> Vec<Hostile> {
    let path = "release/charts/x.tgz";
    let links = [("2", "../../../canary"), ("2", "/etc/canary"), ("1", "/etc/canary"), ("1", YAML)];
    let links = links.into_iter().map(|(kind, to)| {
        let entry = Entry::new(kind.as_bytes()[0], path.as_bytes(), b"").to(to);
        (format!("link {kind} to {to}"), entry)
    });
    let kinds = [b'3', b'4', b'6', b'7', b'S', b'L', b'K', b'V', b'M', b'D', b'N', b'Z', 0xff];
    let kinds = kinds
        .into_iter()
        .map(|kind| (format!("kind {kind}"), Entry::new(kind, path.as_bytes(), b"")));
    let plain = links.chain(kinds).map(|(name, entry)| {
        Hostile::plain(&name, with(entry), "its layer holds 'release/charts/x.tgz'")
    });
    let rights = [0o4755, 0o2755, 0o1777].into_iter().map(|mode| {
        let entry = Entry::file(path, b"x").mode(mode);
        let says = "'release/charts/x.tgz', but it has special rights";
        Hostile::plain(&format!("mode {mode:o}"), with(entry), says)
    });
    let folders = ["etc/", "release/charts/coredns-1.0.0.tgz/", "release/../../canary/"];
    let folders = folders.into_iter().map(|path| {
        let entry = Entry::new(b'5', path.as_bytes(), b"");
        Hostile::plain(&format!("folder {path}"), with(entry), &format!("holds '{path}'"))
    });
    let filled = Entry::new(b'5', b"release/charts/", b"bytes in a folder");
    let filled = Hostile::plain("folder with bytes", with(filled), "holds 'release/charts/'");
    plain.chain(rights).chain(folders).chain([filled]).collect()
}

fn extensions() -> Vec<Hostile> {
    let pax = [
        ("size", "99999999"),
        ("path", "../canary"),
        ("linkpath", "/etc/canary"),
        ("GNU.sparse.major", "1"),
        ("GNU.sparse.name", "/etc/canary"),
        ("SCHILY.xattr.user.x", "y"),
    ];
    let mut all = Vec::new();
    for kind in [b'x', b'g'] {
        for (key, value) in pax {
            let mut entries = good();
            let at = "release/charts/PaxHeader";
            entries.insert(0, Entry::new(kind, at.as_bytes(), &record(key, value)));
            let name = format!("extension {} {key}", char::from(kind));
            all.push(Hostile::plain(&name, tar(&entries), &format!("its layer holds '{at}'")));
        }
    }
    for (kind, data) in [(b'L', "../canary\0"), (b'K', "/etc/canary\0")] {
        let mut entries = good();
        entries.insert(1, Entry::new(kind, b"././@LongLink", data.as_bytes()));
        let name = format!("long name {}", char::from(kind));
        all.push(Hostile::plain(&name, tar(&entries), "its layer holds '././@LongLink'"));
    }
    all
}

fn doubles() -> Vec<Hostile> {
    let twice = |name: &str, path: &str| {
        let says = format!("its layer holds '{path}' twice");
        Hostile::plain(name, with(Entry::file(path, b"x")), &says)
    };
    vec![
        twice("release twice", YAML),
        twice("chart twice", CHART),
        twice("chart in other case", "release/charts/CoreDNS-1.0.0.tgz"),
        Hostile::plain(
            "chart that nobody names",
            with(Entry::file("release/charts/extra.tgz", b"x")),
            "'charts/extra.tgz', which no component names",
        ),
        Hostile::plain(
            "objects that nobody names",
            with(Entry::file("release/manifests/extra.yaml", b"x")),
            "'manifests/extra.yaml', which no component names",
        ),
        Hostile::plain("chart missing", tar(&good()[1..]), "names charts/coredns-1.0.0.tgz"),
        Hostile::plain("release missing", tar(&good()[..1]), "it has no release.yaml"),
        Hostile::plain("nothing at all", tar(&[]), "it has no release.yaml"),
    ]
}

fn cuts() -> Vec<Hostile> {
    let whole = tar(&good());
    let open = open_tar(&good());
    let chart = open_tar(&good()[..1]).len();
    let at = |name: &str, end: usize, says: &str| Hostile::plain(name, whole[..end].to_vec(), says);
    let mut all = vec![
        at("cut to nothing", 0, "its layer cannot be read at its begin"),
        at("cut in the first header", 100, "its layer cannot be read at its begin"),
        at(
            "cut in a header",
            chart + 100,
            "cannot be read after 'release/charts/coredns-1.0.0.tgz'",
        ),
        at("cut in a file", 512 + 20, "after 'release/charts/coredns-1.0.0.tgz'"),
        at("cut in what fills a block", open.len() - 1, "after 'release/release.yaml'"),
        at("cut between files", chart, "after 'release/charts/coredns-1.0.0.tgz'"),
        at("cut before the end", open.len(), "after 'release/release.yaml'"),
        at("cut within the end", open.len() + 512, "after 'release/release.yaml'"),
    ];
    let packed = gzip(&whole);
    for (name, end) in [("header", 5), ("middle", packed.len() / 2), ("sum", packed.len() - 6)] {
        let name = format!("packed, cut in its {name}");
        let cut = packed[..end].to_vec();
        all.push(Hostile::packed(&name, whole.clone(), cut, "its layer cannot be read"));
    }
    all
}

fn ends() -> Vec<Hostile> {
    let whole = tar(&good());
    let follows = "after 'release/release.yaml': bytes follow its end";
    let garbage = [&whole[..], b"garbage"].concat();
    let second = [whole.clone(), tar(&[Entry::file("release/manifests/x", b"x")])].concat();
    let one_block =
        [open_tar(&good()), vec![0; 512], tar(&[Entry::file("../canary", b"x")])].concat();
    let packed = gzip(&whole);
    let mut sum = packed.clone();
    let at = sum.len() - 6;
    sum[at] ^= 1;
    let mut length = packed.clone();
    *length.last_mut().unwrap() ^= 1;
    let follow_packed = "bytes follow its packed layer";
    vec![
        Hostile::plain("garbage behind the end", garbage, follows),
        Hostile::plain("a second archive behind the end", second, follows),
        Hostile::plain("an entry behind one block of zeros", one_block, follows),
        Hostile::packed(
            "garbage behind the packed layer",
            whole.clone(),
            [&packed[..], b"garbage"].concat(),
            follow_packed,
        ),
        Hostile::packed(
            "two members",
            whole.clone(),
            [&packed[..], &gzip(&with(Entry::file("../canary", b"x")))].concat(),
            follow_packed,
        ),
        Hostile::packed(
            "an empty second member",
            whole.clone(),
            [&packed[..], &gzip(b"")].concat(),
            follow_packed,
        ),
        Hostile::packed("wrong sum of the packed", whole.clone(), sum, "its layer cannot be read"),
        Hostile::packed("wrong length of it", whole.clone(), length, "its layer cannot be read"),
        Hostile::packed("not packed", whole.clone(), whole.clone(), "its layer cannot be read"),
        Hostile::plain("packed but said to be plain", packed, "its layer cannot be read at its"),
        Hostile {
            name: "another tar than the configuration names".to_owned(),
            layer: whole,
            packed: false,
            plain: b"another".to_vec(),
            says: "its unpacked layer is not what its manifest names".to_owned(),
        },
    ]
}

fn bombs() -> Vec<Hostile> {
    let mut long = tar(&good());
    long.resize(long.len() + 80 * 1024 * 1024, 0);
    let packed = gzip(&long);
    let zeros = tar(&[Entry::file("release/manifests/bomb", &vec![0; 65 * 1024 * 1024])]);
    let packed_zeros = gzip(&zeros);
    let many: Vec<Entry> =
        (0..1025).map(|n| Entry::file(&format!("release/manifests/{n}"), b"")).collect();
    let folders: Vec<Entry> =
        (0..1025).map(|_| Entry::new(b'5', b"release/charts/", b"")).collect();
    let bomb = "holds 'release/manifests/bomb', with which it is larger than 67108864 bytes";
    let declared =
        with(Entry::file("release/manifests/bomb", b"x").says(8 * 1024 * 1024 * 1024 - 1));
    let limit = "larger than the 67108864 bytes of a product image";
    vec![
        Hostile::packed("80 MiB of zeros behind the end", long, packed, limit),
        Hostile::packed("a file of 65 MiB of zeros", zeros, packed_zeros, bomb),
        Hostile::plain("a file that says it has 8 GiB", declared, bomb),
        Hostile::plain("1025 files", tar(&many), "more than 1024 entries"),
        Hostile::plain("one folder 1025 times", tar(&folders), "more than 1024 entries"),
    ]
}

fn headers() -> Vec<Hostile> {
    let file = || Entry::file("release/manifests/x", b"x");
    let broken = "its layer cannot be read after 'release/release.yaml'";
    let mut all = vec![
        Hostile::plain("size of 2^63", with(file().with(124, &[0x80, 0, 0, 0, 0xff])), broken),
        Hostile::plain("negative size", with(file().with(124, &[0xff; 12])), broken),
        Hostile::plain("size that is no number", with(file().with(124, b"size")), broken),
        Hostile::plain("size with a sign", with(file().with(124, b"-0000000001")), broken),
    ];
    let mode =
        Hostile::plain("mode that is no number", with(file().with(100, b"rwx")), "'release/");
    let mut entries = good();
    entries.push(file());
    all.extend([mode, Hostile::plain("wrong sum of a header", missummed(&entries), broken)]);
    all
}

fn releases() -> Vec<Hostile> {
    let layer = |yaml: &[u8]| tar(&[Entry::file(CHART, &charts::good()), Entry::file(YAML, yaml)]);
    let levels = (1..24).map(|n| format!("a{n}: &a{n} [*a{0},*a{0},*a{0},*a{0}]\n", n - 1));
    let bomb = format!("a0: &a0 [x,x]\n{}{RELEASE}", levels.collect::<String>());
    let deep = format!("{RELEASE}\nvalues: {}", "[".repeat(200_000));
    let refused = "its release is refused: release.yaml";
    [
        ("no YAML", b"\x00\x01".to_vec()),
        ("not UTF-8", b"version: \xff".to_vec()),
        ("too long", vec![b'#'; 1024 * 1024 + 1]),
        ("aliases without end", bomb.into_bytes()),
        ("deep", deep.into_bytes()),
        ("two documents", format!("{RELEASE}\n---\n{RELEASE}").into_bytes()),
        ("a member twice", format!("{RELEASE}\nversion: 4.4.0\n").into_bytes()),
        ("another format", RELEASE.replace("formatVersion: 1", "formatVersion: 2").into_bytes()),
        ("a member that is none", format!("{RELEASE}\nforce: true\n").into_bytes()),
        ("a path that leaves", RELEASE.replace("charts/", "../charts/").into_bytes()),
    ]
    .into_iter()
    .map(|(name, yaml)| Hostile::plain(&format!("release.yaml: {name}"), layer(&yaml), refused))
    .collect()
}
