//! Runs commands as a user does, in bash, and shows what they print while they run.

use anyhow::{Context as _, Result, bail};
use sandbox::Narrator;
use sandbox::process::{Recorded, children};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::process::Command;
use tokio::sync::mpsc;

/// After so long without a line it is said that the command still runs, then after twice as long.
const QUIET: Duration = Duration::from_secs(2);

/// What a command came to.
#[derive(Debug, Clone)]
pub struct Said {
    /// Exit code.
    pub code: i32,
    /// Standard output and standard error in the order in which lines came.
    pub text: String,
    /// Standard output alone.
    pub stdout: String,
}

impl Said {
    /// The command must have ended with this code.
    ///
    /// # Errors
    /// With everything it said, if it did not.
    pub fn expect(self, code: i32) -> Result<Self> {
        if self.code != code {
            bail!("ended with {}, not {code}:\n{}", self.code, self.text);
        }
        Ok(self)
    }

    /// The command must have said this.
    ///
    /// # Errors
    /// With everything it said, if it did not.
    pub fn containing(self, part: &str) -> Result<Self> {
        if !self.text.contains(part) {
            bail!("'{part}' is not in:\n{}", self.text);
        }
        Ok(self)
    }
}

/// A user's shell: a PATH, a kubeconfig, a folder.
#[derive(Debug, Clone)]
pub struct Shell {
    path: String,
    kubeconfig: PathBuf,
    folder: PathBuf,
    narrator: Narrator,
    environment: Vec<(String, String)>,
}

impl Shell {
    /// A shell with programs from `bin` before those of the machine.
    #[must_use]
    pub fn new(bin: &[&Path], kubeconfig: &Path, folder: &Path, narrator: Narrator) -> Self {
        let mut path: Vec<String> = bin.iter().map(|b| b.display().to_string()).collect();
        path.push("/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned());
        Self {
            path: path.join(":"),
            kubeconfig: kubeconfig.to_owned(),
            folder: folder.to_owned(),
            narrator,
            environment: Vec::new(),
        }
    }

    /// The same shell in another folder.
    #[must_use]
    pub fn within(&self, folder: &Path) -> Self {
        Self { folder: folder.to_owned(), ..self.clone() }
    }

    /// The same shell with a variable set.
    #[must_use]
    pub fn with(&self, name: &str, value: &str) -> Self {
        let mut shell = self.clone();
        shell.environment.push((name.to_owned(), value.to_owned()));
        shell
    }

    /// The same shell that shows nothing.
    #[must_use]
    pub fn silent(&self) -> Self {
        Self { narrator: Narrator::silent(), ..self.clone() }
    }

    /// Runs a script to its end, whatever its code; each line is shown as it comes.
    ///
    /// # Errors
    /// When bash cannot be run, or the script does not end in time.
    pub async fn run(&self, script: &str, limit: Duration) -> Result<Said> {
        let mut child = self.start(script)?;
        let (send, mut lines) = mpsc::unbounded_channel();
        let out = child.stdout.take().context("bash has no output")?;
        let errors = child.stderr.take().context("bash has no error output")?;
        let readers =
            [tokio::spawn(read(out, true, send.clone())), tokio::spawn(read(errors, false, send))];
        let (mut text, mut stdout) = (String::new(), String::new());
        let ended = tokio::time::timeout(limit, async {
            let (begun, mut patience) = (Instant::now(), QUIET);
            loop {
                let Ok(line) = tokio::time::timeout(patience, lines.recv()).await else {
                    self.narrator.say(&format!("  ({} s so far)", begun.elapsed().as_secs()));
                    patience *= 2;
                    continue;
                };
                let Some((line, is_output)) = line else { break };
                patience = QUIET;
                self.narrator.say(&format!("  {line}"));
                text.push_str(&line);
                text.push('\n');
                if is_output {
                    stdout.push_str(&line);
                    stdout.push('\n');
                }
            }
            child.wait().await
        });
        let Ok(status) = ended.await else {
            if let Some(bash) = child.id() {
                end_with_children(i32::try_from(bash)?);
            }
            bail!("did not end within {} s: {script}\n{text}", limit.as_secs());
        };
        for reader in readers {
            reader.await?.context("an output could not be read")?;
        }
        Ok(Said { code: status?.code().unwrap_or(-1), text, stdout })
    }

    /// Starts a script; it ends with this process.
    ///
    /// # Errors
    /// When bash cannot be run.
    pub fn start(&self, script: &str) -> Result<tokio::process::Child> {
        let mut command = Command::new("bash");
        command
            .args(["-c", script])
            .env_clear()
            .env("PATH", &self.path)
            .env("HOME", "/root")
            .env("KUBECONFIG", &self.kubeconfig)
            .envs(self.environment.iter().map(|(k, v)| (k, v)))
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command.spawn().context("bash cannot be run")
    }
}

/// Kills a process after all that it started: bash alone would leave them behind.
fn end_with_children(pid: i32) {
    for child in children(pid) {
        end_with_children(child);
    }
    // One that has ended by itself is no concern.
    if let Ok(process) = Recorded::of(pid) {
        let _ended = process.kill();
    }
}

async fn read(
    stream: impl AsyncRead + Unpin,
    is_output: bool,
    send: mpsc::UnboundedSender<(String, bool)>,
) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream).split(b'\n');
    while let Some(line) = lines.next_segment().await? {
        if send.send((String::from_utf8_lossy(&line).into_owned(), is_output)).is_err() {
            break;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell() -> Shell {
        Shell::new(&[], Path::new("/none"), Path::new("/"), Narrator::silent())
    }

    #[tokio::test]
    async fn a_script_that_does_not_end_says_what_it_said_and_leaves_nothing() {
        let script = "echo \"it is $$\"; (sleep 973) ; true";
        let error = shell().run(script, Duration::from_secs(1)).await.unwrap_err().to_string();
        let bash = error.split("it is ").last().unwrap().trim();
        assert!(bash.parse::<i32>().is_ok(), "{error}");
        let sleeps = || {
            let left = std::fs::read_dir("/proc")
                .unwrap()
                .filter_map(|p| std::fs::read_to_string(p.ok()?.path().join("cmdline")).ok());
            left.filter(|line| line.starts_with("sleep\0973")).count()
        };
        // A process that was killed is there until the kernel has come to it.
        let began = Instant::now();
        while sleeps() > 0 {
            assert!(began.elapsed() < Duration::from_secs(2), "sleep still runs");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    #[tokio::test]
    async fn a_line_that_is_not_utf8_hides_nothing_after_it() {
        let script = "printf 'a\\377\\nb\\n'";
        let said = shell().run(script, Duration::from_secs(5)).await.unwrap();
        assert_eq!(said.stdout.lines().last(), Some("b"));
    }
}
