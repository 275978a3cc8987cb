//! The order in which the objects of a component are sent.

use api::objects::ObjectRef;

/// Objects of one wave may be sent together; the next wave waits for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wave {
    /// Namespaces.
    Namespaces,
    /// Definitions of kinds.
    Definitions,
    /// Accounts and rights.
    Rights,
    /// What workloads read.
    Config,
    /// Everything else that is no workload.
    Others,
    /// What runs.
    Workloads,
}

impl Wave {
    /// The wave of an object.
    #[must_use]
    pub fn of(reference: &ObjectRef) -> Self {
        match (reference.group(), reference.kind.as_str()) {
            ("", "Namespace") => Self::Namespaces,
            ("apiextensions.k8s.io", "CustomResourceDefinition") => Self::Definitions,
            ("", "ServiceAccount") | ("rbac.authorization.k8s.io", _) => Self::Rights,
            ("", "ConfigMap" | "Secret" | "PersistentVolumeClaim" | "PersistentVolume")
            | ("storage.k8s.io" | "scheduling.k8s.io" | "policy", _) => Self::Config,
            ("apps" | "batch", _) | ("", "Pod" | "ReplicationController") => Self::Workloads,
            _ => Self::Others,
        }
    }
}
