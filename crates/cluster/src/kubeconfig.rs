//! How an API server is reached: by the files of a kubeconfig. No error repeats what they hold,
//! which may be a token.

use kube::config::{Config, KubeConfigOptions, Kubeconfig, KubeconfigError};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// The kubeconfig on a control-plane node.
const ADMIN_KUBECONFIG: &str = "/etc/kubernetes/admin.conf";

/// Why a kubeconfig gives no way to an API server.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// None of its files is there.
    #[error("it is not there")]
    Missing,
    /// It cannot be used.
    #[error("{0}")]
    Refused(String),
}

/// The files of a list as kubectl reads it; without one, that of a control-plane node.
#[must_use]
pub fn files(list: Option<OsString>) -> Vec<PathBuf> {
    let files: Vec<PathBuf> = list
        .iter()
        .flat_map(std::env::split_paths)
        .filter(|file| !file.as_os_str().is_empty())
        .collect();
    if files.is_empty() { vec![PathBuf::from(ADMIN_KUBECONFIG)] } else { files }
}

/// The files that are there, and what they say together.
///
/// # Errors
/// When none is there, or they cannot be used.
pub async fn config(paths: &[PathBuf]) -> Result<(Vec<&Path>, Config), Unusable> {
    let found: Vec<&Path> = paths.iter().map(PathBuf::as_path).filter(|p| p.exists()).collect();
    if found.is_empty() {
        return Err(Unusable::Missing);
    }
    let mut merged = Kubeconfig::default();
    for path in &found {
        let one = Kubeconfig::read_from(path).map_err(refused)?;
        merged = merged.merge(one).map_err(refused)?;
    }
    Ok((found, config_of(merged).await?))
}

/// What a kubeconfig says.
///
/// # Errors
/// When it cannot be used.
pub async fn config_of(kubeconfig: Kubeconfig) -> Result<Config, Unusable> {
    let options = KubeConfigOptions::default();
    let config = Config::from_custom_kubeconfig(kubeconfig, &options).await.map_err(refused)?;
    // The client ends the program where a token is no header.
    let account = serde_json::to_value(&config.auth_info).unwrap_or_default();
    let token = account.get("token").and_then(|token| token.as_str()).unwrap_or_default();
    if !api::text::is_token(token) {
        let reason = "its token holds a character that no token has";
        return Err(Unusable::Refused(reason.to_owned()));
    }
    Ok(config)
}

fn refused(error: KubeconfigError) -> Unusable {
    Unusable::Refused(match &error {
        // What the parser says repeats lines of the file, tokens and all.
        KubeconfigError::Parse(error) => {
            let at = error.location().map(|at| format!(" (line {})", at.line()));
            format!("it is not written as a kubeconfig is{}", at.unwrap_or_default())
        }
        other => api::failure::chain(other),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_kubeconfig_that_of_a_control_plane_node_is_read() {
        let files = |list: Option<&str>| super::files(list.map(OsString::from));
        let of_node = [PathBuf::from("/etc/kubernetes/admin.conf")];
        for list in [None, Some(""), Some(":")] {
            assert_eq!(files(list), of_node, "{list:?}");
        }
        assert_eq!(files(Some("a:/b")), [PathBuf::from("a"), PathBuf::from("/b")]);
    }
}
