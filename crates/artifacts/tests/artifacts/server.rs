//! A server of our own behind TLS that answers as a hostile registry would.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use artifacts::registry::{Credentials, Registry, Settings};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::fixture::{provide_tls, quick};

/// What must never come to anybody but the registry.
pub(crate) const CANARY: &str = "canary-51c2";

/// One request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) headers: String,
    pub(crate) length: usize,
}

impl Request {
    /// The value of its Authorization header.
    pub(crate) fn authorization(&self) -> Option<&str> {
        let line = self.headers.lines().find(|l| l.to_lowercase().starts_with("authorization:"))?;
        line.split_once(':').map(|(_, value)| value.trim())
    }
}

/// An answer: status, headers and body.
pub(crate) type Answer = (u16, Vec<(String, String)>, Vec<u8>);

/// How slowly bodies go: this many bytes, then a pause, and so on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    pub(crate) bytes: usize,
    pub(crate) pause: Duration,
}

/// A server that ends with the process of the tests.
#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) address: String,
    certificate: String,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    pub(crate) fn start(answer: impl Fn(&Request) -> Answer + Send + Sync + 'static) -> Self {
        Self::paced(None, answer)
    }

    /// The same whose bodies trickle.
    pub(crate) fn slow(
        pace: Pace,
        answer: impl Fn(&Request) -> Answer + Send + Sync + 'static,
    ) -> Self {
        Self::paced(Some(pace), answer)
    }

    fn paced(
        pace: Option<Pace>,
        answer: impl Fn(&Request) -> Answer + Send + Sync + 'static,
    ) -> Self {
        provide_tls();
        let key = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
        let private = PrivatePkcs8KeyDer::from(key.signing_key.serialize_der());
        let config = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![key.cert.der().clone()], PrivateKeyDer::Pkcs8(private))
            .unwrap();
        let (config, answer) = (Arc::new(config), Arc::new(answer));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&requests);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (config, answer) = (Arc::clone(&config), Arc::clone(&answer));
                let kept = Arc::clone(&kept);
                thread::spawn(move || serve(stream, config, pace, &*answer, &kept));
            }
        });
        Self { address, certificate: key.cert.pem(), requests }
    }

    /// What came so far.
    pub(crate) fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }

    /// A client of this server with the canary as its password, which trusts `others` too.
    pub(crate) fn client(&self, others: &[&Self]) -> Registry {
        Registry::new(self.settings(others)).unwrap()
    }

    pub(crate) fn settings(&self, others: &[&Self]) -> Settings {
        let mut settings = Settings::new(&self.address);
        let mut pem = self.certificate.clone();
        others.iter().for_each(|other| pem.push_str(&other.certificate));
        settings.ca = Some(pem.into_bytes());
        let (username, password) = ("admin".to_owned(), CANARY.to_owned());
        settings.credentials = Some(Credentials { username, password });
        settings.retry = quick();
        settings
    }
}

fn serve(
    stream: TcpStream,
    config: Arc<ServerConfig>,
    pace: Option<Pace>,
    answer: &dyn Fn(&Request) -> Answer,
    kept: &Mutex<Vec<Request>>,
) {
    let mut stream = StreamOwned::new(ServerConnection::new(config).unwrap(), stream);
    let Some(request) = read(&mut stream) else { return };
    kept.lock().unwrap().push(request.clone());
    let (status, headers, body) = answer(&request);
    let mut text = format!("HTTP/1.1 {status} X\r\nConnection: close\r\n");
    if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-length")) {
        text.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    headers.iter().for_each(|(name, value)| text.push_str(&format!("{name}: {value}\r\n")));
    text.push_str("\r\n");
    // The client may have gone away; that is its right.
    let _gone = stream.write_all(text.as_bytes()).and_then(|()| {
        if request.method != "HEAD" {
            match pace {
                None => stream.write_all(&body)?,
                Some(pace) => trickle(&mut stream, &body, pace)?,
            }
        }
        stream.conn.send_close_notify();
        stream.flush()
    });
}

fn trickle(stream: &mut impl Write, body: &[u8], pace: Pace) -> std::io::Result<()> {
    for piece in body.chunks(pace.bytes) {
        stream.write_all(piece)?;
        stream.flush()?;
        thread::sleep(pace.pause);
    }
    Ok(())
}

fn read(stream: &mut impl Read) -> Option<Request> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).ok()?;
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).ok()?;
    let (line, headers) = head.split_once("\r\n")?;
    let mut words = line.split(' ');
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let length = headers.lines().find_map(|l| {
        l.to_lowercase().strip_prefix("content-length:").and_then(|v| v.trim().parse().ok())
    });
    let length = length.unwrap_or(0);
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    Some(Request { method, target, headers: headers.to_owned(), length })
}
