//! Decides how programs are run: to their end with a time limit, or left running and recorded by
//! process id, start time and boot, so that a later run ends exactly them and nothing else.
//! Knows nothing of what the programs do.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde::{Deserialize, Serialize};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use tokio::time::{Instant, sleep};

const POLL: Duration = Duration::from_millis(100);
/// How much of a failed program's output an error shows.
const TAIL_BYTES: usize = 2_000;

/// A command with its arguments.
pub fn command<A: AsRef<OsStr>>(
    program: impl AsRef<OsStr>,
    arguments: impl IntoIterator<Item = A>,
) -> Command {
    let mut command = Command::new(program);
    command.args(arguments);
    command
}

/// Runs a command to its end and gives its standard output; an error carries what it said.
pub async fn run(command: &mut Command, limit: Duration) -> Result<String> {
    run_with_input(command, b"", limit).await
}

/// Like [`run`], with bytes on standard input.
pub async fn run_with_input(
    command: &mut Command,
    input: &[u8],
    limit: Duration,
) -> Result<String> {
    let shown = shown(command);
    let output = output(command, input, limit).await.with_context(|| shown.clone())?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let also = String::from_utf8_lossy(&output.stdout);
        bail!("{shown}: {}: {}", output.status, tail(&format!("{also}{said}")));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

async fn output(command: &mut Command, input: &[u8], limit: Duration) -> Result<Output> {
    command.stdin(if input.is_empty() { Stdio::null() } else { Stdio::piped() });
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn()?;
    let stdin = child.stdin.take();
    let feed = async {
        match stdin {
            // A program that ends before it has read everything says why by its status.
            Some(mut stdin) => stdin.write_all(input).await.err(),
            None => None,
        }
    };
    let both = async { tokio::join!(feed, child.wait_with_output()) };
    let Ok((_, output)) = tokio::time::timeout(limit, both).await else {
        bail!("did not end within {} s", limit.as_secs());
    };
    Ok(output?)
}

fn shown(command: &Command) -> String {
    let command = command.as_std();
    let mut text = command.get_program().to_string_lossy().into_owned();
    for argument in command.get_args().take(12) {
        text.push(' ');
        text.push_str(&argument.to_string_lossy());
    }
    text
}

/// The end of a text, cut at a character.
pub fn tail(text: &str) -> &str {
    let text = text.trim();
    let mut start = text.len().saturating_sub(TAIL_BYTES);
    while !text.is_char_boundary(start) {
        start += 1;
    }
    &text[start..]
}

/// The end of a log file, for an error message.
pub fn tail_of(path: &Path) -> String {
    match fs::read(path) {
        Ok(bytes) => tail(&String::from_utf8_lossy(&bytes)).to_owned(),
        Err(error) => format!("({}: {error})", path.display()),
    }
}

/// A process that was left running.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recorded {
    /// Its process id.
    pub pid: i32,
    /// Its start in clock ticks since boot, so that a reused id is not taken for it.
    pub started: u64,
    /// The boot it ran in.
    pub boot: String,
}

impl Recorded {
    /// Records a process that runs now.
    pub fn of(pid: i32) -> Result<Self> {
        let started = start_time(pid).with_context(|| format!("process {pid} is gone"))?;
        Ok(Self { pid, started, boot: boot()? })
    }

    /// Reads a record; `None` where there is none.
    pub fn read(path: &Path) -> Result<Option<Self>> {
        if !path.exists() {
            return Ok(None);
        }
        let bytes = fs::read(path).with_context(|| path.display().to_string())?;
        // A run that was killed while it wrote leaves an empty record: nothing ran yet.
        Ok(serde_json::from_slice(&bytes).ok())
    }

    /// Writes the record.
    pub fn write(&self, path: &Path) -> Result<()> {
        write_atomically(path, &serde_json::to_vec(self)?)
    }

    /// Whether exactly this process still runs.
    pub fn is_alive(&self) -> bool {
        boot().is_ok_and(|boot| boot == self.boot) && start_time(self.pid) == Some(self.started)
    }

    /// Asks the process to end, and kills it if it has not after `grace`.
    pub async fn end(&self, grace: Duration) -> Result<()> {
        if !grace.is_zero() {
            self.signal(Signal::TERM)?;
            let limit = Instant::now() + grace;
            while self.is_alive() && Instant::now() < limit {
                sleep(POLL).await;
            }
        }
        self.signal(Signal::KILL)?;
        let limit = Instant::now() + Duration::from_secs(20);
        while self.is_alive() {
            ensure!(Instant::now() < limit, "process {} does not end", self.pid);
            sleep(POLL).await;
        }
        Ok(())
    }

    /// Kills the process without waiting, for use where nothing can be awaited.
    pub fn kill(&self) -> Result<()> {
        self.signal(Signal::KILL)
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        let Some(pid) = Pid::from_raw(self.pid) else { return Ok(()) };
        // The handle is opened first and checked after, so the signal cannot meet another process.
        let Ok(handle) = pidfd_open(pid, PidfdFlags::empty()) else { return Ok(()) };
        if self.is_alive() {
            match pidfd_send_signal(&handle, signal) {
                Ok(()) | Err(rustix::io::Errno::SRCH) => {}
                Err(error) => bail!("cannot end process {}: {error}", self.pid),
            }
        }
        Ok(())
    }
}

fn boot() -> Result<String> {
    Ok(fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned())
}

/// The start time of a process; `None` for one that is gone or only waits to be collected.
fn start_time(pid: i32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    if matches!(fields.first(), Some(&"Z" | &"X")) {
        return None;
    }
    fields.get(19)?.parse().ok()
}

/// The children of a process, by id.
pub fn children(pid: i32) -> Vec<i32> {
    let listed = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
    let listed = listed.unwrap_or_default();
    listed.split_whitespace().filter_map(|id| id.parse().ok()).collect()
}

/// Starts a program in a session of its own that outlives this process, and records it.
pub fn start(program: &[&str], log: &Path, record: &Path) -> Result<Recorded> {
    let output = open_log(log)?;
    let mut command = std::process::Command::new("setsid");
    command.args(program).stdin(Stdio::null());
    command.stdout(output.try_clone()?).stderr(output);
    // The handle is dropped: a process that ends before us stays until we end, which is harmless.
    let child = command.spawn().with_context(|| format!("cannot start {}", program.join(" ")))?;
    let recorded = Recorded::of(i32::try_from(child.id())?)?;
    recorded.write(record)?;
    Ok(recorded)
}

/// Opens a log for appending, with its folder.
pub fn open_log(path: &Path) -> Result<File> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let file = OpenOptions::new().create(true).append(true).open(path);
    file.with_context(|| format!("cannot write {}", path.display()))
}

/// Writes a file so that a reader sees the old bytes or the new ones, never a part.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut part = path.as_os_str().to_owned();
    part.push(".part");
    fs::write(&part, bytes).with_context(|| format!("cannot write {}", path.display()))?;
    fs::rename(&part, path).with_context(|| format!("cannot write {}", path.display()))
}

/// Waits until `ready` answers true, and says what was waited for when the limit passes.
pub async fn wait_until<F>(what: &str, limit: Duration, mut ready: impl FnMut() -> F) -> Result<()>
where
    F: Future<Output = Result<bool>>,
{
    let until = Instant::now() + limit;
    loop {
        let state = ready().await;
        if matches!(state, Ok(true)) {
            return Ok(());
        }
        if Instant::now() >= until {
            state.with_context(|| format!("waited {} s for {what}", limit.as_secs()))?;
            bail!("waited {} s for {what}", limit.as_secs());
        }
        sleep(POLL * 2).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_reused_process_id_is_not_ended() {
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        let pid = i32::try_from(child.id().unwrap()).unwrap();
        let mut stranger = Recorded::of(pid).unwrap();
        stranger.started += 1;
        stranger.end(Duration::ZERO).await.unwrap();
        assert!(Recorded::of(pid).unwrap().is_alive());
        Recorded::of(pid).unwrap().end(Duration::ZERO).await.unwrap();
        assert!(!child.wait().await.unwrap().success());
    }

    #[tokio::test]
    async fn an_error_carries_what_the_program_said() {
        let mut shell = command("sh", ["-c", "echo no such thing >&2; exit 3"]);
        let error = run(&mut shell, Duration::from_secs(5)).await.unwrap_err();
        assert!(error.to_string().contains("no such thing"), "{error}");
        let late = run(&mut command("sleep", ["9"]), Duration::from_millis(50)).await.unwrap_err();
        assert!(format!("{late:#}").contains("did not end within"), "{late:#}");
    }
}
