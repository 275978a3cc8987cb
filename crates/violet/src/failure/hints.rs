//! What the user does about a failure: the next command, one line each.

use super::Failure;
use api::failure::Failed;
use api::names::{CA_KEY, NAMESPACE, REGISTRY_ADMIN};
use artifacts::registry::{GivenError, RegistryError};
use cluster::CallError;

/// The words of every system for a full disk, in lower case.
const FULL: &str = "no space left";

impl Failed for Failure {
    fn output(&self) -> Option<&std::io::Error> {
        if let Self::Output(error) = self { Some(error) } else { None }
    }

    fn is_usage(&self) -> bool {
        matches!(self, Self::Usage { .. } | Self::Given(GivenError::Input(_)))
    }

    fn hints(&self, program: &str) -> Vec<String> {
        let one = |text: &str| vec![text.to_owned()];
        match self {
            Self::Usage { hint, .. } => vec![hint.clone()],
            Self::Refused { hints, .. } => hints.clone(),
            Self::File { source, .. } if is_full(source) => one(
                "free some space there, or name another folder for temporary files: TMPDIR=FOLDER",
            ),
            Self::File { .. } => one("see that the path is right, and that you may use it"),
            Self::Package { source, .. } => {
                if api::failure::chain(source).to_lowercase().contains(FULL) {
                    one(
                        "free some space, or name another folder for temporary files: TMPDIR=FOLDER",
                    )
                } else {
                    vec![format!(
                        "compare its sum with the publisher's, and fetch it again: sha256sum FILE; what it holds: {program} show FILE"
                    )]
                }
            }
            Self::Given(error) => one(given(error)),
            Self::Undecided(_) => one("name the registry with --dest-repo HOST:PORT"),
            Self::NoKubeconfig { .. } => one(
                "name the platform with --platform-address URL and --platform-token TOKEN, or a kubeconfig of its global cluster: KUBECONFIG=FILE",
            ),
            Self::Kubeconfig { .. } => {
                one("name another one: KUBECONFIG=FILE; what is read: kubectl config view")
            }
            Self::Address { .. } => {
                one("write it as https://HOST[:PORT]; name its certificate with --platform-ca FILE")
            }
            Self::Cluster { source, kubeconfig, .. } => {
                vec![cluster(source, kubeconfig.as_deref())]
            }
            Self::Registry(error) => vec![registry(error)],
            Self::Incomplete { .. } => one(
                "clear what is said above, then run the same command again: only what is missing is sent",
            ),
            Self::Several { .. } => one(
                "clear what is said above, then run the same command again: what is there already is left as it is",
            ),
            Self::Output(_) => one(api::failure::OUTPUT_HINT),
        }
    }
}

fn is_full(error: &std::io::Error) -> bool {
    error.kind() == std::io::ErrorKind::StorageFull
}

fn given(error: &GivenError) -> &'static str {
    match error {
        GivenError::Input(_) => {
            "for example: violet push FILE --username NAME --password-stdin < PASSWORD_FILE"
        }
        GivenError::File { .. } => "name another file, or make this one readable",
        GivenError::NoAccount(_) | GivenError::Accounts(_) => {
            "give the account with --username and --password-stdin, or --no-auth where none is needed"
        }
    }
}

fn cluster(error: &CallError, kubeconfig: Option<&str>) -> String {
    let kubectl = match kubeconfig {
        Some(files) => format!("KUBECONFIG={files} kubectl"),
        None => "kubectl".to_owned(),
    };
    match (error, kubeconfig) {
        (CallError::Unauthorized(_), Some(files)) => format!(
            "the token or certificate in {files} has expired or is wrong: renew it, or name another one: KUBECONFIG=FILE"
        ),
        (CallError::Unauthorized(_), None) => {
            "the token has expired or is wrong, or the address takes no passwords: give a new token with --platform-token".to_owned()
        }
        (CallError::Forbidden(_), _) => format!(
            "an administrator must run it, for a plugin may be given only rights that the one who pushes has; what you may do: {kubectl} auth can-i --list"
        ),
        (CallError::Unavailable(text), _) if text.to_lowercase().contains(FULL) => {
            "a disk of the cluster is full: free some space, then run the same command again".to_owned()
        }
        (CallError::Unavailable(text), None) if text.to_lowercase().contains("certificate") => {
            "name the certificate that signs the platform's with --platform-ca FILE".to_owned()
        }
        (CallError::Unavailable(_), Some(_)) => format!(
            "see whether it answers at all: {kubectl} get --raw /readyz; then run the same command again"
        ),
        (CallError::Conflict(_), _) => "run the same command again".to_owned(),
        (CallError::KindAbsent(_), _) => format!(
            "this platform has no catalogue of plugins, or is not the global cluster: {kubectl} get moduleplugins"
        ),
        (CallError::Unavailable(_) | CallError::Unexpected(_), None) => {
            "see that --platform-address is that of the platform or of its API server: curl -k URL/version".to_owned()
        }
        (
            CallError::NotFound(_)
            | CallError::FieldConflict(_)
            | CallError::Invalid(_)
            | CallError::Unexpected(_)
            | CallError::NotLeader,
            _,
        ) => format!("see what the platform has: {kubectl} get moduleplugins,moduleconfigs"),
    }
}

/// What to do about a registry.
pub(crate) fn registry(error: &RegistryError) -> String {
    let ca = format!(
        "name the certificate that signs the registry's with --registry-ca FILE; that of the built-in registry: kubectl -n {NAMESPACE} get secret {REGISTRY_ADMIN} -o jsonpath='{{.data.{}}}' | base64 -d",
        CA_KEY.replace('.', "\\.")
    );
    match error {
        RegistryError::Denied { status: 401, .. } => {
            "the user name or the password is wrong: give them with --username and --password-stdin".to_owned()
        }
        RegistryError::Denied { .. } => {
            "use an account that may push: --username and --password-stdin".to_owned()
        }
        RegistryError::Settings(_) => ca,
        error if error.is_full() => {
            "the registry has no room: free some space there, then run the same command again".to_owned()
        }
        RegistryError::Unavailable { words, .. } if words.to_lowercase().contains("certificate") => ca,
        RegistryError::Unavailable { registry, .. } => format!(
            "see whether it answers: curl -k https://{registry}/v2/; another registry is named with --dest-repo HOST:PORT"
        ),
        RegistryError::File { .. } => {
            "the package was changed meanwhile: run the same command again".to_owned()
        }
        RegistryError::NotFound { .. }
        | RegistryError::Refused { .. }
        | RegistryError::Mismatch { .. }
        | RegistryError::Document { .. }
        | RegistryError::Content { .. }
        | RegistryError::Invalid { .. } => {
            "see that the address is that of a registry, with nothing in between that changes answers; then run the same command again".to_owned()
        }
    }
}
