//! What users run: `upgrade.sh --only-sync-image` of a whole package, its sums checked first, of
//! which the shell script only finds the program, so the program is started; and `violet push` of a
//! plugin package.

use super::LIMIT;
use crate::measure::memory_mib;
use anyhow::{Context as _, Result, ensure};
use sandbox::TestRegistry;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::Command;

/// How often the memory is looked at: the kernel keeps the peak.
const LOOK: Duration = Duration::from_millis(10);

/// What a sync came to.
pub(super) struct Synced {
    /// The line that sums it up.
    pub(super) line: String,
    /// Its peak memory, in MiB.
    pub(super) memory_mib: f64,
}

/// Sends an extracted package to a registry.
///
/// # Errors
/// When it is not sent whole.
pub(super) async fn sync(package: &Path, registry: &TestRegistry) -> Result<Synced> {
    let mut prepare = Command::new(package.join("bin/acp-prepare"));
    prepare.args(["--only-sync-image", "--registry", registry.address()]);
    run(prepare.env_clear(), registry).await
}

/// Sends a plugin package, packed or extracted, to a registry; nothing is published. A packed one
/// is extracted below `temporary`.
///
/// # Errors
/// When it is not sent whole.
pub(super) async fn push(
    violet: &Path,
    package: &Path,
    temporary: &Path,
    registry: &TestRegistry,
) -> Result<Synced> {
    let mut push = Command::new(violet);
    push.arg("push").arg(package).args(["--skip-crs", "--dest-repo", registry.address()]);
    run(push.env_clear().env("TMPDIR", temporary), registry).await
}

/// Runs one of them with the account of the registry.
async fn run(program: &mut Command, registry: &TestRegistry) -> Result<Synced> {
    let account = &registry.credentials().push;
    program
        .args(["--password-stdin", "--username", &account.name, "--registry-ca"])
        .arg(registry.authority())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true);
    let mut child = program.spawn().context("start it")?;
    let id = child.id().context("it has ended already")?.to_string();
    let mut input = child.stdin.take().context("it has no input")?;
    input.write_all(account.password.as_bytes()).await?;
    drop(input);
    let mut output = child.stdout.take().context("it has no output")?;
    let mut said = String::new();
    let mut peak = 0.0_f64;
    let read = output.read_to_string(&mut said);
    let end = async {
        loop {
            tokio::select! {
                status = child.wait() => return status,
                // A process that has ended has no memory any more.
                () = tokio::time::sleep(LOOK) => {
                    peak = peak.max(memory_mib(&id, "VmHWM").unwrap_or_default());
                }
            }
        }
    };
    let (read, status) =
        tokio::time::timeout(LIMIT, async { tokio::join!(read, end) }).await.context("too slow")?;
    read?;
    ensure!(status?.success(), "it failed:\n{said}");
    let line = said.lines().find(|line| line.starts_with("Synchronised "));
    let line = line.with_context(|| format!("it says no sum:\n{said}"))?.to_owned();
    Ok(Synced { line, memory_mib: peak })
}
