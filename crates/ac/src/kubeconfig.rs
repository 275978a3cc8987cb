//! Which API server is meant, and as whom: the standard kubeconfig.
//!
//! Must not talk to a server.

use crate::environment::Environment;
use crate::failure::Failure;
use kube::config::{Config, KubeConfigOptions, Kubeconfig, KubeconfigError};
use std::path::{Path, PathBuf};

/// A chosen context.
pub(crate) struct Chosen {
    pub(crate) config: Config,
    /// Its name; the word `in-cluster` where a Pod's own account is used.
    pub(crate) context: String,
    /// Other contexts that look like one of a global cluster.
    pub(crate) globals: Vec<String>,
}

/// Reads the kubeconfig and chooses a context.
///
/// # Errors
/// There is no kubeconfig, it cannot be read, or it has no such context.
pub(crate) async fn choose(
    environment: &Environment,
    file: Option<&Path>,
    context: Option<&str>,
) -> Result<Chosen, Failure> {
    let paths = paths(environment, file);
    let found: Vec<&PathBuf> = paths.iter().filter(|path| path.exists()).collect();
    if found.is_empty() {
        if file.is_none() && environment.variable("KUBERNETES_SERVICE_HOST").is_some() {
            let config = Config::incluster().map_err(|source| Failure::InCluster { source })?;
            return Ok(Chosen { config, context: "in-cluster".to_owned(), globals: Vec::new() });
        }
        return Err(Failure::NoKubeconfig { paths });
    }
    let unreadable = |error| Failure::Kubeconfig { paths: paths.clone(), reason: reason(&error) };
    let mut merged = Kubeconfig::default();
    for path in &found {
        let one = Kubeconfig::read_from(path).map_err(unreadable)?;
        merged = merged.merge(one).map_err(unreadable)?;
    }
    let names: Vec<String> = merged.contexts.iter().map(|context| context.name.clone()).collect();
    let wanted = context.map(str::to_owned).or_else(|| merged.current_context.clone());
    let Some(name) = wanted.filter(|name| !name.is_empty()) else {
        return Err(Failure::NoContext { wanted: None, contexts: names });
    };
    if !names.contains(&name) {
        return Err(Failure::NoContext { wanted: Some(name), contexts: names });
    }
    let looks_global = |other: &&String| **other != name && other.contains(api::names::GLOBAL);
    let globals = names.iter().filter(looks_global).cloned().collect();
    let options = KubeConfigOptions { context: Some(name.clone()), ..Default::default() };
    let config = Config::from_custom_kubeconfig(merged, &options).await.map_err(unreadable)?;
    if !api::text::is_token(&token(&config)) {
        let reason = "its token holds a character that no token has".to_owned();
        return Err(Failure::Kubeconfig { paths, reason });
    }
    Ok(Chosen { config, context: name, globals })
}

/// The token; empty where there is none. The client ends the program where it is no header.
fn token(config: &Config) -> String {
    let account = serde_json::to_value(&config.auth_info).unwrap_or_default();
    account.get("token").and_then(|token| token.as_str()).unwrap_or_default().to_owned()
}

/// Why a kubeconfig cannot be used. What the parser says repeats lines of it, tokens and all.
fn reason(error: &KubeconfigError) -> String {
    match error {
        KubeconfigError::Parse(error) => {
            let line =
                error.location().map_or_else(String::new, |at| format!(" (line {})", at.line()));
            format!("it is not written as a kubeconfig is{line}")
        }
        other => api::failure::chain(other),
    }
}

/// `--kubeconfig`, else the list in KUBECONFIG, else `~/.kube/config`.
fn paths(environment: &Environment, file: Option<&Path>) -> Vec<PathBuf> {
    if let Some(file) = file {
        return vec![file.to_owned()];
    }
    let list: Vec<PathBuf> = environment
        .variable("KUBECONFIG")
        .map(|list| std::env::split_paths(list).filter(|p| !p.as_os_str().is_empty()).collect())
        .unwrap_or_default();
    if !list.is_empty() {
        return list;
    }
    let home = environment.variable("HOME").map(|home| Path::new(home).join(".kube/config"));
    home.into_iter().collect()
}
