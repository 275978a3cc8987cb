//! A proxy of bytes before a registry or etcd: cut after so many bytes, silent, or slow. It knows
//! no protocol.

use anyhow::Result;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

/// How bytes flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// As they come.
    Open,
    /// Connections are closed as soon as they are opened, and open ones end.
    Refused,
    /// Nothing passes, and nobody is told.
    BlackHole,
    /// The connection ends once so many bytes of answers have passed, counted over all
    /// connections.
    CutAfter(u64),
    /// At most so many bytes of answers a second and connection.
    Throttled(u64),
}

/// A proxy of bytes; it ends when this value is dropped.
#[derive(Debug)]
pub struct Link {
    port: u16,
    flow: watch::Sender<Flow>,
    passed: Arc<AtomicU64>,
    broken: Arc<AtomicU64>,
    connections: JoinHandle<()>,
}

impl Link {
    /// Stands before an address, at a port of its own.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn before(address: &str) -> Result<Self> {
        Self::at("127.0.0.1:0", address).await
    }

    /// Stands at one address and passes on to another.
    ///
    /// # Errors
    /// When somebody listens there.
    pub async fn at(own: &str, address: &str) -> Result<Self> {
        let listener = TcpListener::bind(own).await?;
        let port = listener.local_addr()?.port();
        let flow = watch::Sender::new(Flow::Open);
        let passed = Arc::new(AtomicU64::new(0));
        let broken = Arc::new(AtomicU64::new(0));
        let pipe = Pipe {
            flow: flow.subscribe(),
            passed: Arc::clone(&passed),
            broken: Arc::clone(&broken),
        };
        let connections = tokio::spawn(accept(listener, address.to_owned(), pipe));
        Ok(Self { port, flow, passed, broken, connections })
    }

    /// The port at which it stands.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// How many connections it has ended or refused.
    #[must_use]
    pub fn broken(&self) -> u64 {
        self.broken.load(Ordering::Acquire)
    }

    /// Changes how bytes flow; those that passed are counted anew.
    pub fn set(&self, flow: Flow) {
        self.passed.store(0, Ordering::Release);
        self.flow.send_replace(flow);
    }

    /// Bytes of answers that passed since the flow was set.
    #[must_use]
    pub fn passed(&self) -> u64 {
        self.passed.load(Ordering::Acquire)
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.connections.abort();
    }
}

#[derive(Clone)]
struct Pipe {
    flow: watch::Receiver<Flow>,
    passed: Arc<AtomicU64>,
    broken: Arc<AtomicU64>,
}

async fn accept(listener: TcpListener, address: String, pipe: Pipe) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((stream, _)) = accepted else { continue };
                connections.spawn(connect(stream, address.clone(), pipe.clone()));
            }
            Some(_ended) = connections.join_next() => {}
        }
    }
}

async fn connect(client: TcpStream, address: String, mut pipe: Pipe) {
    if *pipe.flow.borrow_and_update() == Flow::Refused {
        pipe.breaks();
        return;
    }
    let Ok(server) = TcpStream::connect(address).await else { return };
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let mut refused = pipe.flow.clone();
    let counts = pipe.clone();
    tokio::select! {
        () = pipe.clone().carry(from_client, to_server, false) => {}
        () = pipe.carry(from_server, to_client, true) => {}
        _ = refused.wait_for(|flow| *flow == Flow::Refused) => counts.breaks(),
    }
}

impl Pipe {
    fn breaks(&self) {
        self.broken.fetch_add(1, Ordering::AcqRel);
    }

    /// Carries bytes until an end; only answers count.
    async fn carry(mut self, mut from: OwnedReadHalf, mut to: OwnedWriteHalf, is_answer: bool) {
        let mut buffer = vec![0; 16 * 1024];
        loop {
            let Ok(read @ 1..) = from.read(&mut buffer).await else { return };
            let open = self.flow.wait_for(|flow| *flow != Flow::BlackHole).await;
            let Ok(flow) = open.map(|flow| *flow) else { return };
            let mut length = read;
            if is_answer {
                let bytes = u64::try_from(read).unwrap_or_default();
                let before = self.passed.fetch_add(bytes, Ordering::AcqRel);
                match flow {
                    Flow::CutAfter(limit) => {
                        let left = limit.saturating_sub(before);
                        length = read.min(usize::try_from(left).unwrap_or(read));
                    }
                    Flow::Throttled(rate) => {
                        let time = Duration::from_secs_f64(read as f64 / rate.max(1) as f64);
                        tokio::time::sleep(time).await;
                    }
                    Flow::Open | Flow::Refused | Flow::BlackHole => {}
                }
            }
            if to.write_all(&buffer[..length]).await.is_err() {
                return;
            }
            if length < read {
                self.breaks();
                return;
            }
        }
    }
}
