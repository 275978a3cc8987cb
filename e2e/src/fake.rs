//! An API server that is light enough to have hundreds of: one cluster with one node, its objects
//! in memory. It answers what the operator asks of a workload cluster, and says of every workload
//! at once that it is rolled out.
//!
//! It knows nothing of owners of fields, schemas, rights or deletion that takes time: where those
//! count, a real one is taken. What it serves is what a real one said that it serves.

mod answer;
mod node;
mod store;

use crate::faultd::acceptor;
use crate::t2::Bench;
use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use bytes::Bytes;
use hyper_util::rt::TokioIo;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::Value;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use store::{Place, Store};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

/// Kinds in one answer, as clients ask for them.
const DISCOVERY: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

/// Lets this process, and each that it starts afterwards, have as many connections as the machine
/// allows: on many machines a process begins with fewer than hundreds of servers need.
///
/// # Errors
/// When the machine refuses.
pub fn allow_many() -> Result<()> {
    let maximum = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })?;
    Ok(())
}

/// How a server answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// At once.
    Prompt,
    /// Each request only after so long.
    Slow(Duration),
    /// Never: connections are taken, and nothing comes.
    Silent,
    /// At once, with a page as a proxy may show it.
    Rubbish,
}

/// What all fake servers have from a real one: its certificate for 127.0.0.1, its version and the
/// kinds that it serves.
#[derive(Clone)]
pub struct Model {
    acceptor: TlsAcceptor,
    authority: String,
    version: Bytes,
    /// The kinds of the core group.
    core: Bytes,
    /// Those of all others.
    groups: Bytes,
}

impl Model {
    /// Takes the API server of a platform as the model.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn of(bench: &Bench) -> Result<Self> {
        let authority = bench.plane.authority();
        let folder = authority.parent().context("the authority stands in a folder")?;
        let pem = std::fs::read(&authority)?;
        let client = reqwest::Client::builder()
            .tls_certs_only([reqwest::Certificate::from_pem(&pem)?])
            .build()?;
        let ask = async |path: &str, accept: &str| {
            let request = client.get(format!("{}{path}", bench.plane.url()));
            let request = request.bearer_auth(bench.plane.token()).header("accept", accept);
            let answer = request.timeout(Duration::from_secs(10)).send().await?;
            anyhow::Ok(answer.error_for_status()?.bytes().await?)
        };
        let model = Self {
            acceptor: acceptor(&folder.join("tls.crt"), &folder.join("tls.key"))?,
            authority: base64::engine::general_purpose::STANDARD.encode(&pem),
            version: ask("/version", "application/json").await?,
            core: ask("/api", DISCOVERY).await?,
            groups: ask("/apis", DISCOVERY).await?,
        };
        let found: Value = serde_json::from_slice(&model.groups)?;
        ensure!(found["kind"] == "APIGroupDiscoveryList", "/apis answers {}", found["kind"]);
        Ok(model)
    }

    /// The certificate that signs theirs, PEM in base64, as a ClusterCredential holds it.
    #[must_use]
    pub fn authority(&self) -> &str {
        &self.authority
    }
}

/// A server; it ends when this value is dropped.
#[derive(Debug)]
pub struct FakeServer {
    port: u16,
    shared: Arc<Shared>,
    connections: JoinHandle<()>,
}

/// What all connections of a server share.
struct Shared {
    model: Model,
    manner: watch::Sender<Manner>,
    changes: AtomicUsize,
    store: Mutex<Store>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("changes", &self.changes).finish_non_exhaustive()
    }
}

impl Shared {
    fn store(&self) -> MutexGuard<'_, Store> {
        // Every change of it is one insertion or removal.
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl FakeServer {
    /// Starts one with a node and nothing installed.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn start(model: &Model) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        let shared = Arc::new(Shared {
            model: model.clone(),
            manner: watch::Sender::new(Manner::Prompt),
            changes: AtomicUsize::new(0),
            store: Mutex::new(Store::with(node::objects())),
        });
        let connections = tokio::spawn(accept(listener, Arc::clone(&shared)));
        Ok(Self { port, shared, connections })
    }

    /// Its port of 127.0.0.1.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// How it answers from now on.
    pub fn behave(&self, manner: Manner) {
        self.shared.manner.send_replace(manner);
    }

    /// Ends every connection and listens no more, for ever.
    pub fn refuse(&self) {
        self.connections.abort();
    }

    /// Changing requests so far; access reviews are questions.
    #[must_use]
    pub fn changes(&self) -> usize {
        self.shared.changes.load(Ordering::Acquire)
    }

    /// The objects of a collection, of all namespaces: `/apis/apps/v1/deployments`.
    ///
    /// # Errors
    /// When the path is none.
    pub fn list(&self, collection: &str) -> Result<Vec<Value>> {
        let (place, _) = Place::of(collection).with_context(|| collection.to_owned())?;
        Ok(self.shared.store().list(&place, ""))
    }
}

impl Drop for FakeServer {
    fn drop(&mut self) {
        self.connections.abort();
    }
}

/// Connections end together with the task that accepts them.
async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((stream, _)) = accepted else { continue };
                connections.spawn(serve(stream, Arc::clone(&shared)));
            }
            Some(_ended) = connections.join_next() => {}
        }
    }
}

async fn serve(stream: TcpStream, shared: Arc<Shared>) {
    // A client that went away leaves handshakes and connections unfinished.
    let _best_effort = stream.set_nodelay(true);
    let Ok(stream) = shared.model.acceptor.accept(stream).await else { return };
    let service = hyper::service::service_fn(move |request| {
        let shared = Arc::clone(&shared);
        async move { answer::to(&shared, request).await }
    });
    let http = hyper::server::conn::http1::Builder::new();
    let _ended = http.serve_connection(TokioIo::new(stream), service).await;
}
