//! Decides which empty folders this machine gets so that nodes can put their own over them, and
//! takes exactly those away again.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::node::{FOLDERS, VOLATILE_FOLDERS};
use crate::process::write_atomically;

fn list(state: &Path) -> PathBuf {
    state.join("mount-points.json")
}

/// Makes what is not there, written down before it is made.
pub(super) fn make(state: &Path) -> Result<()> {
    let mut made = read(state)?;
    for folder in FOLDERS.iter().chain(&VOLATILE_FOLDERS) {
        let folder = Path::new("/").join(folder);
        let missing: Vec<PathBuf> = folder
            .ancestors()
            .take_while(|ancestor| !ancestor.exists())
            .map(Path::to_owned)
            .collect();
        // From the outside in, which is the order of making and the reverse of removing.
        made.extend(missing.into_iter().rev());
        write_atomically(&list(state), &serde_json::to_vec_pretty(&made)?)?;
        fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    }
    Ok(())
}

/// Removes what [`make`] made, unless somebody else put something into it.
pub(super) fn remove(state: &Path) -> Result<()> {
    for folder in read(state)?.iter().rev() {
        match fs::remove_dir(folder) {
            Ok(()) => {}
            Err(error)
                if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::DirectoryNotEmpty) => {}
            Err(error) => return Err(error).context(folder.display().to_string()),
        }
    }
    Ok(())
}

fn read(state: &Path) -> Result<Vec<PathBuf>> {
    match fs::read(list(state)) {
        Ok(bytes) => {
            serde_json::from_slice(&bytes).with_context(|| list(state).display().to_string())
        }
        Err(_) => Ok(Vec::new()),
    }
}
