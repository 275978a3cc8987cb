//! What users run: `upgrade.sh --only-sync-image` of a whole package, its sums checked first. The
//! shell script only finds the program, so the program is started.

use super::LIMIT;
use crate::measure::memory_mib;
use anyhow::{Context as _, Result, ensure};
use sandbox::TestRegistry;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

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
    let push = &registry.credentials().push;
    let mut prepare = tokio::process::Command::new(package.join("bin/acp-prepare"));
    prepare
        .args(["--only-sync-image", "--password-stdin", "--username", &push.name])
        .args(["--registry", registry.address(), "--registry-ca"])
        .arg(registry.authority())
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true);
    let mut child = prepare.spawn().context("start acp-prepare")?;
    let id = child.id().context("it has ended already")?.to_string();
    let mut input = child.stdin.take().context("it has no input")?;
    input.write_all(push.password.as_bytes()).await?;
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
    ensure!(status?.success(), "acp-prepare failed:\n{said}");
    let line = said.lines().find(|line| line.starts_with("Synchronised "));
    let line = line.with_context(|| format!("it says no sum:\n{said}"))?.to_owned();
    Ok(Synced { line, memory_mib: peak })
}
