//! A small registry that keeps what of an upload has arrived, and breaks off where a test says so.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use artifacts::digest;
use artifacts::registry::{Registry, Settings};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::fixture::{provide_tls, quick};
use crate::server::Pace;

/// What the registry does about an upload that was cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Memory {
    /// It keeps what arrived, and says how much.
    Keeps,
    /// It keeps less than arrived, and refuses to go on at the end with 416.
    Loses,
    /// It does not know the upload any more.
    Forgets,
    /// It says one offset and refuses it each time.
    Contradicts,
}

/// How it fails.
#[derive(Debug, Clone)]
pub(crate) struct Faults {
    pub(crate) memory: Memory,
    /// After how many bytes of a body each connection that sends one breaks; the rest do not.
    pub(crate) cuts: Vec<u64>,
    /// After the last cut nothing answers any more.
    pub(crate) ends: bool,
    /// It stops reading instead of breaking the connection.
    pub(crate) stalls: bool,
    /// It says that it stored every blob and manifest under this digest.
    pub(crate) stored_as: Option<String>,
    /// It reads bodies this slowly, and never stops.
    pub(crate) pace: Option<Pace>,
}

impl Faults {
    pub(crate) fn none(memory: Memory) -> Self {
        let cuts = Vec::new();
        Self { memory, cuts, ends: false, stalls: false, stored_as: None, pace: None }
    }
}

#[derive(Debug, Default)]
struct State {
    uploads: BTreeMap<u64, Vec<u8>>,
    blobs: BTreeMap<(String, String), Vec<u8>>,
    manifests: BTreeMap<(String, String), Vec<u8>>,
    /// Bytes of bodies that came for a blob of this length, whole or not.
    received: BTreeMap<u64, u64>,
    /// Bytes that came for a blob that was there already.
    needless: u64,
    /// Manifests that named a blob that was not there.
    early: Vec<String>,
    used: usize,
    number: u64,
    lost: BTreeSet<u64>,
}

/// A registry that ends with the process of the tests.
#[derive(Clone)]
pub(crate) struct Uploads {
    address: String,
    certificate: String,
    state: Arc<Mutex<State>>,
    faults: Arc<Mutex<Faults>>,
}

impl Uploads {
    pub(crate) fn start(faults: Faults) -> Self {
        provide_tls();
        let key = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
        let private = PrivatePkcs8KeyDer::from(key.signing_key.serialize_der());
        let config = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![key.cert.der().clone()], PrivateKeyDer::Pkcs8(private));
        let config = Arc::new(config.unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let uploads = Self {
            address,
            certificate: key.cert.pem(),
            state: Arc::default(),
            faults: Arc::new(Mutex::new(faults)),
        };
        let own = uploads.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (own, config) = (own.clone(), Arc::clone(&config));
                thread::spawn(move || own.serve(stream, config));
            }
        });
        uploads
    }

    pub(crate) fn settings(&self) -> Settings {
        let mut settings = Settings::new(&self.address);
        settings.ca = Some(self.certificate.clone().into_bytes());
        settings.retry = quick();
        settings
    }

    pub(crate) fn client(&self) -> Registry {
        Registry::new(self.settings()).unwrap()
    }

    /// From now on it fails in another way.
    pub(crate) fn fails(&self, faults: Faults) {
        self.state.lock().unwrap().used = 0;
        *self.faults.lock().unwrap() = faults;
    }

    /// How many bytes came for the blobs of a length.
    pub(crate) fn received(&self, length: u64) -> u64 {
        self.state.lock().unwrap().received.get(&length).copied().unwrap_or(0)
    }

    /// What must never be: bytes for a blob that is there, manifests before their blobs.
    pub(crate) fn breaches(&self) -> (u64, Vec<String>) {
        let state = self.state.lock().unwrap();
        (state.needless, state.early.clone())
    }

    /// How many blobs and manifests there are; each blob has its digest.
    pub(crate) fn holds(&self) -> (usize, usize) {
        let state = self.state.lock().unwrap();
        for ((_, named), bytes) in &state.blobs {
            assert_eq!(digest::of(bytes).as_str(), named);
        }
        (state.blobs.len(), state.manifests.len())
    }

    fn serve(&self, stream: TcpStream, config: Arc<ServerConfig>) {
        let mut stream = StreamOwned::new(ServerConnection::new(config).unwrap(), stream);
        // Connections stay open for more requests, as those of a real registry do.
        while let Some(head) = head(&mut stream) {
            let Some(answer) = self.answer(&head, &mut stream) else { return };
            let (status, headers) = answer;
            let mut text = format!("HTTP/1.1 {status} X\r\n");
            if !headers.iter().any(|(name, _)| name == "Content-Length") && status != 204 {
                text.push_str("Content-Length: 0\r\n");
            }
            headers.iter().for_each(|(name, value)| text.push_str(&format!("{name}: {value}\r\n")));
            text.push_str("\r\n");
            if stream.write_all(text.as_bytes()).and_then(|()| stream.flush()).is_err() {
                return;
            }
        }
    }

    /// Reads a body to its end, or to where the connection breaks: then none.
    fn body(&self, length: u64, stream: &mut impl Read) -> (Vec<u8>, bool) {
        let faults = self.faults.lock().unwrap().clone();
        let cut = {
            let mut state = self.state.lock().unwrap();
            let cut = faults.cuts.get(state.used).copied().filter(|_| length > 0);
            state.used += usize::from(cut.is_some());
            cut
        };
        let mut bytes = Vec::new();
        let end = cut.map_or(length, |cut| cut.min(length));
        let read = match faults.pace {
            None => stream.take(end).read_to_end(&mut bytes).map(|_| ()),
            Some(pace) => slowly(stream, end, pace, &mut bytes),
        };
        if cut.is_some_and(|cut| cut < length) {
            if faults.stalls {
                thread::sleep(Duration::from_secs(2));
            }
            return (bytes, false);
        }
        (bytes, read.is_ok() && end == length)
    }

    fn answer(&self, head: &Head, stream: &mut impl Read) -> Option<Answer> {
        let faults = self.faults.lock().unwrap().clone();
        let over = faults.ends && self.state.lock().unwrap().used >= faults.cuts.len();
        if over {
            return None;
        }
        let parts: Vec<&str> = head.path.trim_matches('/').split('/').collect();
        let at = parts.iter().rposition(|part| matches!(*part, "blobs" | "manifests"));
        let Some(at) = at else { return Some((200, Vec::new())) };
        let repository = parts[1..at].join("/");
        let last = *parts.last().unwrap();
        match (head.method.as_str(), parts[at], parts.get(at + 1) == Some(&"uploads")) {
            (_, "blobs", true) => self.upload(head, &repository, last, &faults, stream),
            ("HEAD", kind, _) => {
                let state = self.state.lock().unwrap();
                let place = (repository, last.to_owned());
                let (found, named) = match kind {
                    "blobs" => (state.blobs.get(&place), last.to_owned()),
                    _ => {
                        let found = state.manifests.get(&place);
                        (found, found.map(|b| digest::of(b).to_string()).unwrap_or_default())
                    }
                };
                Some(match found {
                    None => (404, Vec::new()),
                    Some(bytes) => {
                        let length = ("Content-Length".to_owned(), bytes.len().to_string());
                        (200, vec![length, ("Docker-Content-Digest".to_owned(), named)])
                    }
                })
            }
            ("PUT", "manifests", _) => {
                let (bytes, whole) = self.body(head.length, stream);
                whole.then(|| self.manifest(repository, last, bytes, &faults))
            }
            _ => Some((405, Vec::new())),
        }
    }

    fn manifest(&self, repository: String, tag: &str, bytes: Vec<u8>, faults: &Faults) -> Answer {
        let mut state = self.state.lock().unwrap();
        let manifest: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        let layers = manifest["layers"].as_array().unwrap().iter().chain([&manifest["config"]]);
        for blob in layers {
            let digest = blob["digest"].as_str().unwrap().to_owned();
            if !state.blobs.contains_key(&(repository.clone(), digest.clone())) {
                state.early.push(format!("{repository}:{tag} before {digest}"));
                return (400, Vec::new());
            }
        }
        state.manifests.insert((repository, tag.to_owned()), bytes);
        (201, stated(faults))
    }

    fn upload(
        &self,
        head: &Head,
        repository: &str,
        last: &str,
        faults: &Faults,
        stream: &mut impl Read,
    ) -> Option<Answer> {
        let address = |id: u64| {
            let path = format!("https://{}/v2/{repository}/blobs/uploads/{id}?s=1", self.address);
            ("Location".to_owned(), path)
        };
        let id: u64 = last.parse().unwrap_or(0);
        if head.method == "POST" {
            let mut state = self.state.lock().unwrap();
            state.number += 1;
            let id = state.number;
            state.uploads.insert(id, Vec::new());
            return Some((202, vec![address(id)]));
        }
        let arrived = self.state.lock().unwrap().uploads.get(&id).map(Vec::len);
        let Some(arrived) = arrived else { return Some((404, Vec::new())) };
        let range = |end: usize| ("Range".to_owned(), format!("0-{}", end.saturating_sub(1)));
        if head.method == "GET" {
            return Some((204, vec![range(arrived), address(id)]));
        }
        let digest = head.query.split('&').find_map(|pair| pair.strip_prefix("digest="));
        let digest = digest.map(|text| text.replace("%3A", ":"));
        let first = head.first.unwrap_or(arrived as u64);
        let refused = first != arrived as u64
            || (faults.memory == Memory::Contradicts && head.method == "PATCH" && arrived > 0);
        let (bytes, whole) = self.body(head.length, stream);
        let blob = head.whole.unwrap_or(head.length);
        let mut state = self.state.lock().unwrap();
        *state.received.entry(blob).or_default() += bytes.len() as u64;
        // A streamed blob is known by its length; one that goes whole says its digest.
        let is_held = |(place, held): (&(String, String), &Vec<u8>)| match &digest {
            Some(digest) => *place == (repository.to_owned(), digest.clone()),
            None => held.len() as u64 == blob,
        };
        if state.blobs.iter().any(is_held) {
            state.needless += bytes.len() as u64;
        }
        if refused {
            return Some((416, vec![range(arrived), address(id)]));
        }
        let upload = state.uploads.get_mut(&id)?;
        upload.extend_from_slice(&bytes);
        if !whole {
            match faults.memory {
                Memory::Keeps | Memory::Contradicts => {}
                // Once an upload: what comes next finds less than it was told.
                Memory::Loses if state.lost.contains(&id) => {}
                Memory::Loses => {
                    let upload = state.uploads.get_mut(&id)?;
                    upload.truncate(upload.len() / 2);
                    state.lost.insert(id);
                }
                Memory::Forgets => {
                    state.uploads.remove(&id);
                }
            }
            return None;
        }
        let Some(digest) = digest else { return Some((202, vec![range(0), address(id)])) };
        let bytes = state.uploads.remove(&id)?;
        if digest::of(&bytes).as_str() != digest {
            return Some((400, Vec::new()));
        }
        state.blobs.insert((repository.to_owned(), digest), bytes);
        Some((201, stated(faults)))
    }
}

fn slowly(
    stream: &mut impl Read,
    length: u64,
    pace: Pace,
    bytes: &mut Vec<u8>,
) -> std::io::Result<()> {
    while (bytes.len() as u64) < length {
        let left = length - bytes.len() as u64;
        let before = bytes.len();
        stream.take(left.min(pace.bytes as u64)).read_to_end(bytes)?;
        if bytes.len() == before {
            break;
        }
        thread::sleep(pace.pause);
    }
    Ok(())
}

type Answer = (u16, Vec<(String, String)>);

fn stated(faults: &Faults) -> Vec<(String, String)> {
    let digest = faults.stored_as.iter().cloned();
    digest.map(|digest| ("Docker-Content-Digest".to_owned(), digest)).collect()
}

struct Head {
    method: String,
    path: String,
    query: String,
    length: u64,
    /// The first byte of what is sent, and the length of the whole blob.
    first: Option<u64>,
    whole: Option<u64>,
}

fn head(stream: &mut impl Read) -> Option<Head> {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).ok()?;
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).ok()?.to_lowercase();
    let (line, headers) = head.split_once("\r\n")?;
    let mut words = line.split(' ');
    let (method, target) = (words.next()?.to_uppercase(), words.next()?);
    let header = |name: &str| {
        let line = headers.lines().find_map(|line| line.strip_prefix(name));
        line.map(|value| value.trim().to_owned())
    };
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let range = header("content-range:");
    let range = range.as_deref().and_then(|range| range.split_once('-'));
    Some(Head {
        method,
        path: path.to_owned(),
        query: query.replace("%3a", "%3A"),
        length: header("content-length:").and_then(|text| text.parse().ok()).unwrap_or(0),
        first: range.and_then(|(first, _)| first.parse().ok()),
        whole: range.and_then(|(_, last)| last.parse::<u64>().ok()).map(|last| last + 1),
    })
}
