//! Decides which Go programs there are and at which versions. Knows nothing of how they are built.

use std::fmt;
use std::str::FromStr;

use anyhow::bail;

/// A Go program: where it comes from and what is stamped into it.
#[derive(Clone, Debug)]
pub struct Tool {
    /// The name of the binary; for a published package the last part of its path.
    pub name: String,
    /// Where its source comes from.
    pub source: Source,
    stamps: Vec<(String, String)>,
}

/// Where a tool's source comes from.
#[derive(Clone, Debug)]
pub enum Source {
    /// A module of our own, as file names and texts.
    Written {
        /// The files of the module.
        files: &'static [(&'static str, &'static str)],
    },
    /// A published module's main package.
    Published {
        /// The import path of the package.
        package: String,
        /// The version of its module.
        version: String,
    },
}

/// The Kubernetes versions that a sandbox cluster can run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KubernetesVersion {
    /// What a platform at 4.2 creates.
    #[default]
    V1_33,
    /// What a platform at 4.3 creates.
    V1_34,
}

impl KubernetesVersion {
    /// The version with its patch, as the API server answers it.
    pub fn full(self) -> &'static str {
        match self {
            Self::V1_33 => "v1.33.13",
            Self::V1_34 => "v1.34.2",
        }
    }
}

impl fmt::Display for KubernetesVersion {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.full())
    }
}

impl FromStr for KubernetesVersion {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.trim_start_matches('v') {
            "1.33" | "1.33.13" => Ok(Self::V1_33),
            "1.34" | "1.34.2" => Ok(Self::V1_34),
            _ => bail!("Kubernetes {text} is not to be had here: use 1.33.13 or 1.34.2"),
        }
    }
}

const KUBE_MAIN: &str = include_str!("../../tools/kube/main.go");

const KUBE_1_33: &[(&str, &str)] = &[
    ("go.mod", include_str!("../../tools/kube-1.33/go.mod")),
    ("go.sum", include_str!("../../tools/kube-1.33/go.sum")),
    ("kubelet.go", include_str!("../../tools/kube-1.33/kubelet.go")),
    ("main.go", KUBE_MAIN),
];

const KUBE_1_34: &[(&str, &str)] = &[
    ("go.mod", include_str!("../../tools/kube-1.34/go.mod")),
    ("go.sum", include_str!("../../tools/kube-1.34/go.sum")),
    ("kubelet.go", include_str!("../../tools/kube-1.34/kubelet.go")),
    ("main.go", KUBE_MAIN),
];

const KUBECTL: &[(&str, &str)] = &[
    ("go.mod", include_str!("../../tools/kube-1.33/go.mod")),
    ("go.sum", include_str!("../../tools/kube-1.33/go.sum")),
    ("main.go", include_str!("../../tools/kubectl/main.go")),
];

const REGISTRY: &[(&str, &str)] = &[
    ("go.mod", include_str!("../../tools/registry/go.mod")),
    ("go.sum", include_str!("../../tools/registry/go.sum")),
    ("main.go", include_str!("../../tools/registry/main.go")),
];

impl Tool {
    /// A program whose source is given here.
    pub fn written(name: &str, files: &'static [(&'static str, &'static str)]) -> Self {
        Self { name: name.to_owned(), source: Source::Written { files }, stamps: Vec::new() }
    }

    /// A published program; `name` is the last part of the package's path.
    pub fn published(name: &str, package: &str, version: &str) -> Self {
        let source = Source::Published { package: package.to_owned(), version: version.to_owned() };
        Self { name: name.to_owned(), source, stamps: Vec::new() }
    }

    /// Its name with its version, for people.
    pub fn title(&self) -> String {
        let stamped = self.stamps.iter().find(|(variable, _)| variable.ends_with(".gitVersion"));
        match (&self.source, stamped) {
            (Source::Published { version, .. }, _) | (_, Some((_, version))) => {
                format!("{} {version}", self.name)
            }
            _ => self.name.clone(),
        }
    }

    /// Sets a string variable of the program at link time.
    #[must_use]
    pub fn stamped(mut self, variable: &str, value: &str) -> Self {
        self.stamps.push((variable.to_owned(), value.to_owned()));
        self
    }

    /// Every Kubernetes and etcd program, and kubectl, in one binary that is called by their names.
    pub fn kube(version: KubernetesVersion) -> Self {
        let (files, minor) = match version {
            KubernetesVersion::V1_33 => (KUBE_1_33, "33"),
            KubernetesVersion::V1_34 => (KUBE_1_34, "34"),
        };
        let variable = |name: &str| format!("k8s.io/component-base/version.{name}");
        Self::written("kube", files)
            .stamped(&variable("gitVersion"), version.full())
            .stamped(&variable("gitMajor"), "1")
            .stamped(&variable("gitMinor"), minor)
            .stamped(&variable("gitTreeState"), "clean")
    }

    /// kubectl by itself, as users have it.
    pub fn kubectl() -> Self {
        let version = "k8s.io/component-base/version.gitVersion";
        Self::written("kubectl", KUBECTL).stamped(version, KubernetesVersion::V1_33.full())
    }

    /// The registry: distribution behind TLS and two accounts.
    pub fn registry() -> Self {
        Self::written("registry", REGISTRY)
    }

    /// Helm, static.
    pub fn helm() -> Self {
        Self::published("helm", "helm.sh/helm/v4/cmd/helm", "v4.3.1")
    }

    /// kwok, which brings Pods and Jobs of simulated nodes to their ends.
    pub fn kwok() -> Self {
        Self::published("kwok", "sigs.k8s.io/kwok/cmd/kwok", "v0.8.0")
    }

    /// CoreDNS at a version such as `v1.14.6`.
    pub fn coredns(version: &str) -> Self {
        Self::published("coredns", "github.com/coredns/coredns", version)
    }

    /// node_exporter at a version such as `v1.10.2`, which it then says of itself.
    pub fn node_exporter(version: &str) -> Self {
        let said = version.trim_start_matches('v');
        Self::published("node_exporter", "github.com/prometheus/node_exporter", version)
            .stamped("github.com/prometheus/common/version.Version", said)
    }

    /// Caddy at a version such as `v2.11.9`.
    pub fn caddy(version: &str) -> Self {
        Self::published("caddy", "github.com/caddyserver/caddy/v2/cmd/caddy", version)
            .stamped("github.com/caddyserver/caddy/v2.CustomVersion", version)
    }

    /// The linker flags: no symbol table, and the stamps.
    pub(super) fn ldflags(&self) -> String {
        let mut flags = "-s -w".to_owned();
        for (variable, value) in &self.stamps {
            flags.push_str(&format!(" -X {variable}={value}"));
        }
        flags
    }
}
