//! Decides how the Go programs of a sandbox are built: once each, from pinned modules, kept by a
//! hash of everything that goes into them. Knows nothing of what runs them.

mod tool;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use sha2::{Digest, Sha256};
use tokio::process::Command;

pub use tool::{KubernetesVersion, Source, Tool};

use crate::narration::Narrator;
use crate::process::{command, run};

/// The first build of the largest tool takes five minutes on two cores.
const BUILD_LIMIT: Duration = Duration::from_secs(30 * 60);
/// Part of every hash: raise it when the way of building changes.
const RECIPE: &str = "1";

/// Builds tools into a cache folder.
#[derive(Clone, Debug)]
pub struct Toolchain {
    cache: PathBuf,
    narrator: Narrator,
}

impl Toolchain {
    /// A toolchain that keeps what it builds under `<cache>/tools`.
    pub fn new(cache: &Path, narrator: Narrator) -> Self {
        Self { cache: cache.join("tools"), narrator }
    }

    /// The binary of a tool, built if this very content was not built before.
    ///
    /// Safe to call from several processes at once: the second waits for the first.
    pub async fn build(&self, tool: &Tool) -> Result<PathBuf> {
        let go = go_version().await?;
        let folder = self.cache.join(format!("{}-{}", tool.name, hash(tool, &go)));
        let binary = folder.join(&tool.name);
        if binary.exists() {
            return Ok(binary);
        }
        fs::create_dir_all(&self.cache)
            .with_context(|| format!("cannot make {}", self.cache.display()))?;
        let lock = self.cache.join(format!(".{}.lock", tool.name));
        let wait = format!("{}: another build of it", tool.name);
        let held = self.narrator.during(&wait, locked(lock)).await?;
        if !binary.exists() {
            self.build_into(tool, &folder).await.with_context(|| format!("build {}", tool.name))?;
        }
        drop(held);
        Ok(binary)
    }

    async fn build_into(&self, tool: &Tool, folder: &Path) -> Result<()> {
        let work = tempfile::Builder::new().prefix(".build-").tempdir_in(&self.cache)?;
        let output = work.path().join("out");
        fs::create_dir(&output)?;
        let mut build = go_build(tool, work.path(), &output)?;
        let what = format!("building {}, once", tool.title());
        self.narrator.during(&what, run(&mut build, BUILD_LIMIT)).await?;
        let made = output.join(&tool.name);
        ensure!(made.exists(), "go did not write {}", tool.name);
        // The folder appears whole or not at all.
        fs::rename(&output, folder)
            .with_context(|| format!("cannot move the build to {}", folder.display()))?;
        Ok(())
    }
}

fn go_build(tool: &Tool, work: &Path, output: &Path) -> Result<Command> {
    let ldflags = tool.ldflags();
    let common = ["-trimpath", "-buildvcs=false", "-ldflags", ldflags.as_str()];
    let mut build = match &tool.source {
        Source::Written { files } => {
            let module = work.join("module");
            fs::create_dir(&module)?;
            for (name, text) in *files {
                fs::write(module.join(name), text)?;
            }
            let mut build = command("go", ["build"]);
            build.args(common).arg("-o").arg(output.join(&tool.name)).arg(".");
            build.current_dir(module);
            build
        }
        Source::Published { package, version } => {
            let mut build = command("go", ["install"]);
            build.args(common).arg(format!("{package}@{version}"));
            build.env("GOBIN", output).current_dir(work);
            build
        }
    };
    build.env("CGO_ENABLED", "0").env("GOFLAGS", "");
    Ok(build)
}

async fn go_version() -> Result<String> {
    let version = run(&mut command("go", ["env", "GOVERSION"]), Duration::from_secs(20)).await;
    Ok(version.context("go does not run: install Go and put it on PATH")?.trim().to_owned())
}

async fn locked(path: PathBuf) -> Result<File> {
    let locked = tokio::task::spawn_blocking(move || -> Result<File> {
        let file = File::create(&path).with_context(|| path.display().to_string())?;
        file.lock().with_context(|| path.display().to_string())?;
        Ok(file)
    });
    locked.await?
}

fn hash(tool: &Tool, go: &str) -> String {
    let mut hasher = Sha256::new();
    let mut add = |text: &str| {
        hasher.update(text.len().to_le_bytes());
        hasher.update(text);
    };
    add(RECIPE);
    add(go);
    add(&tool.name);
    add(&tool.ldflags());
    match &tool.source {
        Source::Written { files } => {
            for (name, text) in *files {
                add(name);
                add(text);
            }
        }
        Source::Published { package, version } => {
            add(package);
            add(version);
        }
    }
    hex::encode(&hasher.finalize()[..8])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_covers_source_version_flags_and_compiler() {
        let tool = Tool::published("coredns", "example.com/coredns", "v1.0.0");
        let other = Tool::published("coredns", "example.com/coredns", "v1.0.1");
        let stamped = tool.clone().stamped("main.version", "1");
        let hashes = [hash(&tool, "go1"), hash(&other, "go1"), hash(&stamped, "go1")];
        assert_eq!(hash(&tool, "go1"), hashes[0]);
        assert_ne!(hashes[0], hashes[1]);
        assert_ne!(hashes[0], hashes[2]);
        assert_ne!(hashes[0], hash(&tool, "go2"));
    }

    #[tokio::test]
    async fn a_program_is_built_once_and_the_next_build_only_looks() {
        let cache = tempfile::tempdir().unwrap();
        let toolchain = Toolchain::new(cache.path(), Narrator::silent());
        const FILES: &[(&str, &str)] = &[
            ("go.mod", "module hello\n\ngo 1.24\n"),
            ("main.go", "package main\n\nfunc main() { println(\"hello\") }\n"),
        ];
        let tool = Tool::written("hello", FILES);
        let (first, second) = tokio::join!(toolchain.build(&tool), toolchain.build(&tool));
        let binary = first.unwrap();
        assert_eq!(binary, second.unwrap());
        let made = fs::metadata(&binary).unwrap().modified().unwrap();
        assert_eq!(toolchain.build(&tool).await.unwrap(), binary);
        assert_eq!(fs::metadata(&binary).unwrap().modified().unwrap(), made);
        run(&mut command(&binary, [""; 0]), Duration::from_secs(5)).await.unwrap();
    }

    #[tokio::test]
    async fn a_failed_build_leaves_nothing_and_says_why() {
        let cache = tempfile::tempdir().unwrap();
        let toolchain = Toolchain::new(cache.path(), Narrator::silent());
        const FILES: &[(&str, &str)] =
            &[("go.mod", "module broken\n\ngo 1.24\n"), ("main.go", "package main\n\nfunc")];
        let error = toolchain.build(&Tool::written("broken", FILES)).await.unwrap_err();
        assert!(format!("{error:#}").contains("main.go:3"), "{error:#}");
        let left: Vec<_> = fs::read_dir(cache.path().join("tools")).unwrap().collect();
        assert_eq!(left.len(), 1, "only the lock stays");
    }
}
