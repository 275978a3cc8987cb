//! Decides which empty folders this machine gets so that nodes can put their own over them, and
//! takes exactly those away again once no node of any sandbox uses them.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::node::FOLDERS;
use crate::process::write_atomically;

/// A node has this one in memory; its other one, /run/netns, `ip` makes for itself.
const VOLATILE_FOLDER: &str = "run/containerd";

/// The list is one for all sandboxes of a cache folder, because the folders are.
fn list(cache: &Path) -> PathBuf {
    cache.join("mount-points.json")
}

fn lock(cache: &Path) -> Result<File> {
    let file = File::create(cache.join("mount-points.lock"))?;
    file.lock()?;
    Ok(file)
}

/// Makes what is not there, written down before it is made.
pub(super) fn make(cache: &Path) -> Result<()> {
    let _held = lock(cache)?;
    let mut made = read(cache)?;
    for folder in FOLDERS.iter().chain(&[VOLATILE_FOLDER]) {
        let folder = Path::new("/").join(folder);
        let missing: Vec<PathBuf> = folder
            .ancestors()
            .take_while(|ancestor| !ancestor.exists())
            .map(Path::to_owned)
            .collect();
        // From the outside in, which is the order of making and the reverse of removing.
        for folder in missing.into_iter().rev() {
            if !made.contains(&folder) {
                made.push(folder);
            }
        }
        write_atomically(&list(cache), &serde_json::to_vec_pretty(&made)?)?;
        fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    }
    Ok(())
}

/// Removes what [`make`] made, unless somebody else put something into it, or a node of another
/// sandbox has its own folder there: removing it would take that away from the node.
pub(super) fn remove(cache: &Path) -> Result<()> {
    if !list(cache).exists() {
        return Ok(());
    }
    let _held = lock(cache)?;
    let mounted = mounted_anywhere()?;
    let mut kept = Vec::new();
    for folder in read(cache)?.into_iter().rev() {
        if mounted.iter().any(|mount| mount.starts_with(&folder)) {
            kept.insert(0, folder);
            continue;
        }
        match fs::remove_dir(&folder) {
            Ok(()) => {}
            Err(error)
                if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::DirectoryNotEmpty) => {}
            Err(error) => return Err(error).context(folder.display().to_string()),
        }
    }
    if kept.is_empty() {
        fs::remove_file(list(cache))?;
        return Ok(());
    }
    write_atomically(&list(cache), &serde_json::to_vec_pretty(&kept)?)
}

/// The mount points of every process, whatever mount namespace it is in.
fn mounted_anywhere() -> Result<Vec<PathBuf>> {
    let mut mounted = Vec::new();
    for process in fs::read_dir("/proc")? {
        // A process that has just ended has no mounts any more.
        let Ok(mounts) = fs::read_to_string(process?.path().join("mountinfo")) else { continue };
        mounted.extend(mounts.lines().filter_map(|line| line.split(' ').nth(4)).map(PathBuf::from));
    }
    Ok(mounted)
}

fn read(cache: &Path) -> Result<Vec<PathBuf>> {
    match fs::read(list(cache)) {
        Ok(bytes) => {
            serde_json::from_slice(&bytes).with_context(|| list(cache).display().to_string())
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error).with_context(|| list(cache).display().to_string()),
    }
}
