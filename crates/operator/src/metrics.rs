//! What is counted and measured.

use api::objects::{ClusterVersionShadowStatus, Phase};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Outcome {
    outcome: &'static str,
}

#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OperationLabels {
    cluster: String,
    outcome: &'static str,
}

#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Condition {
    cluster: String,
    condition: String,
    reason: String,
}

#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
struct VersionLabels {
    cluster: String,
    r#type: &'static str,
    version: String,
}

#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
struct CheckLabels {
    cluster: String,
    check: String,
    state: &'static str,
}

/// Every metric of the operator.
pub struct Metrics {
    registry: Registry,
    rounds: Family<Outcome, Counter>,
    duration: Histogram,
    leader: Gauge,
    conditions: Family<Condition, Gauge>,
    versions: Family<VersionLabels, Gauge>,
    checks: Family<CheckLabels, Gauge>,
    operations: Family<OperationLabels, Gauge>,
    /// By cluster.
    statuses: Mutex<BTreeMap<String, ClusterVersionShadowStatus>>,
}

impl Metrics {
    /// Metrics of a process that has done nothing yet.
    #[must_use]
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("cvo");
        let metrics = Self {
            rounds: Family::default(),
            duration: Histogram::new([0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 15.0]),
            leader: Gauge::default(),
            conditions: Family::default(),
            versions: Family::default(),
            checks: Family::default(),
            operations: Family::default(),
            statuses: Mutex::default(),
            registry: Registry::default(),
        };
        registry.register("rounds", "Rounds by outcome", metrics.rounds.clone());
        registry.register_with_unit(
            "round_duration",
            "Time of a round",
            Unit::Seconds,
            metrics.duration.clone(),
        );
        registry.register("leader", "1 where this replica leads", metrics.leader.clone());
        registry.register("condition", "1 where a condition is True", metrics.conditions.clone());
        registry.register(
            "version",
            "Current and desired Distribution Version",
            metrics.versions.clone(),
        );
        registry.register("check", "Preflight checks by state", metrics.checks.clone());
        registry.register(
            "operations",
            "Operations of the upgrade by phase",
            metrics.operations.clone(),
        );
        Self { registry, ..metrics }
    }

    /// A round ended.
    pub fn round(&self, succeeded: bool, duration: Duration) {
        let outcome = if succeeded { "success" } else { "failure" };
        self.rounds.get_or_create(&Outcome { outcome }).inc();
        self.duration.observe(duration.as_secs_f64());
    }

    /// Whether this replica leads. One that does not says nothing of the cluster: what it knew
    /// when it led is out of date.
    pub fn leader(&self, leads: bool) {
        self.leader.set(i64::from(leads));
        if !leads {
            self.statuses().clear();
        }
    }

    fn statuses(&self) -> MutexGuard<'_, BTreeMap<String, ClusterVersionShadowStatus>> {
        self.statuses.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the status of a cluster says.
    pub fn status(&self, cluster: &str, status: &ClusterVersionShadowStatus) {
        self.statuses().insert(cluster.to_owned(), status.clone());
    }

    /// A cluster is gone.
    pub fn forget(&self, cluster: &str) {
        self.statuses().remove(cluster);
    }

    /// Fills the families that speak of clusters.
    fn fill(&self) {
        self.conditions.clear();
        self.versions.clear();
        self.checks.clear();
        self.operations.clear();
        for (cluster, status) in &*self.statuses() {
            self.fill_one(cluster, status);
        }
    }

    fn fill_one(&self, cluster: &str, status: &ClusterVersionShadowStatus) {
        let cluster = || cluster.to_owned();
        for condition in &status.conditions {
            let labels = Condition {
                cluster: cluster(),
                condition: condition.type_.clone(),
                reason: condition.reason.clone(),
            };
            self.conditions.get_or_create(&labels).set(i64::from(condition.status == "True"));
        }
        for (kind, version) in [("current", &status.current), ("desired", &status.desired)] {
            if let Some(version) = version {
                let version = version.version.clone();
                let labels = VersionLabels { cluster: cluster(), r#type: kind, version };
                self.versions.get_or_create(&labels).set(1);
            }
        }
        for check in status.preflight.iter().flat_map(|p| &p.checks) {
            let state = check.state.as_str();
            let labels = CheckLabels { cluster: cluster(), check: check.name.clone(), state };
            self.checks.get_or_create(&labels).set(1);
        }
        let operations: Vec<Phase> =
            status.stages.iter().flat_map(|s| &s.operations).map(|o| o.phase).collect();
        for phase in [Phase::Pending, Phase::Running, Phase::Finished, Phase::Failed] {
            let count = operations.iter().filter(|p| **p == phase).count();
            let labels = OperationLabels { cluster: cluster(), outcome: phase.as_str() };
            self.operations.get_or_create(&labels).set(i64::try_from(count).unwrap_or(i64::MAX));
        }
    }

    /// The page.
    ///
    /// # Errors
    /// When a metric cannot be written as text.
    pub fn text(&self) -> Result<String, std::fmt::Error> {
        self.fill();
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replica_that_lost_the_lease_says_nothing_of_the_cluster() {
        let metrics = Metrics::new();
        let version = api::VersionImage { version: "4.3.0".to_owned(), image: String::new() };
        let mut status =
            ClusterVersionShadowStatus { current: Some(version), ..Default::default() };
        let now = api::time(jiff::Timestamp::UNIX_EPOCH);
        let (kind, yes) =
            (api::conditions::ConditionType::Ready, api::conditions::ConditionStatus::True);
        api::conditions::set(&mut status.conditions, kind, yes, "Completed", "", &now, None);
        metrics.leader(true);
        metrics.status("global", &status);
        let of_cluster = ["cvo_condition{", "cvo_version{", "cvo_operations{"];
        let text = metrics.text().unwrap_or_default();
        assert!(of_cluster.iter().all(|name| text.contains(name)), "{text}");
        metrics.leader(false);
        let text = metrics.text().unwrap_or_default();
        assert!(of_cluster.iter().all(|name| !text.contains(name)), "{text}");
        assert!(text.contains("cvo_leader 0"), "{text}");
    }
}
