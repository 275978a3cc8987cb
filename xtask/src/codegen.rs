//! Decides which files of the project are generated and whether they are up to date. What they
//! hold comes from `api` and from the programs' own definitions, never from here.

mod check_pages;
mod commands;
mod crds;
mod markdown;
mod objects;
mod rights;
mod words;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};

/// Folders in which every file is generated; what does not belong there is removed.
const FOLDERS: [&str; 4] =
    ["deploy/crds", "deploy/platform-crds", "docs/reference", "docs/reference/checks"];

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Changes nothing; fails if a file is not as it would be generated.
    #[arg(long)]
    check: bool,
}

/// Paths below the root with what belongs there.
type Files = BTreeMap<String, String>;

/// Writes the generated files, or checks them.
pub(crate) fn run(root: &Path, arguments: &Arguments) -> Result<()> {
    if arguments.check {
        return check(root);
    }
    write(root, &generate(root)?)
}

/// Fails with one line for each file that is not as it would be generated.
pub(crate) fn check(root: &Path) -> Result<()> {
    compare(root, &generate(root)?)
}

fn write(root: &Path, wanted: &Files) -> Result<()> {
    for path in stale(root, wanted)? {
        fs::remove_file(root.join(&path)).with_context(|| format!("remove {path}"))?;
        println!("removed {path}");
    }
    for (path, text) in wanted {
        let full = root.join(path);
        if fs::read_to_string(&full).is_ok_and(|old| old == *text) {
            continue;
        }
        if let Some(folder) = full.parent() {
            fs::create_dir_all(folder).with_context(|| format!("make {}", folder.display()))?;
        }
        fs::write(&full, text).with_context(|| format!("write {path}"))?;
        println!("wrote {path}");
    }
    Ok(())
}

fn compare(root: &Path, wanted: &Files) -> Result<()> {
    let mut wrong = Vec::new();
    for (path, text) in wanted {
        match fs::read_to_string(root.join(path)) {
            Err(_) => wrong.push(format!("{path}: missing")),
            Ok(old) if old != *text => wrong.push(format!("{path}: {}", difference(&old, text))),
            Ok(_) => {}
        }
    }
    wrong.extend(stale(root, wanted)?.iter().map(|path| format!("{path}: not generated any more")));
    if wrong.is_empty() {
        println!("codegen: {} files are up to date", wanted.len());
        return Ok(());
    }
    bail!("not as generated; run `cargo xtask codegen`:\n  {}", wrong.join("\n  "))
}

fn generate(root: &Path) -> Result<Files> {
    let mut files = Files::new();
    crds::generate(&mut files)?;
    objects::generate(&mut files);
    words::generate(&mut files);
    check_pages::generate(root, &mut files)?;
    commands::generate(&mut files);
    rights::generate(root, &mut files)?;
    Ok(files)
}

/// Files in the generated folders that nothing generates.
fn stale(root: &Path, wanted: &Files) -> Result<BTreeSet<String>> {
    let mut stale = BTreeSet::new();
    for folder in FOLDERS {
        let full = root.join(folder);
        if !full.is_dir() {
            continue;
        }
        for entry in fs::read_dir(&full).with_context(|| format!("read {folder}"))? {
            let entry = entry?;
            let path = format!("{folder}/{}", entry.file_name().to_string_lossy());
            if entry.file_type()?.is_file() && !wanted.contains_key(&path) {
                stale.insert(path);
            }
        }
    }
    Ok(stale)
}

/// Where two texts differ first.
fn difference(old: &str, new: &str) -> String {
    let place = old.lines().zip(new.lines()).position(|(a, b)| a != b);
    let at = place.unwrap_or_else(|| old.lines().count().min(new.lines().count()));
    let line = |text: &str| api::text::line(text.lines().nth(at).unwrap_or("(end)"), 80);
    format!("line {}: is \"{}\", should be \"{}\"", at + 1, line(old), line(new))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_a_missing_and_a_stale_file_are_told() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let file = |name: &str, text: &str| (format!("docs/reference/{name}"), text.to_owned());
        let wanted = Files::from([file("a.md", "# A\n"), file("b.md", "# B\n")]);
        write(root, &wanted).unwrap();
        compare(root, &wanted).unwrap();
        fs::write(root.join("docs/reference/a.md"), "# Other\n").unwrap();
        fs::remove_file(root.join("docs/reference/b.md")).unwrap();
        fs::write(root.join("docs/reference/c.md"), "").unwrap();
        let told = compare(root, &wanted).unwrap_err().to_string();
        assert!(told.contains("a.md: line 1: is \"# Other\", should be \"# A\""), "{told}");
        assert!(told.contains("b.md: missing"), "{told}");
        assert!(told.contains("c.md: not generated any more"), "{told}");
        write(root, &wanted).unwrap();
        compare(root, &wanted).unwrap();
    }

    #[test]
    fn the_generated_files_are_up_to_date() {
        check(&crate::root()).unwrap();
    }
}
