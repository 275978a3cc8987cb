//! Somebody who edits an object again and again while others work on it, and somebody who watches.

use super::Bench;
use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use std::process::Stdio;
use std::time::Duration;
use tokio::io::AsyncReadExt as _;
use tokio::process::Child;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval};

/// How long one edit may take.
const EDIT_LIMIT: Duration = Duration::from_secs(10);

/// Edits that are under way at a time. All are of one object: with more of them the API server
/// tries each again and again, and fewer a second come to anything.
const IN_FLIGHT: usize = 2;

/// What edits came to.
#[derive(Debug, Clone, Copy, Default)]
pub struct Edits {
    /// Those that hold.
    pub made: usize,
    /// Those that were refused or met no answer.
    pub failed: usize,
}

impl Edits {
    const fn count(&mut self, holds: bool) {
        if holds {
            self.made += 1;
        } else {
            self.failed += 1;
        }
    }
}

/// Every state of an object, as a watch tells it.
#[derive(Debug)]
pub struct Watched {
    kubectl: Child,
}

impl Bench {
    /// Merges a change into an object, as the owner of the machine.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn merge(&self, path: &str, change: &Value) -> Result<Value> {
        let patch = self.client.patch(format!("{}{path}", self.plane.url()));
        self.send(patch.header("content-type", "application/merge-patch+json"), change).await
    }

    /// Makes an object in a collection, as the owner of the machine; contents that kubectl would
    /// not take are sent as they are.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn create(&self, collection: &str, object: &Value) -> Result<Value> {
        let post = self.client.post(format!("{}{collection}", self.plane.url()));
        self.send(post.header("content-type", "application/json"), object).await
    }

    async fn send(&self, request: reqwest::RequestBuilder, body: &Value) -> Result<Value> {
        let request = request.bearer_auth(self.plane.token()).body(body.to_string());
        let answer = request.timeout(EDIT_LIMIT).send().await?;
        let code = answer.status();
        let body = answer.text().await?;
        ensure!(code.is_success(), "{code}: {}", body.chars().take(500).collect::<String>());
        // What is nested without end is taken by the server, and read back by nobody.
        match serde_json::from_str(&body) {
            Err(error) if error.to_string().contains("recursion limit") => Ok(Value::Null),
            read => Ok(read?),
        }
    }

    /// Edits the ClusterVersionShadow so often a second until it is told to stop: annotations,
    /// labels, and a wish that is the same.
    ///
    /// # Errors
    /// When an edit ends in a panic.
    pub async fn edit_until(
        &self,
        a_second: u32,
        version: &str,
        stop: impl Future<Output = ()>,
    ) -> Result<(Edits, Duration)> {
        let began = Instant::now();
        let mut ticks = interval(Duration::from_secs(1) / a_second);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let mut edits = JoinSet::new();
        let mut sum = Edits::default();
        let mut number = 0_u64;
        let url = format!("{}{}", self.plane.url(), self.of(api::names::GLOBAL).path());
        tokio::pin!(stop);
        loop {
            tokio::select! {
                () = &mut stop => break,
                _ = ticks.tick() => {}
            }
            while edits.len() >= IN_FLIGHT {
                if let Some(done) = edits.join_next().await {
                    sum.count(done?);
                }
            }
            number += 1;
            let change = match number % 3 {
                0 => json!({ "metadata": { "annotations": { "edited": number.to_string() } } }),
                1 => json!({ "metadata": { "labels": { "edited": number.to_string() } } }),
                _ => json!({
                    "spec": { "desiredUpdate": { "version": version } },
                    "metadata": { "annotations": { "wished": number.to_string() } },
                }),
            };
            let edit = self
                .client
                .patch(&url)
                .bearer_auth(self.plane.token())
                .header("content-type", "application/merge-patch+json")
                .body(change.to_string())
                .timeout(EDIT_LIMIT);
            edits.spawn(async move { edit.send().await.is_ok_and(|a| a.status().is_success()) });
        }
        let took = began.elapsed();
        while let Some(done) = edits.join_next().await {
            sum.count(done?);
        }
        Ok((sum, took))
    }

    /// Watches the ClusterVersionShadow from now on.
    ///
    /// # Errors
    /// When it cannot be watched.
    pub fn watch(&self) -> Result<Watched> {
        let mut kubectl = self.plane.kubectl();
        kubectl.args(["get", "cvsh", "global", "-n", "cpaas-system", "-o", "json", "--watch"]);
        kubectl.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
        Ok(Watched { kubectl: kubectl.spawn()? })
    }
}

impl Watched {
    /// Collects what it tells until `until` is over.
    ///
    /// # Errors
    /// When it tells no objects.
    pub async fn collect(mut self, until: impl Future<Output = ()>) -> Result<Vec<Value>> {
        let mut told = self.kubectl.stdout.take().context("a pipe")?;
        let mut bytes = Vec::new();
        tokio::pin!(until);
        let mut buffer = vec![0; 64 * 1024];
        loop {
            tokio::select! {
                () = &mut until => break,
                read = told.read(&mut buffer) => match read? {
                    0 => anyhow::bail!("the watch ended"),
                    read => bytes.extend_from_slice(&buffer[..read]),
                },
            }
        }
        self.kubectl.kill().await?;
        // The last one may be half told.
        let all = serde_json::Deserializer::from_slice(&bytes).into_iter::<Value>();
        Ok(all.map_while(Result::ok).collect())
    }
}
