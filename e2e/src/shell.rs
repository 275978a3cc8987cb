//! Runs commands as a user does, in bash, and shows what they print while they run.

use anyhow::{Context as _, Result, bail};
use sandbox::Narrator;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::process::Command;
use tokio::sync::mpsc;

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
        let gather = async {
            let (mut text, mut stdout) = (String::new(), String::new());
            while let Some((line, is_output)) = lines.recv().await {
                self.narrator.say(&format!("  {line}"));
                text.push_str(&line);
                text.push('\n');
                if is_output {
                    stdout.push_str(&line);
                    stdout.push('\n');
                }
            }
            (text, stdout)
        };
        let ended = tokio::time::timeout(limit, async {
            let (text, stdout) = gather.await;
            (child.wait().await, text, stdout)
        });
        let Ok((status, text, stdout)) = ended.await else {
            bail!("did not end within {} s: {script}", limit.as_secs());
        };
        for reader in readers {
            reader.await.context("an output could not be read")?;
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

async fn read(
    stream: impl AsyncRead + Unpin,
    is_output: bool,
    send: mpsc::UnboundedSender<(String, bool)>,
) {
    let mut lines = BufReader::new(stream).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        if send.send((line, is_output)).is_err() {
            return;
        }
    }
}
