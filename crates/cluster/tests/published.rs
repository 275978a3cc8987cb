//! Published releases as a round reads them: which of them are looked into, how many at a time, and
//! what of them is handed on.

#![expect(clippy::unwrap_used, reason = "a test ends where something fails")]

use api::Release;
use api::objects::{Cluster, ClusterCredential};
use cluster::Live;
use cluster::execute::ContentError;
use cluster::observe::{Depth, Fleet, Releases, Servers, Subject, observe, typed};
use planner::snapshot::{ManifestFacts, ManifestReady};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Mutex;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

fn image(version: &str) -> String {
    let digest = version.replace('.', "").repeat(32);
    format!("registry.test/acp/product-image@sha256:{}", &digest[..64])
}

/// A ProductManifest that was resolved, and is Ready or is not any more.
fn manifest(version: &str, is_ready: bool) -> Value {
    let (status, reason) =
        if is_ready { ("True", "Resolved") } else { ("False", "SigningKeyExpired") };
    json!({
        "metadata": { "name": format!("v{version}"), "generation": 1 },
        "spec": { "version": version },
        "status": {
            "observedGeneration": 1,
            "image": image(version),
            "signature": { "key": "acp-1", "trust": "InstalledRelease" },
            "conditions": [{
                "type": "Ready", "status": status, "reason": reason, "message": "",
                "lastTransitionTime": "2026-11-22T19:00:00Z",
            }],
        },
    })
}

/// Answers what a round reads: the cluster's own object, and these ProductManifests.
async fn serve(status: Value, manifests: Vec<Value>) -> Live {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let uri = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = Vec::new();
            while !request.windows(4).any(|w| w == b"\r\n\r\n") {
                if stream.read_buf(&mut request).await.unwrap() == 0 {
                    break;
                }
            }
            let head = String::from_utf8_lossy(&request).into_owned();
            let path = head.split(' ').nth(1).unwrap_or_default();
            let body = if path.contains("/clusterversionshadows/") {
                json!({ "metadata": { "name": "global" }, "spec": {}, "status": status })
            } else if path.contains("/productmanifests") {
                json!({ "metadata": {}, "items": manifests })
            } else {
                json!({ "metadata": { "name": "x" }, "spec": {}, "items": [] })
            };
            let body = body.to_string();
            let answer = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                body.len()
            );
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    Live::new(kube::Config::new(uri)).unwrap()
}

/// A registry that is slow to say no; which images it was asked for.
#[derive(Default)]
struct Slow(Mutex<Vec<String>>);

const SLOW: Duration = Duration::from_millis(400);

impl Releases for Slow {
    async fn release(&self, image: &str) -> Result<Release, ContentError> {
        self.0.lock().unwrap().push(image.to_owned());
        tokio::time::sleep(SLOW).await;
        Err(ContentError::Unavailable("no answer".to_owned()))
    }
}

struct Nobody;

impl Fleet for Nobody {
    async fn version(&self, _: &Cluster, _: &ClusterCredential) -> Result<String, String> {
        Err("nobody is asked".to_owned())
    }
}

async fn manifests(live: &Live, registry: &Slow) -> Vec<ManifestFacts> {
    let subject = Subject {
        cluster: "global".to_owned(),
        cvo_version: "4.3.0".parse().unwrap(),
        now: "2026-11-22T20:00:00Z".parse().unwrap(),
    };
    let servers = Servers { home: live, server: live };
    let shadow = typed(live, "cpaas-system", "global").await.unwrap();
    let snapshot = observe(servers, registry, &Nobody, &subject, shadow, Depth::Upgrade).await;
    snapshot.manifests.value().unwrap().clone()
}

fn asked(registry: &Slow) -> BTreeSet<String> {
    registry.0.lock().unwrap().iter().cloned().collect()
}

#[tokio::test]
async fn a_silent_registry_is_not_asked_for_releases_that_nobody_needs() {
    let current = json!({ "version": "4.2.1", "image": image("4.2.1") });
    let all = ["4.0.0", "4.1.0", "4.2.1", "4.3.0", "4.4.0"];
    let published: Vec<Value> = all.iter().map(|version| manifest(version, true)).collect();
    let status = json!({ "current": current, "desired": current });
    let (live, registry) = (serve(status, published.clone()).await, Slow::default());
    let begun = Instant::now();
    let facts = manifests(&live, &registry).await;
    let took = begun.elapsed();
    let names: Vec<&str> = facts.iter().map(|m| m.name.as_str()).collect();
    assert_eq!(names, ["v4.0.0", "v4.1.0", "v4.2.1", "v4.3.0", "v4.4.0"], "in their order");
    // What is installed is read as what is desired, once; what is above, beside one another.
    let needed = ["4.2.1", "4.3.0", "4.4.0"].map(image);
    assert_eq!(asked(&registry), BTreeSet::from(needed.clone()));
    assert_eq!(registry.0.lock().unwrap().len(), 3);
    assert!(took < SLOW * 3, "{took:?}");
    // Where another version is desired, the customisations of what is installed still need it.
    let desired = json!({ "version": "4.3.0", "image": image("4.3.0") });
    let status = json!({ "current": current, "desired": desired });
    let (live, registry) = (serve(status, published.clone()).await, Slow::default());
    manifests(&live, &registry).await;
    assert_eq!(asked(&registry), BTreeSet::from(needed));
    // Where nothing was ever completed, each may be the first.
    let (live, registry) = (serve(json!({}), published).await, Slow::default());
    manifests(&live, &registry).await;
    assert_eq!(asked(&registry), all.map(image).into());
}

#[tokio::test]
async fn a_signature_that_no_longer_counts_is_not_handed_on() {
    let published = vec![manifest("4.3.0", true), manifest("4.4.0", false)];
    let live = serve(json!({}), published).await;
    let facts = manifests(&live, &Slow::default()).await;
    assert_eq!(
        (facts[0].ready == ManifestReady::Ready, facts[0].signature.is_some()),
        (true, true)
    );
    assert!(matches!(facts[1].ready, ManifestReady::Failed { .. }), "{:?}", facts[1].ready);
    assert_eq!(facts[1].signature, None);
}
