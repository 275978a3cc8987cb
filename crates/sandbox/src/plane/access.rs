//! Decides the arguments and files of a control plane's programs. Knows nothing of their lives.

use std::path::Path;

use anyhow::Result;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::registry::text;

/// One line for every request that was answered.
pub(super) const AUDIT_POLICY: &str = "\
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
";

/// The simulated node. Nodes without its annotation are left alone: a test can make its own.
pub(super) const NODE: &str = "\
apiVersion: v1
kind: Node
metadata:
  name: node-1
  annotations: {kwok.x-k8s.io/node: fake}
  labels: {kubernetes.io/hostname: node-1, kubernetes.io/os: linux, kubernetes.io/arch: amd64}
";

/// What happens to simulated nodes and Pods.
pub(super) const KWOK_STAGES: &str = include_str!("kwok.yaml");

/// The token file: one administrator.
pub(super) fn tokens(token: &str) -> String {
    format!("{token},admin,admin,system:masters\n")
}

/// The administrator's kubeconfig.
pub(super) fn kubeconfig(folder: &Path, port: u16, token: &str) -> Result<String> {
    let authority = STANDARD.encode(std::fs::read(folder.join("tls/ca.crt"))?);
    Ok(format!(
        "apiVersion: v1
kind: Config
current-context: admin@plane
clusters:
- name: plane
  cluster: {{server: \"https://127.0.0.1:{port}\", certificate-authority-data: {authority}}}
users:
- name: admin
  user: {{token: {token}}}
contexts:
- name: admin@plane
  context: {{cluster: plane, user: admin}}
"
    ))
}

/// The arguments of etcd.
pub(super) fn etcd(folder: &Path, port: u16, peer_port: u16) -> Result<Vec<String>> {
    let (client, peer) =
        (format!("http://127.0.0.1:{port}"), format!("http://127.0.0.1:{peer_port}"));
    Ok(vec![
        format!("--data-dir={}", text(&folder.join("etcd-data"))?),
        format!("--listen-client-urls={client}"),
        format!("--advertise-client-urls={client}"),
        format!("--listen-peer-urls={peer}"),
        format!("--initial-advertise-peer-urls={peer}"),
        format!("--initial-cluster=default={peer}"),
        "--log-level=warn".to_owned(),
        "--unsafe-no-fsync".to_owned(),
    ])
}

/// Where an API server keeps its objects.
#[derive(Clone, Copy)]
pub(super) struct Storage<'a> {
    /// The port of etcd.
    pub(super) port: u16,
    /// What the keys begin with.
    pub(super) prefix: &'a str,
}

/// The arguments of kube-apiserver. Without controllers nobody makes service accounts, so Pods
/// must do without.
pub(super) fn api_server(
    folder: &Path,
    port: u16,
    storage: Storage<'_>,
    controllers: bool,
) -> Result<Vec<String>> {
    let file = |name: &str| -> Result<String> { Ok(text(&folder.join(name))?.to_owned()) };
    let mut arguments = vec![
        format!("--etcd-servers=http://127.0.0.1:{}", storage.port),
        format!("--etcd-prefix={}", storage.prefix),
        "--bind-address=127.0.0.1".to_owned(),
        format!("--secure-port={port}"),
        format!("--tls-cert-file={}", file("tls/tls.crt")?),
        format!("--tls-private-key-file={}", file("tls/tls.key")?),
        format!("--token-auth-file={}", file("tokens.csv")?),
        "--authorization-mode=Node,RBAC".to_owned(),
        "--allow-privileged=true".to_owned(),
        "--service-cluster-ip-range=10.96.0.0/16".to_owned(),
        "--endpoint-reconciler-type=none".to_owned(),
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local".to_owned(),
        format!("--service-account-key-file={}", file("sa.pub")?),
        format!("--service-account-signing-key-file={}", file("sa.key")?),
        format!("--audit-policy-file={}", file("audit-policy.yaml")?),
        format!("--audit-log-path={}", file("audit.log")?),
        "--audit-log-maxsize=2000".to_owned(),
    ];
    if !controllers {
        arguments.push("--disable-admission-plugins=ServiceAccount".to_owned());
    }
    Ok(arguments)
}

/// The arguments of kube-controller-manager.
pub(super) fn controllers(folder: &Path, port: u16) -> Result<Vec<String>> {
    let file = |name: &str| -> Result<String> { Ok(text(&folder.join(name))?.to_owned()) };
    Ok(vec![
        format!("--kubeconfig={}", file("kubeconfig")?),
        "--bind-address=127.0.0.1".to_owned(),
        format!("--secure-port={port}"),
        "--leader-elect=false".to_owned(),
        // By default it sends twenty requests a second, which would be what tests wait for.
        "--kube-api-qps=400".to_owned(),
        "--kube-api-burst=800".to_owned(),
        format!("--service-account-private-key-file={}", file("sa.key")?),
        format!("--root-ca-file={}", file("tls/ca.crt")?),
    ])
}

/// The arguments of kube-scheduler.
pub(super) fn scheduler(folder: &Path, port: u16) -> Result<Vec<String>> {
    Ok(vec![
        format!("--kubeconfig={}", text(&folder.join("kubeconfig"))?),
        "--bind-address=127.0.0.1".to_owned(),
        format!("--secure-port={port}"),
        "--leader-elect=false".to_owned(),
    ])
}
