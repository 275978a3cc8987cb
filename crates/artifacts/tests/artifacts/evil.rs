//! Manifests and payloads that lie: refused as they come from a registry and as they lie in a
//! layout, with an error that names what is refused; nothing of them is given to the caller.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use api::Digest;
use artifacts::digest;
use artifacts::layout::{Layout, LayoutError};
use artifacts::oci::{
    CONFIG_TYPE, DOCKER_LIST_TYPE, DOCKER_MANIFEST_TYPE, INDEX_TYPE, LAYER_GZIP_TYPE, LAYER_TYPE,
    MANIFEST_TYPE, REF_NAME,
};
use serde_json::{Value, json};

use crate::corpus::archive::{Entry, gzip, tar};
use crate::corpus::{RELEASE, config, layers};
use crate::fixture::chain;
use crate::server::Server;

const NAME: &str = "acp/product-image";

/// What a registry serves, or a layout holds, under the digests by which it is asked for.
#[derive(Clone)]
struct Parts {
    media_type: String,
    manifest: Vec<u8>,
    config: Vec<u8>,
    layer: Vec<u8>,
    /// The digests in the manifest, where the bytes are other ones.
    named: Option<(Digest, Digest)>,
    /// By which the manifest is asked for.
    digest: Option<Digest>,
}

struct Case {
    name: String,
    says: &'static str,
    parts: Parts,
}

fn descriptor(kind: &str, bytes: &[u8]) -> Value {
    json!({ "mediaType": kind, "digest": digest::of(bytes), "size": bytes.len() })
}

fn parts_of(kind: &str, config: Vec<u8>, layer: Vec<u8>) -> Parts {
    let manifest = json!({
        "schemaVersion": 2, "mediaType": MANIFEST_TYPE,
        "config": descriptor(CONFIG_TYPE, &config), "layers": [descriptor(kind, &layer)],
    });
    let (media_type, manifest) = (MANIFEST_TYPE.to_owned(), manifest.to_string().into_bytes());
    Parts { media_type, manifest, config, layer, named: None, digest: None }
}

fn good() -> Parts {
    let layer = tar(&layers::good());
    parts_of(LAYER_TYPE, config(&digest::of(&layer)), layer)
}

fn case(name: &str, says: &'static str, change: impl Fn(&mut Parts)) -> Case {
    let mut parts = good();
    change(&mut parts);
    Case { name: name.to_owned(), says, parts }
}

fn manifest(name: &str, says: &'static str, change: impl Fn(&mut Value)) -> Case {
    case(name, says, |parts| {
        let mut value: Value = serde_json::from_slice(&parts.manifest).unwrap();
        change(&mut value);
        parts.manifest = value.to_string().into_bytes();
    })
}

fn text(name: &str, says: &'static str, change: impl Fn(&str) -> String) -> Case {
    case(name, says, |parts| {
        parts.manifest = change(std::str::from_utf8(&parts.manifest).unwrap()).into_bytes();
    })
}

fn payload(name: &str, says: &'static str, kind: &str, plain: &[u8], layer: Vec<u8>) -> Case {
    let parts = parts_of(kind, config(&digest::of(plain)), layer);
    Case { name: name.to_owned(), says, parts }
}

fn shapes() -> Vec<Case> {
    let both = "the document is ambiguous";
    let malformed = "the document is malformed";
    let kind = |name: &str, media_type: &'static str, says| {
        case(name, says, move |parts| media_type.clone_into(&mut parts.media_type))
    };
    vec![
        manifest("manifests and layers", both, |m| m["manifests"] = json!([])),
        manifest("manifests and config", both, |m| {
            m["manifests"] = json!([]);
            m.as_object_mut().unwrap().remove("layers");
        }),
        text("said to be an index and is both", both, |t| t.replacen('{', "{\"manifests\":[],", 1)),
        manifest("says it is an index", "but it was given as", |m| {
            m["mediaType"] = json!(INDEX_TYPE)
        }),
        manifest("says it is of Docker", "but it was given as", |m| {
            m["mediaType"] = json!(DOCKER_MANIFEST_TYPE);
        }),
        kind("given as an index", INDEX_TYPE, "but it was given as"),
        kind("given as one of Docker", DOCKER_MANIFEST_TYPE, "but it was given as"),
        kind("given as a list of Docker", DOCKER_LIST_TYPE, "but it was given as"),
        kind("given as any JSON", "application/json", "application/json"),
        kind("given as a page", "text/html", "text/html"),
        kind("given as nothing", "", "''"),
        manifest("schemaVersion 1", "its schemaVersion is not 2", |m| {
            m["schemaVersion"] = json!(1)
        }),
        manifest("schemaVersion 3", "its schemaVersion is not 2", |m| {
            m["schemaVersion"] = json!(3)
        }),
        manifest("schemaVersion as text", malformed, |m| m["schemaVersion"] = json!("2")),
        manifest("no schemaVersion", malformed, |m| m["schemaVersion"] = Value::Null),
        manifest("layers of version 1", "its schemaVersion is not 2", |m| {
            m["fsLayers"] = json!([])
        }),
        text("layers twice", "stands twice", |t| t.replacen('{', "{\"layers\":[],", 1)),
        text("a digest twice", "stands twice", |t| {
            t.replacen("\"digest\":", "\"digest\":\"sha256:00\",\"digest\":", 1)
        }),
        text("an unknown member twice", "stands twice", |t| {
            t.replacen('{', "{\"annotations\":{\"a\":\"1\",\"a\":\"2\"},", 1)
        }),
        text("deep", malformed, |t| {
            t.replacen('{', &format!("{{\"x\":{},", "[".repeat(100_000)), 1)
        }),
        text("cut", malformed, |t| t[..t.len() - 1].to_owned()),
        text("two documents", malformed, |t| format!("{t}{t}")),
        text("no JSON", malformed, |_| "schemaVersion: 2".to_owned()),
        text("empty", malformed, |_| String::new()),
        text("too long", "4194304", |t| format!("{t}{}", " ".repeat(4 * 1024 * 1024))),
    ]
}

fn descriptors() -> Vec<Case> {
    let malformed = "the document is malformed";
    let size = |name: &str, says, size: Value| {
        manifest(name, says, move |m| m["layers"][0]["size"] = size.clone())
    };
    vec![
        size("negative size", malformed, json!(-1)),
        size("size as text", malformed, json!("5")),
        size("size with a fraction", malformed, json!(5.5)),
        size("size beyond 2^63", "is said to have 9223372036854775808", json!(1_u64 << 63)),
        size("huge size", "larger than the 67108864 bytes", json!(1_u64 << 40)),
        size("a size that is too small", "longer than the 5 bytes", json!(5)),
        size("a size that is too large", "bytes instead of", json!(60_000)),
        manifest("huge config", "larger than the 67108864", |m| {
            m["config"]["size"] = json!(1_u64 << 40);
        }),
        manifest("a layer somewhere else", "is said to lie somewhere else", |m| {
            m["layers"][0]["urls"] = json!(["https://elsewhere.invalid/x"]);
        }),
        manifest("a layer not to be spread", "its layer is of type", |m| {
            m["layers"][0]["mediaType"] =
                json!("application/vnd.oci.image.layer.nondistributable.v1.tar");
        }),
        manifest("a layer that is a page", "its layer is of type 'text/html'", |m| {
            m["layers"][0]["mediaType"] = json!("text/html");
        }),
        manifest("a config that is a chart", "its config is of type", |m| {
            m["config"]["mediaType"] = json!("application/vnd.cncf.helm.config.v1+json");
        }),
        manifest("an artifact", "it is an artifact", |m| m["artifactType"] = json!("x/y")),
        manifest("two layers", "2 layers instead of one", |m| {
            let layer = m["layers"][0].clone();
            m["layers"].as_array_mut().unwrap().push(layer);
        }),
        manifest("no layer", "0 layers instead of one", |m| m["layers"] = json!([])),
        manifest("300 layers", "more than 256 layers", |m| {
            let layer = m["layers"][0].clone();
            m["layers"] = json!(vec![layer; 300]);
        }),
        manifest("another algorithm", malformed, |m| {
            m["layers"][0]["digest"] = json!(format!("sha512:{}", "0".repeat(128)));
        }),
        manifest("a digest that leaves", malformed, |m| {
            m["layers"][0]["digest"] = json!("sha256:../../../etc/canary");
        }),
        manifest("a digest in capitals", malformed, |m| {
            m["layers"][0]["digest"] = json!(format!("sha256:{}", "A".repeat(64)));
        }),
        case("digest of another image", "instead of", |p| p.digest = Some(digest::of(b"other"))),
        case("other bytes of the layer", "instead of", |p| {
            p.named = Some((digest::of(&p.config), digest::of(&p.layer)));
            p.layer[600] ^= 1;
        }),
        case("a shorter layer", "instead of", |p| {
            p.named = Some((digest::of(&p.config), digest::of(&p.layer)));
            p.layer.truncate(1024);
        }),
        case("a longer layer", "longer than the", |p| {
            p.named = Some((digest::of(&p.config), digest::of(&p.layer)));
            p.layer.extend_from_slice(&[0; 512]);
        }),
        case("other bytes of the config", "instead of", |p| {
            p.named = Some((digest::of(&p.config), digest::of(&p.layer)));
            p.config[3] ^= 1;
        }),
    ]
}

fn payloads() -> Vec<Case> {
    let whole = tar(&layers::good());
    let white = |path: &str| {
        let mut entries = layers::good();
        entries.push(Entry::file(path, b""));
        tar(&entries)
    };
    let (file, opaque) =
        (white("release/charts/.wh.coredns-1.0.0.tgz"), white("release/.wh..wh..opq"));
    let packed = gzip(&whole);
    let mut all = vec![
        payload(
            "plain but said to be packed",
            "cannot be read",
            LAYER_GZIP_TYPE,
            &whole,
            whole.clone(),
        ),
        payload(
            "packed but said to be plain",
            "cannot be read",
            LAYER_TYPE,
            &packed,
            packed.clone(),
        ),
        payload("packed twice", "cannot be read", LAYER_GZIP_TYPE, &whole, gzip(&packed)),
        payload("a layer of another algorithm", "cannot be read", LAYER_GZIP_TYPE, &whole, {
            b"\x28\xb5\x2f\xfd\x00".to_vec()
        }),
        payload("an empty layer", "cannot be read at its begin", LAYER_TYPE, b"", Vec::new()),
        payload(
            "a whiteout",
            "'release/charts/.wh.coredns-1.0.0.tgz'",
            LAYER_TYPE,
            &file,
            file.clone(),
        ),
        payload(
            "an opaque whiteout",
            "'release/.wh..wh..opq'",
            LAYER_TYPE,
            &opaque,
            opaque.clone(),
        ),
        payload(
            "another unpacked layer",
            "its unpacked layer is not",
            LAYER_TYPE,
            b"x",
            whole.clone(),
        ),
    ];
    let yaml = |name: &str, yaml: String| {
        let chart = crate::corpus::charts::good();
        let layer = tar(&[
            Entry::file("release/charts/coredns-1.0.0.tgz", &chart),
            Entry::file("release/release.yaml", yaml.as_bytes()),
        ]);
        payload(name, "its release is refused: release.yaml", LAYER_TYPE, &layer, layer.clone())
    };
    all.push(yaml("release.yaml too long", "#".repeat(1024 * 1024 + 1)));
    all.push(yaml("release.yaml deep", format!("{RELEASE}\nx: {}", "{a: ".repeat(50_000))));
    all
}

fn configurations() -> Vec<Case> {
    let whole = tar(&layers::good());
    let config_of = |name: &str, says, config: Vec<u8>| {
        let parts = parts_of(LAYER_TYPE, config, whole.clone());
        Case { name: name.to_owned(), says, parts }
    };
    let ids = |ids: Value| json!({ "architecture": "amd64", "os": "linux", "rootfs": { "type": "layers", "diff_ids": ids } });
    let bytes = |value: Value| value.to_string().into_bytes();
    let one = digest::of(&whole);
    vec![
        config_of("two unpacked layers", "does not name one layer", bytes(ids(json!([one, one])))),
        config_of("no unpacked layer", "does not name one layer", bytes(ids(json!([])))),
        config_of(
            "no rootfs",
            "the document is malformed",
            bytes(json!({ "architecture": "amd64" })),
        ),
        config_of("a config that is no JSON", "the document is malformed", b"x".to_vec()),
        config_of("a config with a member twice", "stands twice", {
            let text = ids(json!([one])).to_string();
            text.replacen('{', "{\"os\":\"linux\",", 1).into_bytes()
        }),
    ]
}

fn indexes() -> Vec<Case> {
    let index = json!({ "schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": [] });
    let of_index = json!({
        "schemaVersion": 2, "mediaType": INDEX_TYPE,
        "manifests": [descriptor(INDEX_TYPE, index.to_string().as_bytes())],
    });
    let as_index = |name: &str, says, document: &Value| {
        let document = document.to_string().into_bytes();
        case(name, says, move |parts| {
            parts.manifest.clone_from(&document);
            INDEX_TYPE.clone_into(&mut parts.media_type);
        })
    };
    vec![
        as_index("an index", "is not an image manifest", &index),
        as_index("an index of an index", "is not an image manifest", &of_index),
    ]
}

/// Writes a layout byte by byte.
fn layout(folder: &Path, parts: &Parts) -> Result<(), LayoutError> {
    let blobs = folder.join("blobs/sha256");
    fs::create_dir_all(&blobs).unwrap();
    let digest = parts.digest.clone().unwrap_or_else(|| digest::of(&parts.manifest));
    let index = json!({ "schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": [{
        "mediaType": parts.media_type, "digest": digest, "size": parts.manifest.len(),
        "annotations": { REF_NAME: format!("{NAME}:v4.3.0") },
    }] });
    fs::write(folder.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
    fs::write(folder.join("index.json"), index.to_string()).unwrap();
    for (digest, bytes) in served(parts) {
        fs::write(blobs.join(digest.hex()), bytes).unwrap();
    }
    let layout = Layout::open(folder)?;
    let image = layout.images().next().unwrap();
    layout.release(image).map(|_| ())
}

fn served(parts: &Parts) -> BTreeMap<Digest, Vec<u8>> {
    let (config, layer) =
        parts.named.clone().unwrap_or((digest::of(&parts.config), digest::of(&parts.layer)));
    let manifest = parts.digest.clone().unwrap_or_else(|| digest::of(&parts.manifest));
    BTreeMap::from([
        (config, parts.config.clone()),
        (layer, parts.layer.clone()),
        (manifest, parts.manifest.clone()),
    ])
}

fn all() -> Vec<Case> {
    let mut all = shapes();
    all.extend(descriptors());
    all.extend(payloads());
    all.extend(configurations());
    all.extend(indexes());
    assert!(all.len() >= 60, "{}", all.len());
    all
}

#[tokio::test]
async fn every_lie_of_a_registry_is_refused_and_named() {
    let serve = |parts: &Parts| {
        let (media_type, blobs) = (parts.media_type.clone(), served(parts));
        Server::start(move |request| {
            let asked = request.target.rsplit('/').next().unwrap_or_default();
            let found = blobs.iter().find(|(digest, _)| asked == digest.as_str());
            let kind = ("Content-Type".to_owned(), media_type.clone());
            match found {
                Some((_, bytes)) => (200, vec![kind], bytes.clone()),
                None => (404, Vec::new(), Vec::new()),
            }
        })
    };
    let parts = good();
    let pulled = serve(&parts).client(&[]).pull_release(NAME, &digest::of(&parts.manifest)).await;
    assert!(pulled.is_ok(), "{pulled:?}");
    let mut wrong = Vec::new();
    for case in all() {
        let server = serve(&case.parts);
        let digest = case.parts.digest.clone().unwrap_or_else(|| digest::of(&case.parts.manifest));
        let pulled = server.client(&[]).pull_release(NAME, &digest).await;
        let error = pulled.map(|_| ()).expect_err(&case.name);
        let shown = chain(&error);
        let named = shown.contains(&format!("{NAME}@sha256:"));
        if !(error.is_invalid() && named && shown.contains(case.says)) {
            wrong.push(format!("{}: {shown}\nexpected: {}", case.name, case.says));
        }
        assert!(server.requests().iter().all(|request| request.method == "GET"));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_lie_of_a_layout_is_refused_and_named() {
    let work = tempfile::tempdir().unwrap();
    layout(&work.path().join("good"), &good()).unwrap();
    for (number, case) in all().into_iter().enumerate() {
        let folder = work.path().join(number.to_string());
        let error = layout(&folder, &case.parts).expect_err(&case.name);
        let shown = chain(&error);
        // Sizes are seen sooner here, from the length of the file.
        let sized = ["bytes instead of", "bytes are read", "are allowed"];
        let said = shown.contains(case.says) || sized.iter().any(|words| shown.contains(words));
        assert!(said || case.says.starts_with('\''), "{}: {shown}", case.name);
        let named =
            shown.contains("sha256") || shown.contains("index.json") || shown.contains(NAME);
        assert!(named, "{}: {shown}", case.name);
    }
}
