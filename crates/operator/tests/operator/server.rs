//! An API server of a few lines: what it answers is a function of the request, and every request is
//! counted.

use axum::Router;
use axum::body::Body;
use axum::http::{Method, StatusCode, Uri};
use axum::response::Response;
use cluster::Live;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use tokio::net::TcpListener;

/// What a request gets: a document, or a watch that never says anything.
pub(crate) enum Answer {
    Document(StatusCode, Value),
    Silence,
}

/// A server that runs until it is dropped.
pub(crate) struct Server {
    url: String,
    counts: Arc<Mutex<BTreeMap<String, usize>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Server {
    pub(crate) async fn start<F>(answer: F) -> Self
    where
        F: Fn(&Method, &Uri, &Value) -> Answer + Clone + Send + Sync + 'static,
    {
        let counts: Arc<Mutex<BTreeMap<String, usize>>> = Arc::default();
        let seen = Arc::clone(&counts);
        let handle = move |method: Method, uri: Uri, body: axum::body::Bytes| {
            let key = format!("{method} {}", uri.path());
            *seen.lock().unwrap().entry(key).or_default() += 1;
            let body: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
            let answer = answer(&method, &uri, &body);
            async move { response(answer) }
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().fallback(handle);
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, counts, task }
    }

    pub(crate) fn live(&self) -> Live {
        live(&self.url)
    }

    /// How often a request was made, by method and the end of its path.
    pub(crate) fn count(&self, method: &str, end: &str) -> usize {
        let counts = self.counts.lock().unwrap();
        let of = |key: &&String| key.starts_with(method) && key.ends_with(end);
        counts.keys().filter(of).map(|key| counts[key]).sum()
    }

    /// The most requests that were made for one path but this one.
    pub(crate) fn most_but(&self, other: &str) -> (String, usize) {
        let counts = self.counts.lock().unwrap();
        let others = counts.iter().filter(|(path, _)| !path.contains(other));
        let most = others.max_by_key(|(_, count)| **count);
        most.map(|(key, count)| (key.clone(), *count)).unwrap_or_default()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

pub(crate) fn live(url: &str) -> Live {
    // Where another test was first it is there already.
    rustls::crypto::ring::default_provider().install_default().ok();
    Live::new(kube::Config::new(url.parse().unwrap())).unwrap()
}

fn response(answer: Answer) -> Response {
    let (status, body) = match answer {
        Answer::Document(status, value) => (status, Body::from(value.to_string())),
        Answer::Silence => {
            let silence = futures::stream::pending::<Result<Vec<u8>, std::io::Error>>();
            (StatusCode::OK, Body::from_stream(silence))
        }
    };
    Response::builder()
        .status(status)
        .header("content-type", "application/json")
        .body(body)
        .unwrap()
}

/// As the API server refuses what an account may not.
pub(crate) fn forbidden() -> Answer {
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": "forbidden: User \"cvo\" cannot do that", "reason": "Forbidden", "code": 403,
    });
    Answer::Document(StatusCode::FORBIDDEN, status)
}

/// A list with these items.
pub(crate) fn list(items: &[Value]) -> Answer {
    let list = json!({
        "kind": "List", "apiVersion": "v1", "metadata": { "resourceVersion": "1" },
        "items": items,
    });
    Answer::Document(StatusCode::OK, list)
}
