//! A registry in memory, without TLS.

use super::server::{Answer, Asked, Server};
use artifacts::digest;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

/// Blobs and manifests by their path.
type Held = BTreeMap<String, (String, Vec<u8>)>;

/// Starts one that lets everybody in.
pub(crate) fn start() -> Server {
    let held = Mutex::new(Held::new());
    Server::start(move |asked| answer(asked, &mut held.lock().unwrap()))
}

/// Starts one that takes manifests only once it is told to.
pub(crate) fn without_manifests(takes: Arc<AtomicBool>) -> Server {
    let held = Mutex::new(Held::new());
    Server::start(move |asked| {
        let is_manifest = asked.method == "PUT" && asked.path.contains("/manifests/");
        if is_manifest && !takes.load(Ordering::SeqCst) {
            return (400, Vec::new(), br#"{"errors":[{"code":"MANIFEST_INVALID"}]}"#.to_vec());
        }
        answer(asked, &mut held.lock().unwrap())
    })
}

/// Starts one that lets nobody in.
pub(crate) fn closed() -> Server {
    Server::start(|_| unauthorized())
}

/// Starts one that lets in who is authorized by this.
pub(crate) fn of_one(authorization: &'static str) -> Server {
    let held = Mutex::new(Held::new());
    Server::start(move |asked| match asked.authorization == authorization {
        true => answer(asked, &mut held.lock().unwrap()),
        false => unauthorized(),
    })
}

fn unauthorized() -> Answer {
    let challenge = ("www-authenticate", "Basic realm=\"x\"".to_owned());
    (401, vec![challenge], br#"{"errors":[{"code":"UNAUTHORIZED"}]}"#.to_vec())
}

fn answer(asked: &Asked, held: &mut Held) -> Answer {
    let path = asked.path.as_str();
    match asked.method.as_str() {
        "GET" if path == "/v2/" => (200, Vec::new(), b"{}".to_vec()),
        "GET" | "HEAD" => match held.get(path) {
            Some((kind, bytes)) => {
                let headers = vec![
                    ("content-type", kind.clone()),
                    ("content-length", bytes.len().to_string()),
                    ("docker-content-digest", digest::of(bytes).to_string()),
                ];
                (200, headers, bytes.clone())
            }
            None => (404, Vec::new(), br#"{"errors":[{"code":"UNKNOWN"}]}"#.to_vec()),
        },
        "POST" => (202, vec![("location", format!("{path}one"))], Vec::new()),
        "PUT" if path.ends_with("/uploads/one") => {
            let found = digest::of(&asked.body);
            let place = path.replace("uploads/one", found.as_str());
            held.insert(place, ("application/octet-stream".to_owned(), asked.body.clone()));
            (201, vec![("docker-content-digest", found.to_string())], Vec::new())
        }
        "PUT" => {
            let found = digest::of(&asked.body);
            held.insert(path.to_owned(), (asked.content_type.clone(), asked.body.clone()));
            (201, vec![("docker-content-digest", found.to_string())], Vec::new())
        }
        _ => (405, Vec::new(), Vec::new()),
    }
}
