//! The whole process: arguments in; stdout, stderr and exit status out.

#![expect(clippy::unwrap_used, reason = "a test ends where something fails")]

mod accounts;
mod canaries;
mod failing;
mod packages;
mod platform;
mod pushing;
mod reading;
mod registry;
mod server;
mod usage;

use platform::Platform;
use std::path::Path;
use std::process::{Command, Output};

/// The token in every kubeconfig, and the password in the platform's Secret.
const CANARY: &str = "c4n4ry-s3cret";

/// A user at a shell, with a folder of their own.
struct Shell {
    folder: tempfile::TempDir,
}

#[derive(Debug)]
struct Ran {
    code: i32,
    stdout: String,
    stderr: String,
}

impl Shell {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    /// With a kubeconfig of this platform.
    fn at(platform: &Platform) -> Self {
        let shell = Self::new();
        let text = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: c\n\
             clusters: [{{name: c, cluster: {{server: 'http://{}'}}}}]\n\
             users: [{{name: u, user: {{token: {CANARY}}}}}]\n\
             contexts: [{{name: c, context: {{cluster: c, user: u}}}}]\n",
            platform.server.address
        );
        std::fs::write(shell.path("config"), text).unwrap();
        shell
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    /// The command as the user would run it, with nothing of this machine's environment.
    fn command(&self, line: &str) -> Command {
        let mut command = Command::new(Path::new(env!("CARGO_BIN_EXE_violet")));
        command.args(line.split_whitespace()).env_clear().current_dir(self.folder.path());
        command.env("KUBECONFIG", self.path("config")).env("TMPDIR", self.folder.path());
        command
    }

    fn run(&self, line: &str) -> Ran {
        self.ran(&mut self.command(line))
    }

    fn ran(&self, command: &mut Command) -> Ran {
        let Output { status, stdout, stderr } =
            command.stdin(std::process::Stdio::null()).output().unwrap();
        let text = |bytes| {
            let text = String::from_utf8(bytes).unwrap();
            text.replace(&self.folder.path().display().to_string(), "~")
        };
        Ran { code: status.code().unwrap(), stdout: text(stdout), stderr: text(stderr) }
    }
}

impl Ran {
    /// Everything that the user sees, with addresses and times made the same every time.
    fn text(&self, addresses: &[(&str, &str)]) -> String {
        let Self { code, stdout, stderr } = self;
        let mut text = format!("exit {code}\n--- stdout\n{stdout}--- stderr\n{stderr}");
        for (address, name) in addresses {
            text = text.replace(address, name);
        }
        // How bytes are packed, and so their digest, is no matter of these tests.
        let lines = text.lines().map(|line| {
            let line = match line.split_once("sha256:") {
                Some((before, digest)) if digest.len() == 64 => &format!("{before}DIGEST"),
                _ => line,
            };
            let timed = ["failed in ", "catalogue after "];
            match timed.iter().find_map(|mark| line.split_once(mark).map(|(a, b)| (mark, a, b))) {
                Some((mark, before, after)) => {
                    let rest = after.trim_start_matches(|c: char| {
                        c.is_ascii_digit() || ". ".contains(c) || c == 's'
                    });
                    format!("{before}{mark}TIME {rest}")
                }
                None => line.to_owned(),
            }
        });
        let mut lines: Vec<String> = lines.collect();
        // Artifacts are sent side by side: which of them is whole first is chance.
        let is_progress = |line: &String| line.starts_with('[');
        for line in lines.iter_mut().filter(|line| is_progress(line)) {
            *line = format!("[n/{}", line.split_once('/').unwrap().1);
        }
        lines
            .chunk_by_mut(|one, other| is_progress(one) && is_progress(other))
            .for_each(<[_]>::sort);
        lines.join("\n")
    }
}
