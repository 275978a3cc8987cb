//! Which kinds an API server serves, under which path and in which scope.

use kube::Client;
use kube::discovery::{Discovery, Scope};
use std::collections::BTreeMap;

/// A kind that is served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Kind {
    pub(super) plural: String,
    pub(super) namespaced: bool,
}

impl Kind {
    /// The path of the collection.
    pub(super) fn path(&self, api_version: &str, namespace: Option<&str>) -> String {
        let root = if api_version.contains('/') { "/apis" } else { "/api" };
        match namespace.filter(|_| self.namespaced) {
            Some(namespace) => {
                format!("{root}/{api_version}/namespaces/{namespace}/{}", self.plural)
            }
            None => format!("{root}/{api_version}/{}", self.plural),
        }
    }
}

/// Kinds that every API server has, or whose path we know: no discovery is needed for them.
pub(super) fn known(api_version: &str, kind: &str) -> Option<Kind> {
    let (plural, namespaced) = match (api_version, kind) {
        ("v1", "ConfigMap") => ("configmaps", true),
        ("v1", "Secret") => ("secrets", true),
        ("v1", "Pod") => ("pods", true),
        ("v1", "Service") => ("services", true),
        ("v1", "ServiceAccount") => ("serviceaccounts", true),
        ("v1", "Namespace") => ("namespaces", false),
        ("v1", "Node") => ("nodes", false),
        ("apps/v1", "Deployment") => ("deployments", true),
        ("apps/v1", "DaemonSet") => ("daemonsets", true),
        ("apps/v1", "StatefulSet") => ("statefulsets", true),
        ("batch/v1", "Job") => ("jobs", true),
        ("batch/v1", "CronJob") => ("cronjobs", true),
        ("autoscaling/v2", "HorizontalPodAutoscaler") => ("horizontalpodautoscalers", true),
        ("apiextensions.k8s.io/v1", "CustomResourceDefinition") => {
            ("customresourcedefinitions", false)
        }
        ("rbac.authorization.k8s.io/v1", "ClusterRole") => ("clusterroles", false),
        ("rbac.authorization.k8s.io/v1", "ClusterRoleBinding") => ("clusterrolebindings", false),
        ("coordination.k8s.io/v1", "Lease") => ("leases", true),
        ("events.k8s.io/v1", "Event") => ("events", true),
        _ => return of_ours(api_version, kind),
    };
    Some(Kind { plural: plural.to_owned(), namespaced })
}

fn of_ours(api_version: &str, kind: &str) -> Option<Kind> {
    let all = api::objects::served_kinds();
    let found = all.into_iter().find(|k| k.api_version == api_version && k.kind == kind)?;
    Some(Kind { plural: found.plural, namespaced: found.namespaced })
}

/// Everything a server serves, by apiVersion and kind.
#[derive(Debug, Clone, Default)]
pub(super) struct Discovered(BTreeMap<(String, String), Kind>);

impl Discovered {
    pub(super) async fn read(client: &Client) -> Result<Self, kube::Error> {
        let discovery = Discovery::new(client.clone()).run_aggregated().await?;
        let mut kinds = BTreeMap::new();
        for group in discovery.groups() {
            for version in group.versions() {
                for (resource, capabilities) in group.versioned_resources(version) {
                    let kind = Kind {
                        plural: resource.plural.clone(),
                        namespaced: capabilities.scope == Scope::Namespaced,
                    };
                    kinds.insert((resource.api_version.clone(), resource.kind.clone()), kind);
                }
            }
        }
        Ok(Self(kinds))
    }

    pub(super) fn find(&self, api_version: &str, kind: &str) -> Option<Kind> {
        self.0.get(&(api_version.to_owned(), kind.to_owned())).cloned()
    }

    pub(super) fn api_versions(&self) -> Vec<String> {
        let mut all: Vec<String> = self
            .0
            .keys()
            .flat_map(|(version, kind)| [version.clone(), format!("{version}/{kind}")])
            .collect();
        all.sort();
        all.dedup();
        all
    }
}
