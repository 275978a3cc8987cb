//! Decides which clusters a sandbox has: their numbers, addresses and names, written down before
//! anything is made, so that a later run can end what an earlier one began.

use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};

use super::{GLOBAL, Sandbox};
use crate::node::{Node, Spec};
use crate::process::write_atomically;

/// The last number of the first cluster's address; the VIP is one below.
pub(super) const FIRST_NUMBER: u8 = 11;

/// A cluster that a sandbox has or had.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Known {
    pub(super) name: String,
    pub(super) number: u8,
    pub(super) kubernetes: String,
}

impl Sandbox {
    fn known_path(&self) -> PathBuf {
        self.options.state.join("clusters.json")
    }

    pub(super) fn known(&self) -> Result<Vec<Known>> {
        match fs::read(self.known_path()) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .with_context(|| self.known_path().display().to_string()),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(error).context(self.known_path().display().to_string()),
        }
    }

    /// Gives every new cluster its number and writes all down before anything is made.
    pub(super) fn remember(&self) -> Result<Vec<Known>> {
        let mut known = self.known()?;
        for name in &self.options.clusters {
            check_name(name)?;
            let kubernetes = self.options.kubernetes.to_string();
            if let Some(one) = known.iter().find(|one| &one.name == name) {
                ensure!(
                    one.kubernetes == kubernetes,
                    "cluster {name} is there with Kubernetes {0}, not {kubernetes}: ask for {0}, or \
                     take the sandbox down first (cargo xtask sandbox down)",
                    one.kubernetes
                );
                continue;
            }
            let taken = |number: &u8| known.iter().any(|one| one.number == *number);
            let from = if name == GLOBAL { FIRST_NUMBER } else { FIRST_NUMBER + 1 };
            let number = (from..250).find(|number| !taken(number)).context("too many clusters")?;
            known.push(Known { name: name.clone(), number, kubernetes });
        }
        write_atomically(&self.known_path(), &serde_json::to_vec_pretty(&known)?)?;
        Ok(known)
    }

    pub(super) fn node(&self, cluster: &str) -> Result<Node> {
        let known = self.known()?;
        let names: Vec<&str> = known.iter().map(|one| one.name.as_str()).collect();
        match known.iter().find(|one| one.name == cluster) {
            Some(known) => self.node_of(known),
            None if names.is_empty() => bail!("no sandbox is up: cargo xtask sandbox up"),
            None => bail!("no cluster {cluster}: there are {}", names.join(", ")),
        }
    }

    pub(super) fn node_of(&self, known: &Known) -> Result<Node> {
        let (network, offset) = (&self.options.network, known.number.saturating_sub(FIRST_NUMBER));
        let mut names = vec![network.gateway()];
        if known.name == GLOBAL {
            names.push(self.registry().vip().to_owned());
        }
        let spec = Spec {
            name: known.name.clone(),
            machine: network.machine(&known.name, known.number),
            pods: format!("10.244.{offset}.0/24"),
            services: format!("10.{}.0.0/16", 96_u8.saturating_add(offset)),
            names,
            kubernetes: known.kubernetes.parse()?,
            tag: network.tag.clone(),
        };
        let folder = self.options.state.join("clusters").join(&known.name);
        Ok(Node::new(spec, network, &folder))
    }

    /// Every cluster that is written down, and every one whose namespace is here all the same.
    pub(super) fn remains(&self) -> Result<Vec<Node>> {
        let mut known = self.known()?;
        let tag = format!("{}-", self.options.network.tag);
        let listed = fs::read_dir("/run/netns").into_iter().flatten();
        for entry in listed {
            let entry = entry?.file_name().to_string_lossy().into_owned();
            let Some(name) = entry.strip_prefix(&tag) else { continue };
            if name != "registry" && !known.iter().any(|one| one.name == name) {
                let kubernetes = self.options.kubernetes.to_string();
                known.push(Known { name: name.to_owned(), number: 0, kubernetes });
            }
        }
        known.iter().map(|one| self.node_of(one)).collect()
    }
}

fn check_name(name: &str) -> Result<()> {
    let letters = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let fits = !name.is_empty() && name.len() <= 40 && name.chars().all(letters);
    ensure!(
        fits && !name.starts_with('-') && !name.ends_with('-') && name != "registry",
        "{name:?} is no name for a cluster: use small letters, digits and dashes"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::{Options, Sandbox};
    use super::check_name;
    use crate::narration::Narrator;
    use crate::toolchain::KubernetesVersion;

    #[test]
    fn clusters_keep_their_numbers() {
        let folder = tempfile::tempdir().unwrap();
        let mut options = Options::new(folder.path());
        options.state = folder.path().to_owned();
        options.clusters = vec!["workload-a".to_owned()];
        Sandbox::new(options.clone(), Narrator::silent()).remember().unwrap();
        options.clusters = vec!["global".to_owned(), "workload-b".to_owned()];
        let known = Sandbox::new(options, Narrator::silent()).remember().unwrap();
        let numbers: Vec<(&str, u8)> =
            known.iter().map(|one| (one.name.as_str(), one.number)).collect();
        assert_eq!(numbers, [("workload-a", 12), ("global", 11), ("workload-b", 13)]);
    }

    #[test]
    fn a_cluster_does_not_change_its_version_by_being_brought_up_again() {
        let folder = tempfile::tempdir().unwrap();
        let mut options = Options::new(folder.path());
        options.state = folder.path().to_owned();
        Sandbox::new(options.clone(), Narrator::silent()).remember().unwrap();
        options.kubernetes = KubernetesVersion::V1_34;
        let said = Sandbox::new(options, Narrator::silent()).remember().unwrap_err().to_string();
        assert!(said.contains("ask for v1.33.13"), "{said}");
    }

    #[test]
    fn a_name_that_would_not_fit_is_refused() {
        assert!(check_name("workload-a").is_ok());
        for name in ["", "A", "-a", "a/b", "registry"] {
            assert!(check_name(name).is_err(), "{name}");
        }
    }
}
