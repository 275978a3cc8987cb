//! Decides the texts that configure a node's programs. Knows nothing of how they are started.

use super::Spec;

/// Where the images of the static Pods seem to come from; they are preloaded and cannot be pulled.
pub(super) const IMAGE_REPOSITORY: &str = "sandbox.invalid/kubernetes";
/// The tag of the pause image.
pub(super) const PAUSE_TAG: &str = "sandbox";
/// The tag of the etcd image.
pub(super) const ETCD_TAG: &str = "sandbox";

/// What the API server's audit log holds: one line for every request that was answered.
pub(super) fn audit_policy() -> String {
    let cvsh = api::objects::object_ref::<api::objects::ClusterVersionShadow>("", "");
    let group = cvsh.api_version.split('/').next().unwrap_or_default();
    format!(
        "\
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Request
  resources: [{{group: {group}, resources: [clusterversionshadows/status]}}]
- level: Metadata
"
    )
}

/// The container network: a point-to-point link for each Pod, so that every packet passes the
/// node's own address translation (a bridge would need a kernel module for Pod to Service to Pod).
pub(super) fn cni(spec: &Spec) -> String {
    let pods = &spec.pods;
    format!(
        r#"{{"cniVersion":"1.0.0","name":"pods","plugins":[
{{"type":"ptp","ipMasq":true,"ipam":{{"type":"host-local","ranges":[[{{"subnet":"{pods}"}}]],
"routes":[{{"dst":"0.0.0.0/0"}}]}}}},
{{"type":"portmap","capabilities":{{"portMappings":true}}}}]}}
"#
    )
}

/// containerd, with its images under `root`.
pub(super) fn containerd(root: &str, certificates: &str) -> String {
    format!(
        r#"version = 2
root = "{root}"
state = "/run/containerd"
[grpc]
  address = "/run/containerd/containerd.sock"
[plugins."io.containerd.internal.v1.opt"]
  path = "{root}/opt"
[plugins."io.containerd.grpc.v1.cri"]
  # Without CAP_SYS_RESOURCE, as in a container, every Pod would fail otherwise.
  restrict_oom_score_adj = true
  sandbox_image = "{IMAGE_REPOSITORY}/pause:{PAUSE_TAG}"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "/etc/cni/net.d"
  [plugins."io.containerd.grpc.v1.cri".registry]
    config_path = "{certificates}"
"#
    )
}

/// How containerd reaches the platform registry.
pub(super) fn hosts(registry: &str, authority: &str) -> String {
    format!(
        "server = \"https://{registry}\"\n\n[host.\"https://{registry}\"]\n  \
         capabilities = [\"pull\", \"resolve\"]\n  ca = \"{authority}\"\n"
    )
}

/// kubeadm's four documents.
pub(super) fn kubeadm(spec: &Spec, folder: &str) -> String {
    let Spec { name, pods, services, kubernetes, .. } = spec;
    let (host, address) = (spec.host_name(), &spec.machine.address);
    let names = spec.names.join(", ");
    let root = spec.cgroup();
    format!(
        r#"apiVersion: kubeadm.k8s.io/v1beta4
kind: InitConfiguration
localAPIEndpoint: {{advertiseAddress: {address}, bindPort: 6443}}
nodeRegistration:
  name: {host}
  criSocket: unix:///run/containerd/containerd.sock
  taints: []
  imagePullPolicy: Never
  kubeletExtraArgs: [{{name: node-ip, value: {address}}}]
---
apiVersion: kubeadm.k8s.io/v1beta4
kind: ClusterConfiguration
clusterName: {name}
kubernetesVersion: {kubernetes}
imageRepository: {IMAGE_REPOSITORY}
controlPlaneEndpoint: {address}:6443
networking: {{podSubnet: {pods}, serviceSubnet: {services}}}
etcd:
  local:
    imageTag: {ETCD_TAG}
    extraArgs: [{{name: unsafe-no-fsync, value: "true"}}]
apiServer:
  certSANs: [{names}]
  extraArgs:
  - {{name: audit-policy-file, value: {folder}/audit-policy.yaml}}
  - {{name: audit-log-path, value: {folder}/audit/audit.log}}
  - {{name: audit-log-maxsize, value: "2000"}}
  extraVolumes:
  - {{name: audit-policy, hostPath: {folder}/audit-policy.yaml,
     mountPath: {folder}/audit-policy.yaml, readOnly: true, pathType: File}}
  - {{name: audit, hostPath: {folder}/audit, mountPath: {folder}/audit, pathType: Directory}}
controllerManager:
  extraArgs: [{{name: leader-elect, value: "false"}}]
scheduler:
  extraArgs: [{{name: leader-elect, value: "false"}}]
---
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
cgroupDriver: cgroupfs
cgroupRoot: {root}
failSwapOn: false
failCgroupV1: false
localStorageCapacityIsolation: false
imageGCHighThresholdPercent: 100
evictionHard: {{nodefs.available: "0%", imagefs.available: "0%", nodefs.inodesFree: "0%"}}
---
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: iptables
"#
    )
}

/// kube-proxy, which runs beside the kubelet.
pub(super) fn kube_proxy(spec: &Spec) -> String {
    format!(
        "apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: iptables
clientConnection: {{kubeconfig: /etc/kubernetes/admin.conf}}
clusterCIDR: {}
conntrack: {{maxPerCore: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s}}
",
        spec.pods
    )
}
