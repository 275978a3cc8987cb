//! A proxy that stands before an API server and lets requests fail on purpose: delayed, refused,
//! answered with an error, lost on the way there or back, with a process killed or stopped at
//! either point. Every run follows from its seed and keeps a trace.
//!
//! Clients come with a token, which is passed on: the API server judges them as ever. Nothing here
//! knows what an upgrade should come to: that is the tests'.

mod book;
mod chance;
mod forward;
mod link;
mod signal;
mod trace;

pub use book::{Fault, KINDS, Rule, When};
pub use chance::Chance;
pub use link::{Flow, Link};
pub use signal::{Stopped, kill};
pub use trace::{Asked, Entry};

use anyhow::{Context as _, Result};
use book::Book;
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use sandbox::ControlPlane;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

/// What passes the proxy at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Passage {
    /// Everything.
    Open,
    /// Watches tell nothing; all else passes.
    WatchesHeld,
    /// Nothing is answered, and nobody is told so: a black hole.
    Away,
    /// Connections break, and new ones are refused.
    Refused,
}

/// A proxy before an API server; it ends when this value is dropped.
#[derive(Debug)]
pub struct Faultd {
    port: u16,
    shared: Arc<Shared>,
    connections: JoinHandle<()>,
}

/// What all connections share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) upstream: String,
    pub(crate) client: reqwest::Client,
    pub(crate) passage: watch::Sender<Passage>,
    /// Held requests go on at each change.
    pub(crate) released: watch::Sender<u64>,
    /// How many processes were killed or stopped.
    pub(crate) ended: watch::Sender<usize>,
    /// Open watches end at each change.
    pub(crate) watches_cut: watch::Sender<u64>,
    book: Mutex<Book>,
}

impl Shared {
    pub(crate) fn book(&self) -> MutexGuard<'_, Book> {
        // A poisoned book is still the truth about what was seen.
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Faultd {
    /// Stands before a control plane, with the certificate that its own authority gave it for
    /// 127.0.0.1.
    ///
    /// # Errors
    /// When the certificate cannot be used or no port can be had.
    pub async fn before(plane: &ControlPlane) -> Result<Self> {
        let authority = plane.authority();
        let folder = authority.parent().context("the authority stands in a folder")?;
        Self::showing(plane, &folder.join("tls.crt"), &folder.join("tls.key"))
    }

    /// Stands before a control plane with a certificate of its own.
    ///
    /// # Errors
    /// When the certificate cannot be used or no port can be had.
    pub fn showing(plane: &ControlPlane, certificate: &Path, key: &Path) -> Result<Self> {
        let acceptor = acceptor(certificate, key)?;
        let authority = plane.authority();
        let root = reqwest::Certificate::from_pem(&std::fs::read(&authority)?)?;
        let client = reqwest::Client::builder().tls_certs_only([root]).http1_only().build()?;
        let shared = Arc::new(Shared {
            upstream: plane.url(),
            client,
            passage: watch::Sender::new(Passage::Open),
            released: watch::Sender::new(0),
            ended: watch::Sender::new(0),
            watches_cut: watch::Sender::new(0),
            book: Mutex::new(Book::new(Instant::now())),
        });
        let listener = bound(SocketAddr::from(([127, 0, 0, 1], 0)))?.listen(BACKLOG)?;
        let port = listener.local_addr()?.port();
        let connections = tokio::spawn(accept(listener, acceptor, Arc::clone(&shared)));
        Ok(Self { port, shared, connections })
    }

    /// Where it listens on 127.0.0.1.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// `https://127.0.0.1:<port>`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("https://127.0.0.1:{}", self.port)
    }

    /// Adds a rule; the first one that fits a request is applied.
    pub fn rule(&self, rule: Rule) {
        self.shared.book().rule(rule);
    }

    /// Every request meets one kind of error the first time, in an order that follows from the
    /// seed, and passes the second time; changing ones fail again the third time, and so on.
    pub fn rotate(&self, seed: u64) {
        self.shared.book().rotate(seed);
    }

    /// From now on no rule holds.
    pub fn clear(&self) {
        self.shared.book().clear();
    }

    /// The next changing request ends this process: the first of its method and path before it is
    /// passed on, the second after it was answered, with the answer lost, and so on in turn.
    /// Nothing passes afterwards until the next call.
    pub fn kill_at_next_change(&self) {
        self.shared.book().arm();
    }

    /// The process that is to be killed.
    pub fn victim(&self, pid: u32) {
        self.shared.book().victim(pid);
    }

    /// Lets everything pass again after a kill.
    pub fn disarm(&self) {
        self.shared.book().disarm();
    }

    /// Waits until a process was ended by a request; false when none was in time.
    pub async fn has_ended_one(&self, before: usize, limit: Duration) -> bool {
        let mut ended = self.shared.ended.subscribe();
        let more = ended.wait_for(|count| *count > before);
        tokio::time::timeout(limit, more).await.is_ok_and(|seen| seen.is_ok())
    }

    /// How many processes were ended by requests.
    #[must_use]
    pub fn ended(&self) -> usize {
        *self.shared.ended.borrow()
    }

    /// Says what passes at all.
    pub fn set_passage(&self, passage: Passage) {
        self.shared.passage.send_replace(passage);
    }

    /// Passes on every request that a rule holds.
    pub fn release(&self) {
        self.shared.released.send_modify(|count| *count += 1);
    }

    /// Ends every watch that is open.
    pub fn cut_watches(&self) {
        self.shared.watches_cut.send_modify(|count| *count += 1);
    }

    /// Changing requests so far, those that never reached the API server included.
    #[must_use]
    pub fn changes(&self) -> usize {
        self.shared.book().changes()
    }

    /// What came through so far.
    #[must_use]
    pub fn trace(&self) -> Vec<Entry> {
        self.shared.book().trace().to_vec()
    }

    /// Shows the trace of the changing requests and of what was done to others when a test fails.
    ///
    /// # Errors
    /// The error that it was given.
    pub fn explain<T>(&self, result: Result<T>) -> Result<T> {
        if result.is_err() {
            for entry in self.trace().iter().filter(|e| e.change.is_some() || !e.verdict.is_empty())
            {
                eprintln!("faultd: {entry}");
            }
        }
        result
    }
}

impl Drop for Faultd {
    fn drop(&mut self) {
        self.connections.abort();
    }
}

pub(crate) fn acceptor(certificate: &Path, key: &Path) -> Result<TlsAcceptor> {
    let chain = CertificateDer::pem_file_iter(certificate)?.collect::<Result<Vec<_>, _>>()?;
    let key = PrivateKeyDer::from_pem_file(key)?;
    let config =
        rustls::ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key)?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// Connections that wait to be accepted.
const BACKLOG: u32 = 1024;

/// A socket that shares its port with the next one: whoever stops listening keeps the port.
fn bound(address: SocketAddr) -> std::io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseport(true)?;
    socket.bind(address)?;
    Ok(socket)
}

/// Connections end together with the task that accepts them.
async fn accept(listener: TcpListener, acceptor: TlsAcceptor, shared: Arc<Shared>) {
    let mut listener = listener;
    loop {
        accept_until_refused(&listener, &acceptor, &shared).await;
        match refuses(listener, &shared).await {
            Ok(again) => listener = again,
            Err(error) => return eprintln!("faultd: it listens no more: {error}"),
        }
    }
}

async fn accept_until_refused(
    listener: &TcpListener,
    acceptor: &TlsAcceptor,
    shared: &Arc<Shared>,
) {
    let mut connections = JoinSet::new();
    let mut passage = shared.passage.subscribe();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((stream, _)) = accepted else { continue };
                connections.spawn(serve(stream, acceptor.clone(), Arc::clone(shared)));
            }
            Some(_ended) = connections.join_next() => {}
            // The sender lives as long as `shared`.
            _refused = passage.wait_for(|p| *p == Passage::Refused) => return,
        }
    }
}

/// Nobody listens until something passes again.
async fn refuses(listener: TcpListener, shared: &Shared) -> std::io::Result<TcpListener> {
    let kept = bound(listener.local_addr()?)?;
    drop(listener);
    let mut passage = shared.passage.subscribe();
    let _sender_lives = passage.wait_for(|p| *p != Passage::Refused).await;
    kept.listen(BACKLOG)
}

async fn serve(stream: TcpStream, acceptor: TlsAcceptor, shared: Arc<Shared>) {
    // A client that was killed leaves handshakes and connections unfinished.
    let _best_effort = stream.set_nodelay(true);
    let Ok(stream) = acceptor.accept(stream).await else { return };
    let service =
        hyper::service::service_fn(move |asked| forward::answer(Arc::clone(&shared), asked));
    let http = hyper::server::conn::http1::Builder::new();
    let _ended = http.serve_connection(TokioIo::new(stream), service).await;
}
