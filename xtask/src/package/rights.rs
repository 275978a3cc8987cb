//! Decides which rights the operator needs for one release or plugin: those on the kinds that its
//! rendered components have, and to hand out the rights that its own roles hold. Knows nothing
//! of the operator's other rights.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};
use api::{Release, names};
use serde_json::{Value, json};

use super::render::Rendered;

/// The group of roles and bindings.
const RBAC: &str = "rbac.authorization.k8s.io";
/// Kinds of Kubernetes itself that charts may have: group, kind, resource.
const KINDS: &[(&str, &str, &str)] = &[
    ("", "ConfigMap", "configmaps"),
    ("", "Endpoints", "endpoints"),
    ("", "LimitRange", "limitranges"),
    ("", "Namespace", "namespaces"),
    ("", "PersistentVolume", "persistentvolumes"),
    ("", "PersistentVolumeClaim", "persistentvolumeclaims"),
    ("", "Pod", "pods"),
    ("", "ResourceQuota", "resourcequotas"),
    ("", "Secret", "secrets"),
    ("", "Service", "services"),
    ("", "ServiceAccount", "serviceaccounts"),
    (
        "admissionregistration.k8s.io",
        "MutatingWebhookConfiguration",
        "mutatingwebhookconfigurations",
    ),
    ("admissionregistration.k8s.io", "ValidatingAdmissionPolicy", "validatingadmissionpolicies"),
    (
        "admissionregistration.k8s.io",
        "ValidatingAdmissionPolicyBinding",
        "validatingadmissionpolicybindings",
    ),
    (
        "admissionregistration.k8s.io",
        "ValidatingWebhookConfiguration",
        "validatingwebhookconfigurations",
    ),
    ("apiextensions.k8s.io", "CustomResourceDefinition", "customresourcedefinitions"),
    ("apiregistration.k8s.io", "APIService", "apiservices"),
    ("apps", "DaemonSet", "daemonsets"),
    ("apps", "Deployment", "deployments"),
    ("apps", "ReplicaSet", "replicasets"),
    ("apps", "StatefulSet", "statefulsets"),
    ("autoscaling", "HorizontalPodAutoscaler", "horizontalpodautoscalers"),
    ("batch", "CronJob", "cronjobs"),
    ("batch", "Job", "jobs"),
    ("discovery.k8s.io", "EndpointSlice", "endpointslices"),
    ("networking.k8s.io", "Ingress", "ingresses"),
    ("networking.k8s.io", "IngressClass", "ingressclasses"),
    ("networking.k8s.io", "NetworkPolicy", "networkpolicies"),
    ("policy", "PodDisruptionBudget", "poddisruptionbudgets"),
    (RBAC, "ClusterRole", "clusterroles"),
    (RBAC, "ClusterRoleBinding", "clusterrolebindings"),
    (RBAC, "Role", "roles"),
    (RBAC, "RoleBinding", "rolebindings"),
    ("scheduling.k8s.io", "PriorityClass", "priorityclasses"),
    ("storage.k8s.io", "CSIDriver", "csidrivers"),
    ("storage.k8s.io", "StorageClass", "storageclasses"),
];
/// Kinds whose objects are never deleted unless the release lists them.
const PROTECTED: &[&str] =
    &["CustomResourceDefinition", "Namespace", "PersistentVolume", "PersistentVolumeClaim"];

/// A kind by group and name.
type Kind = (String, String);

/// Whose role it is.
#[derive(Debug)]
pub(crate) struct Role<'a> {
    /// Its name.
    pub(crate) name: String,
    /// The version that it is for.
    pub(crate) version: &'a str,
    /// What is applied with it, for people.
    pub(crate) about: String,
    /// Kinds whose objects may be deleted though they are protected.
    pub(crate) prunable: BTreeSet<&'a str>,
    /// Kinds whose objects are looked for before anything is removed: API version and kind.
    pub(crate) looked_for: BTreeSet<(&'a str, &'a str)>,
}

/// The ClusterRole that a release needs, and its binding, as one YAML stream.
pub(crate) fn of_release(release: &Release, rendered: &Rendered) -> Result<String> {
    let version = release.version.to_string();
    let listed = release.components().flat_map(|(_, component)| &component.prune);
    let role = Role {
        name: format!("acp:{}:v{version}", names::CVO),
        version: &version,
        about: format!("release {version}"),
        prunable: listed.filter_map(|entry| entry.split('/').next()).collect(),
        looked_for: BTreeSet::new(),
    };
    role.with(rendered)
}

impl Role<'_> {
    /// The ClusterRole for what was rendered, and its binding, as one YAML stream.
    pub(crate) fn with(&self, rendered: &Rendered) -> Result<String> {
        let metadata = json!({
            "name": self.name,
            "labels": {
                "app.kubernetes.io/name": names::CVO,
                "app.kubernetes.io/part-of": "acp",
                "app.kubernetes.io/version": self.version,
            },
        });
        let role = json!({
            "apiVersion": format!("{RBAC}/v1"),
            "kind": "ClusterRole",
            "metadata": metadata,
            "rules": self.rules(rendered)?,
        });
        let binding = json!({
            "apiVersion": format!("{RBAC}/v1"),
            "kind": "ClusterRoleBinding",
            "metadata": metadata,
            "roleRef": { "apiGroup": RBAC, "kind": "ClusterRole", "name": self.name },
            "subjects": [
                { "kind": "ServiceAccount", "name": names::CVO, "namespace": names::NAMESPACE },
            ],
        });
        let role = serde_saphyr::to_string(&role)?;
        let binding = serde_saphyr::to_string(&binding)?;
        let about = format!("# What the operator needs to apply {}.\n", self.about);
        Ok(format!("{about}{}\n---\n{}\n", role.trim_end(), binding.trim_end()))
    }

    fn rules(&self, rendered: &Rendered) -> Result<Vec<Value>> {
        let (prunable, resources) = (&self.prunable, resources(rendered));
        let mut by_verbs: BTreeMap<(String, Vec<&str>), BTreeSet<String>> = BTreeMap::new();
        let mut handed_out: BTreeMap<(&str, &str), BTreeSet<String>> = BTreeMap::new();
        for (component, object) in
            rendered.iter().flat_map(|(name, objects)| objects.iter().map(move |o| (name, o)))
        {
            let kind = kind_of(object);
            let resource = resources.get(&kind).with_context(|| {
                format!("component '{component}': packaging knows no resource of kind {}", kind.1)
            })?;
            let mut verbs = vec!["get", "list", "create", "patch"];
            if !PROTECTED.contains(&kind.1.as_str()) || prunable.contains(kind.1.as_str()) {
                verbs.push("delete");
            }
            by_verbs.entry((kind.0.clone(), verbs)).or_default().insert(resource.clone());
            if kind.0 == RBAC {
                let (verb, resource, name) =
                    right_to_hand_out(&kind.1, object).with_context(|| {
                        format!("component '{component}': a {} is malformed", kind.1)
                    })?;
                handed_out.entry((verb, resource)).or_default().insert(name);
            }
        }
        // The component of a listed object may be gone from the release, and its kind with it.
        let kinds: BTreeSet<Kind> = rendered.values().flatten().map(kind_of).collect();
        for (group, kind, resource) in KINDS.iter().filter(|(_, kind, _)| prunable.contains(kind)) {
            if !kinds.contains(&((*group).to_owned(), (*kind).to_owned())) {
                let verbs = ((*group).to_owned(), vec!["get", "delete"]);
                by_verbs.entry(verbs).or_default().insert((*resource).to_owned());
            }
        }
        for (version, kind) in &self.looked_for {
            let group = version.rsplit_once('/').map_or("", |(group, _)| group).to_owned();
            let known = resources.get(&(group.clone(), (*kind).to_owned()));
            let resource = known.with_context(|| {
            format!("resourcesBlockRemove: packaging knows no resource of {version} {kind}: neither Kubernetes nor a CRD of the charts has it")
        })?;
            by_verbs.entry((group, vec!["list"])).or_default().insert(resource.clone());
        }
        let kinds = by_verbs.into_iter().map(|((group, verbs), resources)| {
        json!({ "apiGroups": [group], "resources": resources, "verbs": verbs })
    });
        let roles = handed_out.into_iter().map(|((verb, resource), names)| {
            json!({
                "apiGroups": [RBAC],
                "resources": [resource],
                "resourceNames": names,
                "verbs": [verb],
            })
        });
        Ok(kinds.chain(roles).collect())
    }
}

/// To write a role takes `escalate` on it; to bind one takes `bind` on it.
fn right_to_hand_out(kind: &str, object: &Value) -> Option<(&'static str, &'static str, String)> {
    let resource = |kind: &str| if kind == "Role" { "roles" } else { "clusterroles" };
    let role = &object["roleRef"];
    let (verb, resource, name) = match kind {
        "Role" | "ClusterRole" => ("escalate", resource(kind), &object["metadata"]["name"]),
        _ => ("bind", resource(role["kind"].as_str()?), &role["name"]),
    };
    Some((verb, resource, name.as_str()?.to_owned()))
}

/// The resource of every kind that Kubernetes or a CRD of the release has.
fn resources(rendered: &Rendered) -> BTreeMap<Kind, String> {
    let own = KINDS.iter().map(|(group, kind, resource)| {
        (((*group).to_owned(), (*kind).to_owned()), (*resource).to_owned())
    });
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let of_crds = rendered.values().flatten().filter_map(|object| {
        let spec = object.get("spec").filter(|_| kind_of(object).1 == PROTECTED[0])?;
        let kind = (text(&spec["group"])?, text(&spec["names"]["kind"])?);
        Some((kind, text(&spec["names"]["plural"])?))
    });
    own.chain(of_crds).collect()
}

fn kind_of(object: &Value) -> Kind {
    let version = object["apiVersion"].as_str().unwrap_or_default();
    let group = version.split_once('/').map_or("", |(group, _)| group);
    (group.to_owned(), object["kind"].as_str().unwrap_or_default().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules_for(prunable: &str, yaml: &str) -> Result<Vec<Value>> {
        let prunable = [prunable].into_iter().filter(|kind| !kind.is_empty()).collect();
        let role = Role {
            name: "r".to_owned(),
            version: "1.0.0",
            about: String::new(),
            prunable,
            looked_for: BTreeSet::new(),
        };
        rules_of(&role, yaml)
    }

    fn rules_of(role: &Role<'_>, yaml: &str) -> Result<Vec<Value>> {
        let objects = serde_saphyr::from_multiple(yaml).unwrap();
        role.rules(&BTreeMap::from([("c".to_owned(), objects)]))
    }

    #[test]
    fn what_is_looked_for_before_a_removal_can_be_listed() {
        let role = |api_version: &'static str, kind: &'static str| Role {
            name: "r".to_owned(),
            version: "1.0.0",
            about: String::new(),
            prunable: BTreeSet::new(),
            looked_for: BTreeSet::from([(api_version, kind)]),
        };
        let crd = "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\n\
                   spec: {group: x.y, names: {kind: Backup, plural: backups}}\n";
        for (api_version, kind, group, resource) in
            [("x.y/v1", "Backup", "x.y", "backups"), ("v1", "Secret", "", "secrets")]
        {
            let rules = rules_of(&role(api_version, kind), crd).unwrap();
            let list = json!({ "apiGroups": [group], "resources": [resource], "verbs": ["list"] });
            assert!(rules.contains(&list), "{rules:?}");
        }
        let unknown = rules_of(&role("x.y/v1", "Other"), crd).unwrap_err().to_string();
        assert!(unknown.contains("no resource of x.y/v1 Other"), "{unknown}");
    }

    #[test]
    fn a_listed_object_lets_its_kind_be_deleted() {
        let text = "formatVersion: 1\nversion: 4.3.0\nminCVO: 4.3.0\n\
                    upgradeFrom: {range: '>=4.0.0 <4.3.0'}\n\
                    kubernetes: {creates: '1.34', compatible: '>=1.31 <1.35'}\n\
                    stages:\n- name: s\n  priority: 1\n  components:\n  \
                    - {name: c, version: 1.0.0, manifests: m, namespace: n, prune: [PRUNE]}\n";
        let namespace = vec![json!({ "apiVersion": "v1", "kind": "Namespace" })];
        let rendered = BTreeMap::from([("c".to_owned(), namespace)]);
        let role = |prune: &str| {
            let release = Release::parse(text.replace("PRUNE", prune).as_bytes()).unwrap();
            of_release(&release, &rendered).unwrap()
        };
        assert!(!role("").contains("- delete"));
        assert!(role("Namespace//old").contains("- delete"));
    }

    #[test]
    fn a_kind_of_the_releases_own_crd_has_its_plural() {
        let yaml = "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\n\
                    spec: {group: x.y, names: {kind: Notice, plural: notices}}\n---\n\
                    apiVersion: x.y/v1\nkind: Notice\n";
        let rules = rules_for("", yaml).unwrap();
        assert_eq!(rules[0]["verbs"], json!(["get", "list", "create", "patch"]));
        assert_eq!(rules[1]["resources"], json!(["notices"]));
        assert_eq!(rules[1]["verbs"], json!(["get", "list", "create", "patch", "delete"]));
        let error = rules_for("", "apiVersion: x.y/v1\nkind: Notice\n").unwrap_err();
        assert!(error.to_string().contains("kind Notice"), "{error}");
    }

    #[test]
    fn roles_are_handed_out_by_name_only() {
        let yaml = "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\n\
                    metadata: {name: dns}\n---\n\
                    apiVersion: rbac.authorization.k8s.io/v1\nkind: RoleBinding\n\
                    roleRef: {kind: ClusterRole, name: view}\n";
        let rules = rules_for("", yaml).unwrap();
        let handed_out: Vec<_> = rules.iter().filter(|r| !r["resourceNames"].is_null()).collect();
        assert_eq!(
            handed_out,
            [
                &json!({ "apiGroups": [RBAC], "resources": ["clusterroles"],
                    "resourceNames": ["view"], "verbs": ["bind"] }),
                &json!({ "apiGroups": [RBAC], "resources": ["clusterroles"],
                    "resourceNames": ["dns"], "verbs": ["escalate"] }),
            ]
        );
    }

    #[test]
    fn protected_kinds_are_deleted_only_where_the_release_lists_one() {
        let yaml = "apiVersion: v1\nkind: Namespace\n";
        let deletes = |prune: &str| {
            rules_for(prune, yaml).unwrap()[0]["verbs"]
                .as_array()
                .unwrap()
                .contains(&json!("delete"))
        };
        assert!(!deletes(""));
        assert!(deletes("Namespace"));
    }

    #[test]
    fn an_object_of_a_dropped_component_can_be_deleted_where_the_release_lists_it() {
        let yaml = "apiVersion: v1\nkind: Namespace\n";
        let rules = rules_for("PersistentVolumeClaim", yaml).unwrap();
        let expected = json!({ "apiGroups": [""], "resources": ["persistentvolumeclaims"],
            "verbs": ["get", "delete"] });
        assert_eq!(rules[0], expected);
        assert_eq!(rules.len(), 2);
    }
}
