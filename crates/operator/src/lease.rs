//! The Lease: one replica leads, the others wait.
//!
//! A holder may write until a deadline of its own monotonic clock, counted from the moment it sent
//! its last successful renewal; every write asks for it (see [`cluster::live::Fence`]). Followers
//! measure by their own clock how long a Lease did not change, so wrong clocks move nothing.

use api::names::{CVO, NAMESPACE};
use api::objects::ObjectRef;
use cluster::live::Fence;
use cluster::server::{ApiServer, PatchBody};
use cluster::{CallError, Live};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// How the Lease is held.
#[derive(Debug, Clone)]
pub struct LeaseSettings {
    /// Name of this replica.
    pub identity: String,
    /// How long the Lease holds without renewal.
    pub duration: Duration,
    /// After how long without renewal this replica stops writing; shorter than `duration`.
    pub renew_deadline: Duration,
    /// How often it is renewed or looked at.
    pub retry: Duration,
}

/// Whether this replica leads; cheap to ask before every write.
#[derive(Debug, Clone)]
pub struct Leadership {
    start: Instant,
    /// Milliseconds since `start` until which writes are allowed; 0 for none.
    until_ms: Arc<AtomicU64>,
    writes: Arc<Writes>,
}

/// The writes that are under way.
#[derive(Debug, Default)]
struct Writes {
    count: watch::Sender<usize>,
    /// Whether none may begin any more.
    closed: AtomicBool,
}

/// A write that is under way.
struct Pass(Arc<Writes>);

impl Drop for Pass {
    fn drop(&mut self) {
        self.0.count.send_modify(|count| *count -= 1);
    }
}

impl Leadership {
    fn new() -> Self {
        Self { start: Instant::now(), until_ms: Arc::default(), writes: Arc::default() }
    }

    /// Lets no write begin any more, and returns once those that are under way have ended. The
    /// Lease is held and renewed meanwhile.
    pub async fn drained(&self) {
        self.writes.closed.store(true, Ordering::SeqCst);
        let mut count = self.writes.count.subscribe();
        // The sender lives as long as this does.
        count.wait_for(|count| *count == 0).await.ok();
    }

    /// Whether writes are allowed now.
    #[must_use]
    pub fn leads(&self) -> bool {
        let until = Duration::from_millis(self.until_ms.load(Ordering::Acquire));
        self.start.elapsed() < until
    }

    fn extend(&self, until: Instant) {
        let since = until.saturating_duration_since(self.start).as_millis();
        self.until_ms.store(u64::try_from(since).unwrap_or(u64::MAX), Ordering::Release);
    }

    fn end(&self) {
        self.until_ms.store(0, Ordering::Release);
    }
}

impl Fence for Leadership {
    fn pass(&self) -> Option<Box<dyn Send>> {
        // Counted before it is asked: whoever closes sees it, or it sees that it is closed.
        self.writes.count.send_modify(|count| *count += 1);
        let pass = Pass(Arc::clone(&self.writes));
        (self.leads() && !self.writes.closed.load(Ordering::SeqCst)).then(|| Box::new(pass) as _)
    }
}

/// What was last seen of a Lease held by another, and when by our own clock.
struct Seen {
    version: Value,
    at: Instant,
}

/// Takes, renews and gives up the Lease.
pub struct Election {
    server: Live,
    settings: LeaseSettings,
    leadership: Leadership,
    seen: Option<Seen>,
}

impl Election {
    /// An election that nobody runs in yet.
    #[must_use]
    pub fn new(server: Live, settings: LeaseSettings) -> Self {
        Self { server, settings, leadership: Leadership::new(), seen: None }
    }

    /// Tells whether this replica leads.
    #[must_use]
    pub fn leadership(&self) -> Leadership {
        self.leadership.clone()
    }

    /// Runs until it is told to stop, then empties the holder if it is us.
    pub async fn run(mut self, mut stopped: watch::Receiver<bool>) {
        while !*stopped.borrow() {
            let attempt = tokio::time::timeout(self.settings.renew_deadline / 2, self.attempt());
            match attempt.await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    tracing::warn!(%error, "the Lease could not be renewed or looked at")
                }
                Err(_) => tracing::warn!("the API server did not answer about the Lease in time"),
            }
            tokio::select! {
                () = tokio::time::sleep(self.settings.retry) => {}
                _ = stopped.changed() => {}
            }
        }
        let led = self.leadership.leads();
        self.leadership.end();
        if led && let Err(error) = self.give_up().await {
            tracing::warn!(%error, "the Lease could not be given up; it runs out by itself");
        }
    }

    async fn attempt(&mut self) -> Result<(), CallError> {
        let sent = Instant::now();
        let Some(lease) = self.server.get(&reference()).await? else {
            self.server.create(&self.body(0, None)).await?;
            return self.won(sent);
        };
        let text =
            |pointer: &str| lease.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let holder = text("/spec/holderIdentity");
        if holder != self.settings.identity && !holder.is_empty() && !self.has_run_out(&lease) {
            self.leadership.end();
            return Ok(());
        }
        let transitions =
            lease.pointer("/spec/leaseTransitions").and_then(Value::as_i64).unwrap_or(0);
        let renewed = holder == self.settings.identity;
        let acquired = text("/spec/acquireTime");
        let body = if renewed {
            self.body(transitions, Some(acquired))
        } else {
            self.body(transitions + 1, None)
        };
        let version = lease.pointer("/metadata/resourceVersion").cloned().unwrap_or(Value::Null);
        let spec = body.get("spec").cloned().unwrap_or(Value::Null);
        let patch = json!([
            { "op": "test", "path": "/metadata/resourceVersion", "value": version },
            { "op": "add", "path": "/spec", "value": spec },
        ]);
        match self.server.patch(&reference(), None, &PatchBody::Json(patch)).await {
            Ok(_) => self.won(sent),
            // Somebody else was faster; what they wrote is seen in the next attempt.
            Err(CallError::Conflict(_) | CallError::Invalid(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Whether a Lease did not change for its own duration, by our clock.
    fn has_run_out(&mut self, lease: &Value) -> bool {
        let version = lease.pointer("/metadata/resourceVersion").cloned().unwrap_or(Value::Null);
        let seconds = lease.pointer("/spec/leaseDurationSeconds").and_then(Value::as_u64);
        let duration = seconds.map_or(self.settings.duration, Duration::from_secs);
        match &self.seen {
            Some(seen) if seen.version == version => seen.at.elapsed() > duration,
            _ => {
                self.seen = Some(Seen { version, at: Instant::now() });
                false
            }
        }
    }

    fn won(&self, sent: Instant) -> Result<(), CallError> {
        if !self.leadership.leads() {
            tracing::info!(identity = self.settings.identity, "leads");
        }
        // Counted from before the request: the others count from after it.
        self.leadership.extend(sent + self.settings.renew_deadline);
        Ok(())
    }

    async fn give_up(&self) -> Result<(), CallError> {
        let patch = json!([
            { "op": "test", "path": "/spec/holderIdentity", "value": self.settings.identity },
            { "op": "replace", "path": "/spec/holderIdentity", "value": "" },
            { "op": "replace", "path": "/spec/leaseDurationSeconds", "value": 1 },
        ]);
        self.server.patch(&reference(), None, &PatchBody::Json(patch)).await?;
        Ok(())
    }

    fn body(&self, transitions: i64, acquired: Option<&str>) -> Value {
        let now = format!("{:.6}", Timestamp::now());
        json!({
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": { "name": CVO, "namespace": NAMESPACE },
            "spec": {
                "holderIdentity": self.settings.identity,
                "leaseDurationSeconds": self.settings.duration.as_secs().max(1),
                "acquireTime": acquired.unwrap_or(&now),
                "renewTime": now,
                "leaseTransitions": transitions,
            },
        })
    }
}

fn reference() -> ObjectRef {
    ObjectRef {
        api_version: "coordination.k8s.io/v1".to_owned(),
        kind: "Lease".to_owned(),
        namespace: NAMESPACE.to_owned(),
        name: CVO.to_owned(),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A leader for the next minute.
    pub(crate) fn leading() -> Leadership {
        let leadership = Leadership::new();
        leadership.extend(Instant::now() + Duration::from_secs(60));
        leadership
    }

    #[tokio::test]
    async fn a_write_under_way_is_waited_for_and_none_begins_after_it() {
        assert!(Leadership::new().pass().is_none(), "it does not lead");
        let leadership = leading();
        let (first, second) = (leadership.pass(), leadership.pass());
        assert!(first.is_some() && second.is_some());
        let draining = tokio::spawn({
            let leadership = leadership.clone();
            async move { leadership.drained().await }
        });
        drop(first);
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert!(!draining.is_finished(), "one is under way");
        assert!(leadership.pass().is_none(), "none begins");
        assert!(leadership.leads(), "the Lease is held meanwhile");
        drop(second);
        tokio::time::timeout(Duration::from_secs(5), draining).await.unwrap().unwrap();
    }
}
