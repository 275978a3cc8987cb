//! What a package holds does not depend on where its programs were built.

use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

#[test]
fn programs_name_no_folder_of_the_machine_they_were_built_on() {
    let program = std::fs::read(env!("CARGO_BIN_EXE_acp-prepare")).unwrap();
    let project = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap();
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo")));
    for folder in [project, home.unwrap().join("registry")] {
        let name = folder.as_os_str().as_bytes();
        let named = program.windows(name.len()).any(|bytes| bytes == name);
        assert!(!named, "{} is named", folder.display());
    }
}
