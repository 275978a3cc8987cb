//! What the user does about a failure: the next command, one line each.

use super::Failure;
use api::failure::{Failed, chain};
use api::names::{CA_KEY, NAMESPACE, REGISTRY_ADMIN};
use artifacts::package::{PackageError, UntrustedError};
use artifacts::registry::{GivenError, RegistryError};
use cluster::CallError;
use std::io::{Error, ErrorKind};
use std::path::Path;

/// The words of every system for a full disk, in lower case.
const FULL: &str = "no space left";

impl Failed for Failure {
    fn output(&self) -> Option<&std::io::Error> {
        if let Self::Output(error) = self { Some(error) } else { None }
    }

    fn is_usage(&self) -> bool {
        matches!(self, Self::Usage { .. } | Self::Given(GivenError::Input(_)))
    }

    fn hints(&self, _program: &str) -> Vec<String> {
        let one = |text: &str| vec![text.to_owned()];
        match self {
            Self::Usage { hint, .. } => vec![hint.clone()],
            Self::Refused { hints, .. } | Self::TimedOut { hints, .. } => hints.clone(),
            Self::Locked { holder, .. } => vec![match holder {
                Some(pid) => format!("wait until it ends; look at it with: ps -fp {pid}"),
                None => "wait until it ends, then run the same command again".to_owned(),
            }],
            Self::Lock { path, source } => vec![lock(path, source)],
            Self::NoPackage => one("run upgrade.sh in the folder of the extracted core package"),
            Self::Package(error) | Self::Untrusted(UntrustedError::Package(error)) => {
                package(error)
            }
            Self::Untrusted(UntrustedError::Image { source } | UntrustedError::Sums { source }) => {
                vec![source.remedy()]
            }
            Self::Plugin { source, .. } if chain(source).to_lowercase().contains(FULL) => one(
                "free some space, or name another folder for temporary files: TMPDIR=FOLDER bash upgrade.sh",
            ),
            Self::Plugin { file, .. } => vec![format!(
                "compare its sum with the publisher's and fetch it again, or take it away; what it holds: violet show {file}"
            )],
            Self::Plan(_) => one("take one of the two packages out of plugins/"),
            Self::Given(error) => one(given(error)),
            Self::Undecided(_) => one("name the registry: bash upgrade.sh --registry HOST:PORT"),
            Self::NoKubeconfig { .. } => one(
                "run it on a control-plane node of the global cluster, or name a kubeconfig: KUBECONFIG=FILE bash upgrade.sh",
            ),
            Self::Kubeconfig { .. } => one(
                "run it as a user who may read it, or name another one: KUBECONFIG=FILE bash upgrade.sh; what is read: kubectl config view",
            ),
            Self::Cluster { source, kubeconfig, .. } => cluster(source, kubeconfig),
            Self::Registry(error) => registry(error),
            Self::Incomplete { .. } => one(
                "clear what is said above, then run the same command again: only what is missing is sent",
            ),
            Self::Missing { .. } => one(
                "send them first: bash upgrade.sh --only-sync-image; or skip this check with --skip-check-artifacts",
            ),
            Self::Output(_) => one(api::failure::OUTPUT_HINT),
        }
    }
}

fn given(error: &GivenError) -> &'static str {
    match error {
        GivenError::Input(_) => {
            "for example: bash upgrade.sh --username NAME --password-stdin < FILE"
        }
        GivenError::File { .. } => "name another file, or make this one readable",
        GivenError::NoAccount(_) | GivenError::Accounts(_) => {
            "give the account with --username and --password-stdin"
        }
    }
}

fn lock(path: &Path, error: &Error) -> String {
    match error.kind() {
        ErrorKind::StorageFull => {
            let folder = path.parent().unwrap_or(path).display();
            format!(
                "the disk of {folder} is full: free some space there, then run the same command again"
            )
        }
        ErrorKind::ReadOnlyFilesystem | ErrorKind::NotFound => {
            "copy the package to a folder that can be written to, and run upgrade.sh there"
                .to_owned()
        }
        _ => "run it as a user who may write to the folder of the package".to_owned(),
    }
}

fn package(error: &PackageError) -> Vec<String> {
    let again =
        "compare the sum of the downloaded .tgz, then extract it again into an empty folder";
    vec![match error {
        PackageError::NotPackage { .. } => {
            "run upgrade.sh in the folder of the extracted core package".to_owned()
        }
        PackageError::Architecture { expected, .. } => {
            format!("use the core package for linux/{expected}")
        }
        PackageError::Io { source, .. }
            if source.kind() == std::io::ErrorKind::PermissionDenied =>
        {
            "run it as a user who may read the package".to_owned()
        }
        PackageError::Rule { .. } => format!("do not change the package by hand; {again}"),
        PackageError::Missing(_)
        | PackageError::Changed { .. }
        | PackageError::Layout(_)
        | PackageError::Io { .. } => again.to_owned(),
    }]
}

fn cluster(error: &CallError, kubeconfig: &str) -> Vec<String> {
    vec![match error {
        CallError::Unauthorized(_) => format!(
            "the token or certificate in {kubeconfig} has expired or is wrong: renew it, or name another one: KUBECONFIG=FILE bash upgrade.sh"
        ),
        CallError::Forbidden(_) => format!(
            "{kubeconfig} must be an administrator's; what it may do: KUBECONFIG={kubeconfig} kubectl auth can-i --list"
        ),
        CallError::Unavailable(text) if text.to_lowercase().contains(FULL) => {
            "a disk of the cluster is full: free some space, then run the same command again"
                .to_owned()
        }
        CallError::Unavailable(_) => format!(
            "see whether it answers at all: KUBECONFIG={kubeconfig} kubectl get --raw /readyz; then run the same command again"
        ),
        CallError::Conflict(_) => "run the same command again".to_owned(),
        CallError::NotFound(_)
        | CallError::KindAbsent(_)
        | CallError::FieldConflict(_)
        | CallError::Invalid(_)
        | CallError::Unexpected(_)
        | CallError::NotLeader => format!(
            "see whether {kubeconfig} is that of the global cluster: KUBECONFIG={kubeconfig} kubectl get productbases"
        ),
    }]
}

/// What to do about a registry.
pub(crate) fn registry(error: &RegistryError) -> Vec<String> {
    let ca = format!(
        "name the certificate that signs the registry's with --registry-ca FILE; that of the built-in registry: kubectl -n {NAMESPACE} get secret {REGISTRY_ADMIN} -o jsonpath='{{.data.{}}}' | base64 -d",
        CA_KEY.replace('.', "\\.")
    );
    vec![match error {
        RegistryError::Denied { status: 401, .. } => format!(
            "the user name or the password is wrong: give them with --username and --password-stdin, or correct the Secret {NAMESPACE}/{REGISTRY_ADMIN}"
        ),
        RegistryError::Denied { .. } => {
            "use an account that may push: --username and --password-stdin".to_owned()
        }
        RegistryError::Settings(_) => ca,
        error if error.is_full() => {
            "the registry has no room: free some space there, then run the same command again".to_owned()
        }
        RegistryError::Unavailable { words, .. } if words.to_lowercase().contains("certificate") => ca,
        RegistryError::Unavailable { registry, .. } => format!(
            "see whether it answers: curl -k https://{registry}/v2/; another registry is named with --registry HOST:PORT"
        ),
        RegistryError::File { .. } => {
            "the package was changed or cut: extract it again into an empty folder".to_owned()
        }
        RegistryError::NotFound { .. }
        | RegistryError::Refused { .. }
        | RegistryError::Mismatch { .. }
        | RegistryError::Document { .. }
        | RegistryError::Content { .. }
        | RegistryError::Invalid { .. } => {
            "see that the address is that of a registry, with nothing in between that changes answers; then run the same command again".to_owned()
        }
    }]
}
