//! ProductManifests that cannot be read, written or resolved hold up nothing.

use crate::server::{Answer, Server, forbidden, list};
use axum::http::{Method, StatusCode, Uri};
use jiff::{SignedDuration, Timestamp};
use operator::manifests::Resolver;
use operator::releases::ReleaseStore;
use operator::trust::Trust;
use serde_json::{Value, json};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::net::TcpListener;

const DIGEST: &str = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

fn manifest(name: &str, version: &str) -> Value {
    json!({
        "apiVersion": "product.alauda.io/v1alpha1", "kind": "ProductManifest",
        "metadata": { "name": name, "uid": name, "generation": 1, "resourceVersion": "1" },
        "spec": { "version": version },
    })
}

fn no_such_object() -> Answer {
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": "not found", "reason": "NotFound", "code": 404, "details": { "name": "x" },
    });
    Answer::Document(StatusCode::NOT_FOUND, status)
}

fn is_list(method: &Method, uri: &Uri) -> bool {
    method == Method::GET && uri.path().ends_with("/productmanifests")
}

fn store() -> ReleaseStore {
    ReleaseStore::new("/nonexistent/ca.crt".into(), "/nonexistent/pull".into())
}

fn start() -> Timestamp {
    "2026-11-22T20:00:00Z".parse().unwrap()
}

async fn resolve(server: &Server, resolver: &mut Resolver, at_s: i64) -> Option<u64> {
    let (live, store) = (server.live(), store());
    let now = start().checked_add(SignedDuration::from_secs(at_s)).unwrap();
    let trust = Trust::read(&live, &store, "global", now).await;
    resolver.resolve_all(&live, &store, &trust, now).await.map(|d| d.as_secs())
}

#[tokio::test]
async fn manifests_that_cannot_be_listed_end_no_round() {
    let server = Server::start(|_, _, _| forbidden()).await;
    assert_eq!(resolve(&server, &mut Resolver::default(), 0).await, Some(5));
}

#[tokio::test]
async fn a_status_that_cannot_be_written_does_not_hide_the_others() {
    let server = Server::start(|method, uri, _| {
        if is_list(method, uri) {
            return list(&[manifest("a", "4.3.0"), manifest("b", "4.4.0")]);
        }
        if method == Method::PATCH { forbidden() } else { no_such_object() }
    })
    .await;
    assert_eq!(resolve(&server, &mut Resolver::default(), 0).await, Some(5));
    for name in ["a", "b"] {
        let path = format!("/productmanifests/{name}/status");
        assert_eq!(server.count("PATCH", &path), 1, "{name}");
    }
}

#[tokio::test]
async fn a_manifest_that_failed_is_not_resolved_in_every_round() {
    let generation = Arc::new(Mutex::new(1));
    let current = Arc::clone(&generation);
    let server = Server::start(move |method, uri, _| {
        if is_list(method, uri) {
            let mut one = manifest("v4.3.0", "4.3.0");
            one["metadata"]["generation"] = json!(*current.lock().unwrap());
            return list(&[one]);
        }
        if method == Method::PATCH {
            return Answer::Document(StatusCode::OK, json!({}));
        }
        no_such_object()
    })
    .await;
    let mut resolver = Resolver::default();
    // A registry that is not known ends each attempt; the platform is asked for it once in each.
    let tries = || server.count("GET", "/productbases/base");
    let mut made = Vec::new();
    for second in 0..=80 {
        let before = tries();
        resolve(&server, &mut resolver, second).await;
        if tries() > before {
            made.push(second);
        }
    }
    assert_eq!(made, [0, 5, 15, 35, 65], "the pause grows and has an end");
    *generation.lock().unwrap() = 2;
    let before = tries();
    resolve(&server, &mut resolver, 81).await;
    assert!(tries() > before, "what changed is tried at once");
}

#[tokio::test]
async fn a_registry_under_another_name_moves_no_image() {
    let said: Arc<Mutex<Vec<Value>>> = Arc::default();
    let kept = Arc::clone(&said);
    let server = Server::start(move |method, uri, body| {
        if is_list(method, uri) {
            let of = |name: &str, version: &str, digest: &str| {
                let mut one = manifest(name, version);
                one["spec"]["image"] = json!(format!("127.0.0.1:1/acp/product-image@{DIGEST}"));
                let before = format!("old.test:5000/acp/product-image@{digest}");
                one["status"] = json!({ "image": before, "conditions": [] });
                one
            };
            let other = DIGEST.replace('a', "b");
            return list(&[of("v4.4.0", "4.4.0", &other), of("v4.3.0", "4.3.0", DIGEST)]);
        }
        if method == Method::PATCH {
            kept.lock().unwrap().push(body.clone());
            return Answer::Document(StatusCode::OK, json!({}));
        }
        no_such_object()
    })
    .await;
    resolve(&server, &mut Resolver::default(), 0).await;
    let said = said.lock().unwrap();
    let reasons: Vec<&Value> =
        said.iter().map(|body| &body["status"]["conditions"][0]["reason"]).collect();
    assert_eq!((reasons.len(), reasons[0]), (2, &json!("ImageMoved")), "{reasons:?}");
    assert!(reasons[1].is_string() && reasons[1] != "ImageMoved", "{reasons:?}");
}

/// A Ready ProductManifest as it was resolved once.
fn resolved(version: &str) -> Value {
    let mut one = manifest(&format!("v{version}"), version);
    one["status"] = json!({
        "observedGeneration": 1,
        "image": format!("127.0.0.1:1/acp/product-image@{DIGEST}"),
        "signature": { "key": "acp-1", "trust": "InstalledRelease" },
        "conditions": [{
            "type": "Ready", "status": "True", "reason": "Resolved", "message": "",
            "lastTransitionTime": "2026-11-22T19:00:00Z",
        }],
    });
    one
}

/// The cluster's own object, at this version.
fn shadow(current: &str) -> Answer {
    let cvsh = json!({
        "apiVersion": "product.alauda.io/v1alpha1", "kind": "ClusterVersionShadow",
        "metadata": { "name": "global", "namespace": "cpaas-system" }, "spec": {},
        "status": { "current": { "version": current, "image": "" } },
    });
    Answer::Document(StatusCode::OK, cvsh)
}

#[tokio::test]
async fn a_registry_outage_that_is_over_is_not_tried_again_in_every_round() {
    let current = Arc::new(Mutex::new("4.2.1"));
    let installed = Arc::clone(&current);
    let server = Server::start(move |method, uri, _| {
        if is_list(method, uri) {
            return list(&[resolved("4.3.0")]);
        }
        if uri.path().contains("clusterversionshadows") {
            return shadow(*installed.lock().unwrap());
        }
        no_such_object()
    })
    .await;
    let mut resolver = Resolver::default();
    // Nobody listens there: whether it still is trusted is not known.
    assert_eq!(resolve(&server, &mut resolver, 0).await, Some(5));
    *current.lock().unwrap() = "4.3.0";
    assert_eq!(resolve(&server, &mut resolver, 6).await, None, "nothing is left to be tried");
    assert_eq!(resolve(&server, &mut resolver, 60).await, None);
}

#[tokio::test]
async fn a_manifest_that_is_no_longer_trusted_does_not_say_who_signed_it() {
    let said: Arc<Mutex<Vec<Value>>> = Arc::default();
    let kept = Arc::clone(&said);
    let server = Server::start(move |method, uri, body| {
        if is_list(method, uri) {
            return list(&[resolved("4.3.0")]);
        }
        if method == Method::PATCH {
            kept.lock().unwrap().push(body.clone());
            return Answer::Document(StatusCode::OK, json!({}));
        }
        if uri.path().ends_with("/release-keys") {
            let data = json!({ "signing-keys": "- id: [" });
            let keys = json!({
                "apiVersion": "v1", "kind": "ConfigMap", "data": data,
                "metadata": { "name": "release-keys", "namespace": "cpaas-system" },
            });
            return Answer::Document(StatusCode::OK, keys);
        }
        if uri.path().contains("clusterversionshadows") {
            return shadow("4.2.1");
        }
        no_such_object()
    })
    .await;
    resolve(&server, &mut Resolver::default(), 0).await;
    let said = said.lock().unwrap();
    assert_eq!(said.len(), 1, "{said:?}");
    let status = said[0]["status"].as_object().unwrap();
    assert_eq!(status["conditions"][0]["status"], "False", "{status:?}");
    assert_eq!(status.get("signature"), Some(&Value::Null), "it is taken away: {status:?}");
}

/// A registry that takes connections and never says anything; how many came.
async fn swallowing() -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let came = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&came);
    tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            counter.fetch_add(1, Ordering::Relaxed);
            held.push(stream);
        }
    });
    (address, came)
}

#[tokio::test]
async fn a_registry_that_swallows_packets_does_not_hold_up_round_after_round() {
    let (address, came) = swallowing().await;
    let base = json!({
        "apiVersion": "product.alauda.io/v1alpha1", "kind": "ProductBase",
        "metadata": { "name": "base" }, "spec": { "registry": { "address": address } },
    });
    let server = Server::start(move |method, uri, _| {
        if is_list(method, uri) {
            let all = ["4.3.0", "4.4.0", "4.5.0"];
            return list(&all.map(|version| manifest(&format!("v{version}"), version)));
        }
        if uri.path().ends_with("/productbases/base") {
            return Answer::Document(StatusCode::OK, base.clone());
        }
        if method == Method::PATCH {
            return Answer::Document(StatusCode::OK, json!({}));
        }
        no_such_object()
    })
    .await;
    let (live, store, mut resolver) = (server.live(), store(), Resolver::default());
    let trust = Trust::read(&live, &store, "global", start()).await;
    let begun = Instant::now();
    let again = resolver.resolve_all(&live, &store, &trust, start()).await;
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(8), "{took:?}");
    assert!(again.is_some_and(|again| again >= Duration::from_secs(1)), "{again:?}");
    assert_eq!(came.load(Ordering::Relaxed), 1, "one attempt, not six");
    // Others that ask it at once are told what is known already.
    let image = format!("{address}/acp/product-image@{DIGEST}").parse().unwrap();
    let digest = DIGEST.parse().unwrap();
    let begun = Instant::now();
    let error = store.pull(&image, &digest).await.unwrap_err().to_string();
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    assert!(error.contains(&address), "{error}");
    // The pause begins where the attempt ended, not where its round began.
    let ended = start().checked_add(SignedDuration::from_secs(6)).unwrap();
    resolver.resolve_all(&live, &store, &trust, ended).await;
    assert_eq!(came.load(Ordering::Relaxed), 1);
    assert_eq!(server.count("PATCH", "/v4.3.0/status"), 1);
}
