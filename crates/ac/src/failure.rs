//! Why a command fails, and what the user does about it.
//!
//! Every failure is a sentence, and a hint with the next command where one exists.

use api::failure::Failed;
use std::path::PathBuf;

/// Exit status where the command line is wrong.
pub(crate) const USAGE: u8 = 2;

/// A command failed.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The command line is wrong.
    #[error("{message}")]
    Usage {
        /// What is wrong.
        message: String,
        /// What to write instead.
        hint: String,
        /// The whole text, where the parser has written it.
        rendered: Option<String>,
    },
    /// The command cannot do what it is asked to.
    #[error("{message}")]
    Refused {
        /// Why.
        message: String,
        /// What to do.
        hints: Vec<String>,
    },
    /// No kubeconfig is there.
    #[error("no kubeconfig: {} not found", shown(paths))]
    NoKubeconfig {
        /// Where it was looked for.
        paths: Vec<PathBuf>,
    },
    /// A kubeconfig cannot be used.
    #[error("the kubeconfig {} cannot be used: {reason}", shown(paths))]
    Kubeconfig {
        /// Its files.
        paths: Vec<PathBuf>,
        /// Why; no text of theirs, which may be a token.
        reason: String,
    },
    /// The account of a Pod cannot be used.
    #[error("no kubeconfig, and the account of this Pod cannot be used")]
    InCluster {
        /// Why.
        source: kube::config::InClusterError,
    },
    /// The kubeconfig has no such context.
    #[error("{}", match wanted {
        Some(wanted) => format!("the kubeconfig has no context '{wanted}'"),
        None => "the kubeconfig has no current context".to_owned(),
    })]
    NoContext {
        /// The context asked for.
        wanted: Option<String>,
        /// Those that exist.
        contexts: Vec<String>,
    },
    /// The API server does not answer.
    #[error("the API server {server} of context '{context}' cannot be reached")]
    Unreachable {
        /// Its address.
        server: String,
        /// The context.
        context: String,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The API server took too long.
    #[error("the API server {server} of context '{context}' did not answer within {seconds}s")]
    TimedOut {
        /// Its address.
        server: String,
        /// The context.
        context: String,
        /// How long was waited.
        seconds: u64,
    },
    /// The credentials are not accepted.
    #[error(
        "the API server {server} does not accept the credentials of context '{context}' (401 Unauthorized)"
    )]
    Unauthorized {
        /// Its address.
        server: String,
        /// The context.
        context: String,
    },
    /// A right is missing.
    #[error("forbidden: no right to {verb} {resource}{}: {answer}", place(namespace))]
    Forbidden {
        /// The missing verb.
        verb: &'static str,
        /// The resource with its group.
        resource: String,
        /// The namespace, where it has one.
        namespace: Option<&'static str>,
        /// What the API server says.
        answer: String,
    },
    /// The API server refuses the request for another reason.
    #[error("the API server refuses to {verb} {resource} ({code}): {answer}")]
    Answer {
        /// What was asked.
        verb: &'static str,
        /// The resource with its group.
        resource: String,
        /// HTTP status.
        code: u16,
        /// What the API server says.
        answer: String,
    },
    /// An object is not as this version knows it.
    #[error("an object of the API server cannot be read by this version of ac")]
    Malformed(#[source] serde_json::Error),
    /// Output cannot be written.
    #[error("the output cannot be written")]
    Output(#[source] std::io::Error),
}

fn shown(paths: &[PathBuf]) -> String {
    if paths.is_empty() {
        return "~/.kube/config".to_owned();
    }
    let names: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
    names.join(", ")
}

fn place(namespace: &Option<&'static str>) -> String {
    namespace.map_or_else(String::new, |namespace| format!(" in namespace {namespace}"))
}

impl Failure {
    /// A refusal with hints.
    pub(crate) fn refused(message: impl Into<String>, hints: Vec<String>) -> Self {
        Self::Refused { message: message.into(), hints }
    }

    /// A wrong command line.
    pub(crate) fn usage(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Usage { message: message.into(), hint: hint.into(), rendered: None }
    }

    /// Whether the server may answer again without anybody doing anything here.
    pub(crate) fn may_pass(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::TimedOut { .. })
            || matches!(self, Self::Answer { code: 429 | 500.., .. })
    }
}

impl Failed for Failure {
    fn output(&self) -> Option<&std::io::Error> {
        if let Self::Output(error) = self { Some(error) } else { None }
    }

    fn is_usage(&self) -> bool {
        matches!(self, Self::Usage { .. })
    }

    fn hints(&self, program: &str) -> Vec<String> {
        match self {
            Self::Usage { hint, .. } => vec![hint.clone()],
            Self::Refused { hints, .. } => hints.clone(),
            Self::NoKubeconfig { .. } => vec![
                "name one with --kubeconfig FILE or in KUBECONFIG; on a control-plane node of the global cluster it is /etc/kubernetes/admin.conf".to_owned(),
            ],
            Self::InCluster { .. } => vec!["name a kubeconfig with --kubeconfig FILE".to_owned()],
            Self::Kubeconfig { .. } => vec!["see what is read, and what is wrong with it: kubectl config view".to_owned()],
            Self::NoContext { contexts, .. } if contexts.is_empty() => {
                vec!["it has no contexts at all; name another file with --kubeconfig FILE".to_owned()]
            }
            Self::NoContext { contexts, .. } => {
                vec![format!("choose one with --context: {}", api::text::names(contexts))]
            }
            Self::Unreachable { .. } | Self::TimedOut { .. } => vec![
                "see whether it answers at all: kubectl get --raw /readyz; choose another cluster with --context".to_owned(),
            ],
            Self::Unauthorized { .. } => vec![
                "the token or certificate has expired or is wrong: renew it, or choose another context with --context".to_owned(),
            ],
            Self::Forbidden { verb, resource, namespace, .. } => {
                let place = namespace.map_or_else(String::new, |n| format!(" -n {n}"));
                vec![format!(
                    "ask an administrator for the verb '{verb}' on '{resource}'; check it with: kubectl auth can-i {verb} {resource}{place}"
                )]
            }
            Self::Answer { code: 429 | 500.., .. } => vec!["run the same command again".to_owned()],
            Self::Answer { code: 409, .. } => {
                vec!["somebody else changed it at the same moment: run the same command again".to_owned()]
            }
            Self::Answer { .. } => vec![format!(
                "see what this API server knows: kubectl api-resources --api-group={}; use the {program} of the release that it has",
                <api::objects::ClusterVersionShadow as kube::Resource>::group(&())
            )],
            Self::Output(_) => vec![api::failure::OUTPUT_HINT.to_owned()],
            Self::Malformed(_) => vec![format!(
                "use the {program} of the release that the cluster version operator has; this one is {}",
                env!("CARGO_PKG_VERSION")
            )],
        }
    }
}
