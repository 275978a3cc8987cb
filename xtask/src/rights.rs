//! Decides which rights of the operator need a reason: those that it is granted and that the job
//! of the documents does not use. Knows neither a cluster nor how rights are generated.

use std::collections::BTreeSet;
use std::fmt;

use anyhow::{Context as _, Result};
use serde_json::Value;

/// The operator's own roles in a core package.
pub const OWN_ROLES: &str = "deploy/20-rbac.yaml";
/// The role for the objects of the release in a core package.
pub const RELEASE_ROLES: &str = "deploy/21-release-rbac.yaml";

/// A right, wherever it holds.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Right {
    /// The resource with its group, as kubectl names it: `deployments.apps`, `leases.x/status`.
    pub resource: String,
    /// `get`.
    pub verb: String,
}

impl Right {
    /// A right on a resource, which may have a subresource, of a group.
    #[must_use]
    pub fn new(group: &str, resource: &str, verb: &str) -> Self {
        let (name, below) = resource.split_once('/').unwrap_or((resource, ""));
        let group = if group.is_empty() { String::new() } else { format!(".{group}") };
        let below = if below.is_empty() { String::new() } else { format!("/{below}") };
        Self { resource: format!("{name}{group}{below}"), verb: verb.to_owned() }
    }
}

impl fmt::Display for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.verb, self.resource)
    }
}

/// Rights that the job of the documents does not use, and why they are granted all the same.
pub struct Unused {
    /// The resource; `*` is every kind of a release that the operator has no use of its own for.
    pub resource: &'static str,
    /// What is granted.
    pub verbs: &'static [&'static str],
    /// What goes wrong without it.
    pub why: &'static str,
}

/// Every right that is granted and not used, with its reason.
pub const UNUSED: &[Unused] = &[
    Unused {
        resource: "clustermodules.cluster.alauda.io",
        verbs: &["create"],
        why: "A platform that is installed from nothing has no ClusterModule yet.",
    },
    Unused {
        resource: "clusterroles.rbac.authorization.k8s.io",
        verbs: &["bind", "escalate"],
        why: "The API server asks for it, without a request of its own, when a role of the release is written or bound; by name only.",
    },
    Unused {
        resource: "jobs.batch",
        verbs: &["list", "patch"],
        why: "A Job of a release that is no hook is applied and read like any other object.",
    },
    Unused {
        resource: "*",
        verbs: &["delete"],
        why: "A later release may leave an object out; hooks are deleted as their policy says.",
    },
];

/// The rights that roles grant.
///
/// # Errors
/// When the text holds no roles.
pub fn granted(roles: &str) -> Result<BTreeSet<Right>> {
    let objects: Vec<Value> = serde_saphyr::from_multiple(roles).context("the roles")?;
    let texts = |rule: &Value, field: &str| -> Vec<String> {
        let all = rule[field].as_array().into_iter().flatten();
        all.filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let mut rights = BTreeSet::new();
    for rule in objects.iter().filter_map(|o| o["rules"].as_array()).flatten() {
        for group in texts(rule, "apiGroups") {
            for resource in texts(rule, "resources") {
                let verbs = texts(rule, "verbs");
                rights.extend(verbs.iter().map(|verb| Right::new(&group, &resource, verb)));
            }
        }
    }
    Ok(rights)
}

/// What is granted, by the operator's own roles or for the objects of the release, not used and has
/// no reason; and reasons that explain nothing any more.
#[must_use]
pub fn unexplained(
    own: &BTreeSet<Right>,
    of_release: &BTreeSet<Right>,
    used: &BTreeSet<Right>,
) -> Vec<String> {
    let explains = |reason: &Unused, right: &Right| {
        let is_meant = match reason.resource {
            "*" => !own.contains(right),
            resource => resource == right.resource,
        };
        is_meant && reason.verbs.contains(&right.verb.as_str())
    };
    let left: Vec<&Right> = own.union(of_release).filter(|right| !used.contains(right)).collect();
    let bare = left.iter().filter(|right| !UNUSED.iter().any(|reason| explains(reason, right)));
    let mut told: Vec<String> = bare.map(|right| format!("{right}: granted, never used")).collect();
    for reason in UNUSED.iter().filter(|r| r.resource != "*") {
        for verb in reason.verbs {
            let right = Right { resource: reason.resource.to_owned(), verb: (*verb).to_owned() };
            if !left.contains(&&right) {
                told.push(format!("{right}: its reason explains nothing"));
            }
        }
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROLES: &str = "kind: ServiceAccount\n---\nkind: ClusterRole\nrules:\n\
        - {apiGroups: [''], resources: [pods], verbs: [get, delete]}\n\
        - {apiGroups: [x.y], resources: [notices/status], verbs: [patch]}\n";

    #[test]
    fn what_is_granted_must_be_used_or_explained() {
        let granted = granted(ROLES).unwrap();
        let all: Vec<String> = granted.iter().map(ToString::to_string).collect();
        assert_eq!(all, ["patch notices.x.y/status", "delete pods", "get pods"]);
        let none = BTreeSet::new();
        let told = |own: &BTreeSet<Right>, used: &[Right]| {
            let told = unexplained(own, &granted, &used.iter().cloned().collect());
            told.into_iter().filter(|line| line.ends_with("never used")).collect::<Vec<_>>()
        };
        let status = Right::new("x.y", "notices/status", "patch");
        assert_eq!(told(&none, std::slice::from_ref(&status)), ["get pods: granted, never used"]);
        let get = Right::new("", "pods", "get");
        assert!(told(&none, &[status.clone(), get.clone()]).is_empty());
        // That a later release may leave Pods out is no reason for a right of the operator itself.
        assert_eq!(told(&granted, &[status, get]), ["delete pods: granted, never used"]);
        let stale = unexplained(&none, &granted, &none);
        assert!(stale.iter().any(|line| line.starts_with("create clustermodules")), "{stale:?}");
    }
}
