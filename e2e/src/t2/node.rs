//! The simulated node of a control plane: what preflight looks at on it.

use anyhow::Result;
use sandbox::ControlPlane;
use sandbox::process::{run, run_with_input};
use serde_json::json;
use std::time::Duration;

/// How long one command may take.
const LIMIT: Duration = Duration::from_secs(60);

/// Makes it a control-plane node on containerd with its static Pods.
pub(super) async fn make(plane: &ControlPlane) -> Result<()> {
    let label = format!("{}=", api::names::CONTROL_PLANE_LABEL);
    run(plane.kubectl().args(["label", "node", "node-1", &label]), LIMIT).await?;
    set_runtime(plane, "containerd://2.2.0").await?;
    for component in api::names::STATIC_PODS {
        make_static_pod(plane, component).await?;
    }
    Ok(())
}

/// What it says of its container runtime.
///
/// # Errors
/// When it cannot be written.
pub async fn set_runtime(plane: &ControlPlane, runtime: &str) -> Result<()> {
    let info = json!({
        "containerRuntimeVersion": runtime, "kubeletVersion": "v1.33.13",
        "architecture": "amd64", "operatingSystem": "linux", "machineID": "", "systemUUID": "",
        "bootID": "", "kernelVersion": "", "osImage": "", "kubeProxyVersion": "",
    });
    let body = json!({ "status": { "nodeInfo": info } }).to_string();
    let mut patch = plane.kubectl();
    patch.args(["patch", "node", "node-1", "--subresource=status", "--type=merge", "-p", &body]);
    run(&mut patch, LIMIT).await?;
    Ok(())
}

/// A static Pod of the control plane on it.
///
/// # Errors
/// When it is refused.
pub async fn make_static_pod(plane: &ControlPlane, component: &str) -> Result<()> {
    let pod = format!(
        "
apiVersion: v1
kind: Pod
metadata:
  name: {component}-node-1
  namespace: kube-system
  labels: {{tier: control-plane, component: {component}}}
spec:
  nodeName: node-1
  automountServiceAccountToken: false
  containers: [{{name: it, image: example.invalid/{component}:1}}]
"
    );
    let mut apply = plane.kubectl();
    apply.args(["apply", "--server-side", "--force-conflicts", "-f", "-"]);
    run_with_input(&mut apply, pod.as_bytes(), LIMIT).await?;
    Ok(())
}
