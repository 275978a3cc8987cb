//! Takes the rights away that the operator has for releases to which no cluster can go any more:
//! those below the lowest that any has. Each package brings rights for its own release.

use super::guard::VERSION_LABEL;
use crate::failure::Failure;
use crate::kubeconfig::Connection;
use crate::printer::Printer;
use api::Version;
use api::names::CVO;
use api::objects::ClusterVersionShadow;
use cluster::{ApiServer as _, ListQuery};
use serde_json::Value;

const RBAC: &str = "rbac.authorization.k8s.io/v1";
/// First what gives the rights to the operator.
const KINDS: [&str; 2] = ["ClusterRoleBinding", "ClusterRole"];

/// Deletes what is left of them.
///
/// # Errors
/// When it cannot be read or deleted.
pub(super) async fn retire(
    connection: &Connection,
    shadows: &[ClusterVersionShadow],
    printer: &mut Printer<'_>,
) -> Result<(), Failure> {
    let Some(lowest) = lowest(shadows) else { return Ok(()) };
    let labels = format!("app.kubernetes.io/name={CVO},app.kubernetes.io/part-of=acp");
    let mut retired = Vec::new();
    for kind in KINDS {
        let query = ListQuery::all(RBAC, kind).labelled(&labels);
        let all = connection.server.list(&query).await;
        let all = all.map_err(connection.failed(format!("list {kind}s of {CVO}")))?;
        for object in all.iter().filter(|object| is_below(object, &lowest)) {
            let name = object.pointer("/metadata/name").and_then(Value::as_str);
            let name = name.unwrap_or_default().to_owned();
            let deleted = connection.server.delete(object).await;
            deleted.map_err(connection.failed(format!("delete {kind} {name}")))?;
            retired.push(name);
        }
    }
    if retired.is_empty() {
        return Ok(());
    }
    retired.sort();
    retired.dedup();
    printer.say(&format!("Took away rights for releases below {lowest}: {}", retired.join(", ")))
}

/// The lowest version that a cluster has; None where one has none, or says no version.
fn lowest(shadows: &[ClusterVersionShadow]) -> Option<Version> {
    let current = |shadow: &ClusterVersionShadow| {
        let current = shadow.status.as_ref()?.current.as_ref()?;
        current.version.parse::<Version>().ok()
    };
    let all: Option<Vec<Version>> = shadows.iter().map(current).collect();
    all?.into_iter().min()
}

/// Whether it is of a release below a version. The operator's own roles are of no release.
fn is_below(object: &Value, lowest: &Version) -> bool {
    let labels = object.pointer("/metadata/labels");
    let version = labels.and_then(|labels| labels.get(VERSION_LABEL)).and_then(Value::as_str);
    let version = version.and_then(|version| version.parse::<Version>().ok());
    let name = object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
    version.is_some_and(|version| {
        version < *lowest && name.ends_with(&api::names::product_manifest(&version))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_rights_of_lower_releases_go() {
        let role = |name: &str, version: &str| {
            let labels = json!({ VERSION_LABEL: version });
            json!({ "metadata": { "name": name, "labels": labels } })
        };
        let below = |name, version| is_below(&role(name, version), &"4.3.0".parse().unwrap());
        assert!(below("acp:cluster-version-operator:v4.2.1", "4.2.1"));
        assert!(!below("acp:cluster-version-operator:v4.3.0", "4.3.0"));
        assert!(!below("acp:cluster-version-operator:v4.4.0", "4.4.0"));
        assert!(!below("acp:cluster-version-operator", "4.2.1"), "that of every release");
        assert!(!below("acp:cluster-version-operator:v4.2.1", "latest"));
    }

    #[test]
    fn nothing_goes_while_a_version_is_not_known() {
        let shadow = |version: Option<&str>| {
            let current = version.map(|v| json!({ "version": v, "image": "r/x@sha256:0" }));
            let status = json!({ "current": current });
            let object = json!({
                "apiVersion": "product.alauda.io/v1alpha1", "kind": "ClusterVersionShadow",
                "metadata": { "name": "a" }, "spec": {}, "status": status,
            });
            serde_json::from_value::<ClusterVersionShadow>(object).unwrap()
        };
        let of = |versions: &[Option<&str>]| {
            let shadows: Vec<_> = versions.iter().map(|version| shadow(*version)).collect();
            lowest(&shadows).map(|version| version.to_string())
        };
        assert_eq!(of(&[Some("4.3.0"), Some("4.2.1")]).as_deref(), Some("4.2.1"));
        assert_eq!(of(&[Some("4.3.0"), None]), None);
        assert_eq!(of(&[]), None);
    }
}
