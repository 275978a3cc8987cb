//! The chart that is applied: half Deployments without replicas, half ConfigMaps, each of which
//! carries the revision.

use anyhow::Result;
use artifacts::build::{Tree, tgz};

/// Objects of the chart.
pub(super) const OBJECTS: usize = 500;
/// The name of chart and component.
pub(super) const NAME: &str = "many";

const CHART: &str = "apiVersion: v2\nname: many\nversion: 1.0.0\n";

/// Its objects.
pub(crate) const TEMPLATE: &str = r#"{{- range $i := until (int (div .Values.objects 2)) }}
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: many-{{ $i }}
  namespace: {{ $.Release.Namespace }}
data:
  revision: "{{ $.Values.revision }}"
  number: "{{ $i }}"
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: many-{{ $i }}
  namespace: {{ $.Release.Namespace }}
  labels: {app: many-{{ $i }}}
spec:
  replicas: 0
  selector:
    matchLabels: {app: many-{{ $i }}}
  template:
    metadata:
      labels: {app: many-{{ $i }}}
    spec:
      containers:
        - name: it
          image: example.invalid/it:1
          env:
            - {name: REVISION, value: "{{ $.Values.revision }}"}
          resources:
            requests: {cpu: 10m, memory: 16Mi}
{{- end }}
"#;

/// The chart as an archive.
///
/// # Errors
/// When it cannot be packed.
pub(super) fn archive() -> Result<Vec<u8>> {
    let mut tree = Tree::default();
    for (name, text) in [
        ("Chart.yaml", CHART.to_owned()),
        ("values.yaml", format!("objects: {OBJECTS}\nrevision: 0\n")),
        ("templates/many.yaml", TEMPLATE.to_owned()),
    ] {
        tree.file(&format!("{NAME}/{name}"), text.into_bytes())?;
    }
    Ok(tgz(&tree)?)
}
