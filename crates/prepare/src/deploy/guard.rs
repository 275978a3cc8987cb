//! Decides what must not be deployed: a lower operator, another one while an upgrade is in flight,
//! another image under a version that is published.

use super::Arriving;
use crate::failure::Failure;
use crate::kubeconfig::Connection;
use api::conditions::{ConditionStatus, ConditionType, find};
use api::names::{CVO, CVO_CONTAINER, GLOBAL, NAMESPACE, product_manifest};
use api::objects::{ClusterVersionShadow, ObjectRef, ProductManifest, VersionImage, object_ref};
use api::{Digest, StalledReason, Version};
use cluster::{ApiServer as _, CallError, ListQuery};
use serde_json::Value;

/// Label of the Deployment that says the operator's version.
pub(super) const VERSION_LABEL: &str = "app.kubernetes.io/version";

/// What the platform has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Present {
    /// The operator that is deployed.
    pub(super) operator: Option<Operator>,
    /// Upgrades in flight.
    pub(super) in_flight: Vec<InFlight>,
    /// Published releases: name, version and the digest they are bound to.
    pub(super) published: Vec<Published>,
}

/// An upgrade in flight.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct InFlight {
    /// The cluster.
    pub(super) cluster: String,
    /// The version that it is on its way to.
    pub(super) version: String,
    /// Whether its operator has given up reaching it, and a person must act.
    pub(super) is_unreachable: bool,
}

impl InFlight {
    fn of(shadow: ClusterVersionShadow) -> Option<Self> {
        let status = shadow.status.unwrap_or_default();
        let version = planner::request::in_flight(&status)?.version.clone();
        let cluster = shadow.metadata.name.unwrap_or_default();
        let stalled = find(&status.conditions, ConditionType::Stalled);
        let is_unreachable = stalled.is_some_and(|stalled| {
            stalled.status == ConditionStatus::True.as_str()
                && stalled.reason == StalledReason::ClusterUnreachable.as_str()
        });
        Some(Self { is_unreachable: is_unreachable && cluster != GLOBAL, cluster, version })
    }
}

/// A deployed operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Operator {
    /// As its Deployment says.
    pub(super) version: String,
    /// Of its image.
    pub(super) digest: Option<Digest>,
}

/// A published release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Published {
    /// metadata.name.
    pub(super) name: String,
    /// spec.version.
    pub(super) version: String,
    /// What it is bound to; None where that is not known yet.
    pub(super) digest: Option<Digest>,
}

impl Published {
    pub(super) fn of(manifest: ProductManifest) -> Self {
        let bound = manifest.status.and_then(|s| s.image).or(manifest.spec.image);
        Self {
            name: manifest.metadata.name.unwrap_or_default(),
            version: manifest.spec.version,
            digest: bound.and_then(|image| digest_of(&image)),
        }
    }
}

impl Present {
    /// Reads it. A kind that is not served yet has no objects.
    ///
    /// # Errors
    /// When something cannot be read.
    pub(super) async fn read(connection: &Connection) -> Result<Self, Failure> {
        let server = &connection.server;
        let found = server.get(&deployment()).await;
        let found = found.map_err(connection.failed(format!("read Deployment {CVO}")))?;
        let shadows = list::<ClusterVersionShadow>(connection).await?;
        let in_flight = shadows.into_iter().filter_map(InFlight::of).collect();
        let manifests = list::<ProductManifest>(connection).await?;
        Ok(Self {
            operator: found.as_ref().map(operator),
            in_flight,
            published: manifests.into_iter().map(Published::of).collect(),
        })
    }
}

/// Every object of a kind; none where it is not served yet.
pub(super) async fn list<K>(connection: &Connection) -> Result<Vec<K>, Failure>
where
    K: kube::Resource<DynamicType = ()> + serde::de::DeserializeOwned,
{
    let (api_version, kind) = (K::api_version(&()), K::kind(&()));
    let failed = |error| connection.failed(format!("list {}", K::plural(&())))(error);
    let all = match connection.server.list(&ListQuery::all(&api_version, &kind)).await {
        Ok(all) => all,
        Err(CallError::KindAbsent(_)) => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    let parse = |value| {
        serde_json::from_value(value)
            .map_err(|e| failed(CallError::Unexpected(api::text::line(&e.to_string(), 256))))
    };
    all.into_iter().map(parse).collect()
}

/// The operator's Deployment.
pub(super) fn deployment() -> ObjectRef {
    ObjectRef {
        api_version: "apps/v1".to_owned(),
        kind: "Deployment".to_owned(),
        namespace: NAMESPACE.to_owned(),
        name: CVO.to_owned(),
    }
}

/// The ProductManifest of a version.
pub(super) fn manifest(version: &Version) -> ObjectRef {
    object_ref::<ProductManifest>("", &product_manifest(version))
}

fn operator(deployment: &Value) -> Operator {
    let labels = deployment.pointer("/metadata/labels");
    let version = labels.and_then(|labels| labels.get(VERSION_LABEL)).and_then(Value::as_str);
    let containers = deployment.pointer("/spec/template/spec/containers");
    let mut containers = containers.and_then(Value::as_array).into_iter().flatten();
    let name = |c: &&Value| c.get("name").and_then(Value::as_str) == Some(CVO_CONTAINER);
    let image = containers.find(name).and_then(|c| c.get("image")).and_then(Value::as_str);
    Operator { version: version.unwrap_or_default().to_owned(), digest: image.and_then(digest_of) }
}

/// The digest of an image; the registry before it may be called by another name.
pub(super) fn digest_of(image: &str) -> Option<Digest> {
    VersionImage { version: String::new(), image: image.to_owned() }.digest()
}

/// Judges.
///
/// # Errors
/// When it must not be deployed; the text says why.
pub(super) fn judge(present: &Present, arriving: &Arriving) -> Result<(), Failure> {
    let refused =
        |message: String, hint: String| Err(Failure::Refused { message, hints: vec![hint] });
    let version = &arriving.version;
    if let Some(operator) = &present.operator {
        let Ok(running) = operator.version.parse::<Version>() else {
            return refused(
                format!(
                    "the version of the running operator is not known: label {VERSION_LABEL} of Deployment {NAMESPACE}/{CVO} is '{}'",
                    api::text::line(&operator.version, 64)
                ),
                format!(
                    "write its version there: kubectl -n {NAMESPACE} label deployment {CVO} {VERSION_LABEL}=VERSION --overwrite"
                ),
            );
        };
        if *version < running {
            return refused(
                format!(
                    "the operator of this package is {version}, lower than the running one, {running}; nothing was changed"
                ),
                format!("use a core package of {running} or later"),
            );
        }
    }
    if let Some(stuck) = not_taken_over(present, arriving).find(|one| !is_left(present, one)) {
        let cluster = api::text::line(&stuck.cluster, 64);
        let under_way = api::text::line(&stuck.version, 64);
        return refused(
            format!(
                "cluster {cluster} is on its way to {under_way}, and {version} does not take over from there; nothing was changed"
            ),
            match present.operator {
                Some(_) => format!(
                    "wait until it is there: ac adm upgrade status --cluster={cluster} --watch"
                ),
                None => format!(
                    "its operator is gone; deploy it again from the core package of {under_way}"
                ),
            },
        );
    }
    let name = product_manifest(version);
    let Some(published) = present.published.iter().find(|p| p.name == name) else { return Ok(()) };
    let is_other = published.digest.as_ref().is_some_and(|digest| *digest != arriving.product);
    if published.version != version.to_string() || is_other {
        let bound = published.digest.as_ref().map_or_else(String::new, |d| format!(" with {d}"));
        return refused(
            format!(
                "ProductManifest {name} was published as {}{bound}; this package holds {version} with {}; nothing was changed",
                api::text::line(&published.version, 64),
                arriving.product
            ),
            format!(
                "use the package that {name} was published from; look: kubectl get productmanifests {name} -o yaml"
            ),
        );
    }
    Ok(())
}

/// The upgrades in flight that another operator than that of this package drives, or drove where
/// its Deployment is gone.
fn not_taken_over<'a>(
    present: &'a Present,
    arriving: &'a Arriving,
) -> impl Iterator<Item = &'a InFlight> {
    let takes_over = |under_way: &String| match &present.operator {
        Some(operator) => operator.digest.as_ref() == Some(&arriving.operator),
        None => *under_way == arriving.version.to_string(),
    };
    let is_partial =
        |under_way: &String| arriving.partial.iter().any(|p| p.to_string() == *under_way);
    let all = present.in_flight.iter();
    all.filter(move |one| !takes_over(&one.version) && !is_partial(&one.version))
}

/// Whether an upgrade holds up nobody: its cluster is dead, so that nothing would end it, and the
/// other clusters would wait for ever. Nothing moves on it while it cannot be reached; once it
/// answers it goes on to the version that it is bound to. Where no operator runs, nobody knows
/// whether what was said last still holds.
const fn is_left(present: &Present, one: &InFlight) -> bool {
    present.operator.is_some() && one.is_unreachable
}

/// What is said of the clusters whose upgrade is left to the arriving operator half done.
pub(super) fn left_note(present: &Present, arriving: &Arriving) -> Option<String> {
    let left = not_taken_over(present, arriving).filter(|one| is_left(present, one));
    let left: Vec<String> =
        left.map(|one| format!("{} (on its way to {})", one.cluster, one.version)).collect();
    (!left.is_empty()).then(|| {
        format!(
            "note: these clusters cannot be reached and hold up nothing; their upgrade goes on with the new operator once they answer: {}",
            api::text::names(&left)
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arriving() -> Arriving {
        Arriving {
            version: "4.3.0".parse().unwrap(),
            partial: Vec::new(),
            registry: "r:1".to_owned(),
            pull_secret: "pull".to_owned(),
            pull_secret_named: true,
            operator: Digest::of(b"operator"),
            product: Digest::of(b"product"),
        }
    }

    fn present(version: &str, digest: &[u8], in_flight: &[&str]) -> Present {
        Present {
            operator: Some(Operator {
                version: version.to_owned(),
                digest: Some(Digest::of(digest)),
            }),
            in_flight: in_flight.iter().map(|v| flight("global", v, "")).collect(),
            published: Vec::new(),
        }
    }

    /// An upgrade that is Stalled for this reason, or not.
    fn flight(cluster: &str, version: &str, stalled: &str) -> InFlight {
        let is_stalled = if stalled.is_empty() { "False" } else { "True" };
        let condition = |kind: &str, status: &str, reason: &str| {
            serde_json::json!({
                "type": kind, "status": status, "reason": reason, "message": "",
                "lastTransitionTime": "2026-11-22T20:00:00Z",
            })
        };
        let shadow = serde_json::json!({
            "apiVersion": "product.alauda.io/v1alpha1", "kind": "ClusterVersionShadow",
            "metadata": { "name": cluster }, "spec": {},
            "status": {
                "conditions": [condition("Stalled", is_stalled, stalled)],
                "desired": { "version": version, "image": "r:1/acp/product-image@sha256:1" },
                "history": [{ "version": version, "state": "Partial" }],
            },
        });
        InFlight::of(serde_json::from_value(shadow).unwrap()).unwrap()
    }

    fn refusal(present: &Present, arriving: &Arriving) -> String {
        judge(present, arriving).unwrap_err().to_string()
    }

    #[test]
    fn an_operator_never_becomes_lower() {
        judge(&Present::default(), &arriving()).unwrap();
        judge(&present("4.2.1", b"old", &[]), &arriving()).unwrap();
        judge(&present("4.3.0", b"rebuilt", &[]), &arriving()).unwrap();
        let text = refusal(&present("4.10.0", b"new", &[]), &arriving());
        assert!(text.contains("lower than the running one, 4.10.0"), "{text}");
        assert!(refusal(&present("", b"odd", &[]), &arriving()).contains("is not known"));
    }

    #[test]
    fn in_flight_the_operator_stays_unless_the_release_takes_over() {
        let text = refusal(&present("4.2.2", b"old", &["4.2.2"]), &arriving());
        assert!(text.contains("on its way to 4.2.2"), "{text}");
        judge(&present("4.3.0", b"operator", &["4.3.0"]), &arriving()).unwrap();
        let text = refusal(&present("4.3.0", b"rebuilt", &["4.3.0"]), &arriving());
        assert!(text.contains("on its way to 4.3.0"), "{text}");
        let way_out = Arriving { partial: vec!["4.2.2".parse().unwrap()], ..arriving() };
        judge(&present("4.2.2", b"old", &["4.2.2"]), &way_out).unwrap();
        let two = present("4.2.2", b"old", &["4.2.2", "4.2.1"]);
        assert!(refusal(&two, &way_out).contains("4.2.1"));
    }

    #[test]
    fn a_dead_workload_cluster_is_named_and_holds_up_no_operator() {
        let with = |in_flight| Present { in_flight, ..present("4.2.2", b"old", &[]) };
        let dead = || flight("workload-a", "4.2.2", "ClusterUnreachable");
        let left = with(vec![dead()]);
        judge(&left, &arriving()).unwrap();
        let note = left_note(&left, &arriving()).unwrap();
        assert!(note.ends_with("workload-a (on its way to 4.2.2)"), "{note}");
        let way_out = Arriving { partial: vec!["4.2.2".parse().unwrap()], ..arriving() };
        assert_eq!(left_note(&left, &way_out), None, "it takes over from there");
        for alive in [
            flight("workload-b", "4.2.2", ""),
            flight("workload-b", "4.2.2", "HookFailed"),
            flight("global", "4.2.2", "ClusterUnreachable"),
        ] {
            let cluster = alive.cluster.clone();
            let text = refusal(&with(vec![dead(), alive]), &arriving());
            assert!(text.contains(&format!("cluster {cluster} is on its way")), "{text}");
        }
        let nobody_looks = Present { operator: None, ..left };
        assert!(refusal(&nobody_looks, &arriving()).contains("workload-a"));
    }

    #[test]
    fn in_flight_a_lost_operator_comes_back_from_its_own_package_only() {
        let gone = |version: &str| Present { operator: None, ..present("", b"", &[version]) };
        judge(&gone("4.3.0"), &arriving()).unwrap();
        let text = refusal(&gone("4.2.2"), &arriving());
        assert!(text.contains("on its way to 4.2.2"), "{text}");
        let way_out = Arriving { partial: vec!["4.2.2".parse().unwrap()], ..arriving() };
        judge(&gone("4.2.2"), &way_out).unwrap();
    }

    #[test]
    fn a_published_version_keeps_its_image() {
        let published = |version: &str, digest: Option<&[u8]>| Present {
            published: vec![Published {
                name: "v4.3.0".to_owned(),
                version: version.to_owned(),
                digest: digest.map(Digest::of),
            }],
            ..Present::default()
        };
        judge(&published("4.3.0", Some(b"product")), &arriving()).unwrap();
        judge(&published("4.3.0", None), &arriving()).unwrap();
        assert!(
            refusal(&published("4.3.0", Some(b"other")), &arriving()).contains("was published")
        );
        assert!(refusal(&published("4.2.1", None), &arriving()).contains("published as 4.2.1"));
    }
}
