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

/// A right that a role grants.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Right {
    /// The resource with its group, as kubectl names it: `deployments.apps`, `leases.x/status`.
    pub resource: String,
    /// `get`.
    pub verb: String,
    /// The namespace in which it holds; empty: in all of them.
    pub namespace: String,
    /// The objects for which it holds; empty: all of them.
    pub names: BTreeSet<String>,
}

/// A right as it was used by one request.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Use {
    /// As in [`Right`].
    pub resource: String,
    /// `get`.
    pub verb: String,
    /// The namespace of the object; empty where it has none or all were asked for.
    pub namespace: String,
    /// The object; empty for a list.
    pub name: String,
}

/// A resource, which may have a subresource, with its group.
#[must_use]
pub fn resource_of(group: &str, resource: &str) -> String {
    let (name, below) = resource.split_once('/').unwrap_or((resource, ""));
    let group = if group.is_empty() { String::new() } else { format!(".{group}") };
    let below = if below.is_empty() { String::new() } else { format!("/{below}") };
    format!("{name}{group}{below}")
}

impl Right {
    /// Whether a request was allowed by this right.
    fn allows(&self, used: &Use) -> bool {
        self.resource == used.resource
            && self.verb == used.verb
            && (self.namespace.is_empty() || self.namespace == used.namespace)
            && (self.names.is_empty() || self.names.contains(&used.name))
    }

    /// Where it holds, for people.
    #[must_use]
    pub fn place(&self) -> String {
        let names: Vec<String> = self.names.iter().map(|name| format!("`{name}`")).collect();
        match (self.namespace.as_str(), names.join(", ")) {
            ("", names) if names.is_empty() => "the cluster".to_owned(),
            ("", names) => format!("{names} in the cluster"),
            (namespace, names) if names.is_empty() => format!("`{namespace}`"),
            (namespace, names) => format!("{names} in `{namespace}`"),
        }
    }
}

impl fmt::Display for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} ({})", self.verb, self.resource, self.place())
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
    for role in &objects {
        // A ClusterRole has none: it is bound for the whole cluster.
        let namespace = role["metadata"]["namespace"].as_str().unwrap_or_default();
        for rule in role["rules"].as_array().into_iter().flatten() {
            let names: BTreeSet<String> = texts(rule, "resourceNames").into_iter().collect();
            for group in texts(rule, "apiGroups") {
                for resource in texts(rule, "resources") {
                    rights.extend(texts(rule, "verbs").into_iter().map(|verb| Right {
                        resource: resource_of(&group, &resource),
                        verb,
                        namespace: namespace.to_owned(),
                        names: names.clone(),
                    }));
                }
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
    used: &BTreeSet<Use>,
) -> Vec<String> {
    let explains = |reason: &Unused, right: &Right| {
        let is_meant = match reason.resource {
            "*" => !own.contains(right),
            resource => resource == right.resource,
        };
        is_meant && reason.verbs.contains(&right.verb.as_str())
    };
    let is_used = |right: &&Right| used.iter().any(|used| right.allows(used));
    let left: Vec<&Right> = own.union(of_release).filter(|right| !is_used(right)).collect();
    let bare = left.iter().filter(|right| !UNUSED.iter().any(|reason| explains(reason, right)));
    let mut told: Vec<String> = bare.map(|right| format!("{right}: granted, never used")).collect();
    for reason in UNUSED.iter().filter(|r| r.resource != "*") {
        for verb in reason.verbs {
            let explained =
                left.iter().any(|r| r.resource == reason.resource && r.verb.as_str() == *verb);
            if !explained {
                told.push(format!("{verb} {}: its reason explains nothing", reason.resource));
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
        - {apiGroups: [''], resources: [secrets], verbs: [get], resourceNames: [pull]}\n\
        - {apiGroups: [x.y], resources: [notices/status], verbs: [patch]}\n\
        ---\nkind: Role\nmetadata: {namespace: own}\nrules:\n\
        - {apiGroups: [''], resources: [secrets], verbs: [get]}\n";

    fn used(resource: &str, verb: &str, namespace: &str, name: &str) -> Use {
        Use {
            resource: resource.to_owned(),
            verb: verb.to_owned(),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        }
    }

    #[test]
    fn what_is_granted_must_be_used_or_explained() {
        let granted = granted(ROLES).unwrap();
        let all: Vec<String> = granted.iter().map(ToString::to_string).collect();
        let expected = [
            "patch notices.x.y/status (the cluster)",
            "delete pods (the cluster)",
            "get pods (the cluster)",
            "get secrets (`pull` in the cluster)",
            "get secrets (`own`)",
        ];
        assert_eq!(all, expected);
        let none = BTreeSet::new();
        let told = |own: &BTreeSet<Right>, used: &[Use]| {
            let told = unexplained(own, &granted, &used.iter().cloned().collect());
            told.into_iter().filter(|line| line.ends_with("never used")).collect::<Vec<_>>()
        };
        let mut uses = vec![
            used("notices.x.y/status", "patch", "a", "n"),
            used("secrets", "get", "other", "pull"),
            used("secrets", "get", "other", "own-secret"),
        ];
        // A Secret of another namespace explains no right in this one.
        let left = ["get pods (the cluster): granted, never used"];
        let of_role = "get secrets (`own`): granted, never used";
        assert_eq!(told(&none, &uses), [left[0], of_role]);
        uses.push(used("secrets", "get", "own", "licence"));
        assert_eq!(told(&none, &uses), left);
        uses.push(used("pods", "get", "", ""));
        assert!(told(&none, &uses).is_empty());
        // That a later release may leave Pods out is no reason for a right of the operator itself.
        assert_eq!(told(&granted, &uses), ["delete pods (the cluster): granted, never used"]);
        let stale = unexplained(&none, &granted, &BTreeSet::new());
        assert!(stale.iter().any(|line| line.starts_with("create clustermodules")), "{stale:?}");
    }
}
