//! A real client before a server with many objects, and one whose kinds become more.

#![expect(clippy::unwrap_used, reason = "a test ends where something fails")]

use cluster::{ApiServer as _, ListQuery, Live};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// What a server answers to a path with its query.
type Answers = Arc<dyn Fn(&str) -> Value + Send + Sync>;

async fn serve(answers: Answers) -> Live {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer(stream, Arc::clone(&answers)));
        }
    });
    Live::new(kube::Config::new(format!("http://{address}").parse().unwrap())).unwrap()
}

async fn answer(mut stream: TcpStream, answers: Answers) {
    let mut request = Vec::new();
    while !request.windows(4).any(|w| w == b"\r\n\r\n") {
        if stream.read_buf(&mut request).await.unwrap() == 0 {
            return;
        }
    }
    let text = String::from_utf8_lossy(&request).into_owned();
    let body = answers(text.split(' ').nth(1).unwrap_or_default()).to_string();
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close";
    let answer = format!("{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    stream.write_all(answer.as_bytes()).await.unwrap();
}

fn pod(name: &str) -> Value {
    let owners = json!([{ "manager": "kubelet", "fieldsV1": { "f:status": {} } }]);
    json!({ "metadata": { "name": name, "managedFields": owners } })
}

#[tokio::test]
async fn of_a_large_list_only_what_is_wanted_is_kept() {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&asked);
    let live = serve(Arc::new(move |path: &str| {
        log.lock().unwrap().push(path.to_owned());
        if path.contains("continue") {
            json!({ "metadata": {}, "items": [pod("d"), pod("wanted-2")] })
        } else {
            let items = [pod("a"), pod("wanted-1"), pod("b")];
            json!({ "metadata": { "continue": "next" }, "items": items })
        }
    }))
    .await;
    let wanted = |pod: &Value| {
        pod.pointer("/metadata/name").and_then(Value::as_str).unwrap().starts_with("wanted")
    };
    let mut query = ListQuery::all("v1", "Pod");
    let found = live.list_where(&query, wanted).await.unwrap();
    let names: Vec<&str> = found.iter().map(|p| p["metadata"]["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["wanted-1", "wanted-2"]);
    assert!(found[0]["metadata"]["managedFields"].is_array(), "conflicts are found by them");
    assert_eq!((&found[0]["apiVersion"], &found[0]["kind"]), (&json!("v1"), &json!("Pod")));
    assert_eq!(asked.lock().unwrap().len(), 2, "{asked:?}");
    query.metadata_only = true;
    let found = live.list_where(&query, wanted).await.unwrap();
    assert_eq!(found[0]["metadata"], json!({ "name": "wanted-1" }));
}

/// What a server says of its groups, with so many kinds of `demo.test`.
fn groups(kinds: usize) -> Value {
    let resource = |n: usize| {
        json!({
            "resource": format!("kind{n}s"),
            "singularResource": format!("kind{n}"),
            "responseKind": { "group": "demo.test", "version": "v1", "kind": format!("Kind{n}") },
            "scope": "Namespaced",
            "verbs": ["get", "list"],
        })
    };
    let resources: Vec<Value> = (1..=kinds).map(resource).collect();
    json!({
        "kind": "APIGroupDiscoveryList",
        "apiVersion": "apidiscovery.k8s.io/v2",
        "metadata": {},
        "items": [{
            "metadata": { "name": "demo.test" },
            "versions": [{ "version": "v1", "resources": resources, "freshness": "Current" }],
        }],
    })
}

#[tokio::test]
async fn a_chart_learns_of_kinds_that_came_after_the_operator_started() {
    let kinds = Arc::new(AtomicUsize::new(1));
    let served = Arc::clone(&kinds);
    let looks = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&looks);
    let live = serve(Arc::new(move |path: &str| {
        if path.starts_with("/apis") {
            counter.fetch_add(1, Ordering::Relaxed);
            return groups(served.load(Ordering::Relaxed));
        }
        json!({
            "kind": "APIGroupDiscoveryList",
            "apiVersion": "apidiscovery.k8s.io/v2",
            "metadata": {},
            "items": [],
        })
    }))
    .await;
    let first = live.api_versions().await.unwrap();
    assert_eq!(first, ["demo.test/v1", "demo.test/v1/Kind1"]);
    assert_eq!(live.api_versions().await.unwrap(), first);
    assert_eq!(looks.load(Ordering::Relaxed), 1, "components of one round share a look");
    kinds.store(2, Ordering::Relaxed);
    // The next round is a second later.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let later = live.api_versions().await.unwrap();
    assert_eq!(later, ["demo.test/v1", "demo.test/v1/Kind1", "demo.test/v1/Kind2"]);
}
