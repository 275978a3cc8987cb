//! Waits for what a status says, and tells what it says instead when the time is over.

use super::Bench;
use anyhow::{Result, bail};
use api::names::GLOBAL;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::{Instant, sleep};

const POLL: Duration = Duration::from_millis(100);
/// From a ProductManifest to its offer.
const OFFER_LIMIT: Duration = Duration::from_secs(30);
/// From a request to its completion.
const UPGRADE_LIMIT: Duration = Duration::from_secs(180);
/// Where the ClusterVersionShadows are.
pub const SHADOWS: &str =
    "/apis/product.alauda.io/v1alpha1/namespaces/cpaas-system/clusterversionshadows";

/// What is asked and said of one cluster.
#[derive(Debug, Clone, Copy)]
pub struct Of<'a> {
    bench: &'a Bench,
    cluster: &'a str,
}

/// A text in an object; empty where there is none.
#[must_use]
pub fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn found<'a>(object: &'a Value, list: &str, key: &str, name: &str) -> &'a Value {
    let all = object.pointer(list).and_then(Value::as_array);
    all.and_then(|all| all.iter().find(|one| text(one, key) == name)).unwrap_or(&Value::Null)
}

/// A condition of an object; null where it has none of that type.
#[must_use]
pub fn condition<'a>(object: &'a Value, kind: &str) -> &'a Value {
    found(object, "/status/conditions", "/type", kind)
}

/// A check of a ClusterVersionShadow; null where it was not run.
#[must_use]
pub fn check<'a>(cvsh: &'a Value, name: &str) -> &'a Value {
    found(cvsh, "/status/preflight/checks", "/name", name)
}

/// Whether a cluster is at a version, and at rest.
#[must_use]
pub fn is_completed_at(cvsh: &Value, version: &str) -> bool {
    text(cvsh, "/status/current/version") == version
        && text(condition(cvsh, "Ready"), "/status") == "True"
        && text(condition(cvsh, "Reconciling"), "/status") == "False"
        && text(cvsh, "/status/history/0/state") == "Completed"
}

impl Bench {
    /// The ClusterVersionShadow of global.
    ///
    /// # Errors
    /// When the API server does not answer.
    pub async fn cvsh(&self) -> Result<Value> {
        self.global().cvsh().await
    }

    /// Waits until an object is as it should be, and gives it.
    ///
    /// # Errors
    /// When it is not within the limit; the text says what was waited for and what is there.
    pub async fn until(
        &self,
        path: &str,
        what: &str,
        limit: Duration,
        is_so: impl Fn(&Value) -> bool,
    ) -> Result<Value> {
        let end = Instant::now() + limit;
        loop {
            let answer = self.get(path).await;
            if let Ok(object) = &answer
                && is_so(object)
            {
                return answer;
            }
            if Instant::now() > end {
                let seen = answer.map(|object| summary(&object))?;
                bail!("waited {} s for {what}; there is:\n{seen}", limit.as_secs());
            }
            sleep(POLL).await;
        }
    }

    /// What is asked and said of a cluster.
    #[must_use]
    pub const fn of<'a>(&'a self, cluster: &'a str) -> Of<'a> {
        Of { bench: self, cluster }
    }

    const fn global(&self) -> Of<'_> {
        self.of(GLOBAL)
    }

    /// [`Of::cvsh_until`] of global.
    ///
    /// # Errors
    /// When it is not within the limit.
    pub async fn cvsh_until(
        &self,
        what: &str,
        limit: Duration,
        is_so: impl Fn(&Value) -> bool,
    ) -> Result<Value> {
        self.global().cvsh_until(what, limit, is_so).await
    }

    /// [`Of::offered`] of global.
    ///
    /// # Errors
    /// When it is not in time.
    pub async fn offered(&self, version: &str) -> Result<Value> {
        self.global().offered(version).await
    }

    /// [`Of::completed`] of global.
    ///
    /// # Errors
    /// When it is not in time.
    pub async fn completed(&self, version: &str) -> Result<Value> {
        self.global().completed(version).await
    }

    /// [`Of::check_becomes`] of global.
    ///
    /// # Errors
    /// When it has not in time.
    pub async fn check_becomes(&self, name: &str, state: &str, reason: &str) -> Result<Value> {
        self.global().check_becomes(name, state, reason).await
    }

    /// [`Of::condition_becomes`] of global.
    ///
    /// # Errors
    /// When it has not in time.
    pub async fn condition_becomes(
        &self,
        kind: &str,
        status: &str,
        reason: &str,
    ) -> Result<String> {
        self.global().condition_becomes(kind, status, reason).await
    }
}

impl Of<'_> {
    /// The ClusterVersionShadow; null where there is none.
    ///
    /// # Errors
    /// When the API server does not answer.
    pub async fn cvsh(&self) -> Result<Value> {
        self.bench.get(&self.path()).await
    }

    pub(super) fn path(&self) -> String {
        format!("{SHADOWS}/{}", self.cluster)
    }

    /// Writes the wish, as the seed does.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn ask_for(&self, version: &str) -> Result<()> {
        let wish = json!({ "spec": { "desiredUpdate": { "version": version } } });
        let cluster = self.cluster;
        let patch =
            format!("kubectl patch cvsh {cluster} -n cpaas-system --type merge -p '{wish}'");
        self.bench.must(&patch).await?;
        Ok(())
    }

    /// Waits until the ClusterVersionShadow is as it should be, and gives it.
    ///
    /// # Errors
    /// When it is not within the limit.
    pub async fn cvsh_until(
        &self,
        what: &str,
        limit: Duration,
        is_so: impl Fn(&Value) -> bool,
    ) -> Result<Value> {
        self.bench.until(&self.path(), what, limit, is_so).await
    }

    /// Waits until a version is offered.
    ///
    /// # Errors
    /// When it is not in time.
    pub async fn offered(&self, version: &str) -> Result<Value> {
        let what = format!("{version} to be offered to {}", self.cluster);
        self.cvsh_until(&what, OFFER_LIMIT, |c| {
            text(c, "/status/availableUpdates/0/version") == version
        })
        .await
    }

    /// Waits until the cluster is at a version.
    ///
    /// # Errors
    /// When it is not in time.
    pub async fn completed(&self, version: &str) -> Result<Value> {
        let what = format!("{version} to be complete on {}", self.cluster);
        self.cvsh_until(&what, UPGRADE_LIMIT, |c| is_completed_at(c, version)).await
    }

    /// Waits until a check has a state and a reason.
    ///
    /// # Errors
    /// When it has not in time.
    pub async fn check_becomes(&self, name: &str, state: &str, reason: &str) -> Result<Value> {
        let what = format!("{name} to be {state}/{reason}");
        // What is not watched is listed again every 30 s.
        let cvsh = self
            .cvsh_until(&what, Duration::from_secs(45), |c| {
                let check = check(c, name);
                text(check, "/state") == state
                    && (reason.is_empty() || text(check, "/reason") == reason)
            })
            .await?;
        Ok(check(&cvsh, name).clone())
    }

    /// Waits until a condition has a status and a reason, and gives its message.
    ///
    /// # Errors
    /// When it has not in time.
    pub async fn condition_becomes(
        &self,
        kind: &str,
        status: &str,
        reason: &str,
    ) -> Result<String> {
        let what = format!("{kind} to be {status}/{reason}");
        let cvsh = self
            .cvsh_until(&what, Duration::from_secs(60), |c| {
                let condition = condition(c, kind);
                text(condition, "/status") == status && text(condition, "/reason") == reason
            })
            .await?;
        Ok(text(condition(&cvsh, kind), "/message").to_owned())
    }
}

/// What a person wants to see of an object that is not as it should be.
fn summary(object: &Value) -> String {
    let lines = |pointer: &str, keys: &[&str]| -> String {
        let all = object.pointer(pointer).and_then(Value::as_array).cloned().unwrap_or_default();
        let line = |one: &Value| keys.iter().map(|k| text(one, k)).collect::<Vec<_>>().join(" ");
        all.iter().map(|one| format!("{}\n", line(one))).collect()
    };
    if object.pointer("/status").is_none() {
        return object.to_string();
    }
    [
        lines("/status/conditions", &["/type", "/status", "/reason", "/message"]),
        lines("/status/preflight/checks", &["/name", "/state", "/reason", "/message"]),
        lines("/status/stages", &["/name", "/phase", "/message"]),
        lines("/status/history", &["/version", "/state"]),
        lines("/status/availableUpdates", &["/version", "/image"]),
        lines("/status/notOffered", &["/version", "/reason", "/message"]),
    ]
    .concat()
}
