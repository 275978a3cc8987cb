//! Decides which control groups a node gets and how they go away. Version 1 is what was run;
//! version 2 is written after its documentation and not proven here.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::time::{Instant, sleep};

const ROOT: &str = "/sys/fs/cgroup";
/// Whether this machine has control groups of version 2 only.
pub(crate) fn is_version_2() -> bool {
    Path::new(ROOT).join("cgroup.controllers").exists()
}

/// The folders of a node's control group, one for each hierarchy that is mounted; runtimes use
/// the unified one beside those of version 1 too.
fn folders(name: &str) -> Result<Vec<PathBuf>> {
    if is_version_2() {
        return Ok(vec![Path::new(ROOT).join(name)]);
    }
    let mut folders = Vec::new();
    for hierarchy in fs::read_dir(ROOT).context(ROOT)? {
        let hierarchy = hierarchy?.path();
        // A link is a second name of a hierarchy that is listed anyway.
        if hierarchy.is_dir() && !hierarchy.is_symlink() {
            folders.push(hierarchy.join(name));
        }
    }
    Ok(folders)
}

/// Makes the control group `name` in every hierarchy.
pub(super) fn make(name: &str) -> Result<()> {
    if is_version_2() {
        let all = fs::read_to_string(Path::new(ROOT).join("cgroup.controllers"))?;
        let on: Vec<String> = all.split_whitespace().map(|one| format!("+{one}")).collect();
        fs::write(Path::new(ROOT).join("cgroup.subtree_control"), on.join(" "))
            .context("cannot hand the controllers of cgroup v2 down")?;
    }
    for folder in folders(name)? {
        fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
        // A cpuset is unusable until it is filled, and a new one is empty in version 1.
        for file in ["cpuset.cpus", "cpuset.mems"] {
            let parent = folder.parent().unwrap_or(Path::new(ROOT)).join(file);
            if !is_version_2() && parent.exists() {
                fs::write(folder.join(file), fs::read_to_string(&parent)?)
                    .with_context(|| format!("cannot fill {file} of {name}"))?;
            }
        }
    }
    Ok(())
}

/// Removes the control group `name`; its processes are being killed or are gone.
pub(super) async fn remove(name: &str) -> Result<()> {
    let limit = Instant::now() + Duration::from_secs(20);
    loop {
        let mut left = folders(name)?;
        left.retain(|one| one.exists());
        let failed: Vec<String> = left.iter().filter_map(|one| remove_tree(one).err()).collect();
        if failed.is_empty() {
            return Ok(());
        }
        if Instant::now() > limit {
            bail!("control group {name} stays: {}", failed.join("; "));
        }
        sleep(Duration::from_millis(100)).await;
    }
}

fn remove_tree(folder: &Path) -> Result<(), String> {
    let told = |error: std::io::Error| format!("{}: {error}", folder.display());
    for entry in fs::read_dir(folder).map_err(told)? {
        let entry = entry.map_err(told)?;
        if entry.file_type().map_err(told)?.is_dir() {
            remove_tree(&entry.path())?;
        }
    }
    fs::remove_dir(folder).map_err(told)
}
