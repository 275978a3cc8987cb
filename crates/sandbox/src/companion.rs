//! Decides how helper processes end together with this one, whatever ends it. Knows nothing of
//! what they do.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::process::open_log;

/// A process that is killed when this value is dropped or when our process ends in any way.
#[derive(Debug)]
pub struct Companion(Child);

struct Request {
    command: Command,
    answer: Sender<std::io::Result<Child>>,
}

impl Companion {
    /// Starts a program with its output in `log`.
    pub fn start(program: &Path, arguments: &[String], log: &Path) -> Result<Self> {
        let output = open_log(log)?;
        // `setpriv` asks the kernel for the signal and then becomes the program.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--"]).arg(program).args(arguments);
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        // A terminal's Ctrl-C is for us; we end our companions ourselves.
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let (answer, answered) = channel();
        starter().send(Request { command, answer }).context("the starting thread is gone")?;
        let child = answered.recv().context("the starting thread is gone")?;
        Ok(Self(child.with_context(|| format!("cannot start {}", program.display()))?))
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.0.id()
    }

    /// Whether it has ended.
    pub fn has_ended(&mut self) -> bool {
        !matches!(self.0.try_wait(), Ok(None))
    }

    /// Kills it and waits for its end.
    pub fn end(&mut self) {
        // Both fail only for a process that was already collected.
        let _gone = self.0.kill();
        let _gone = self.0.wait();
    }
}

impl Drop for Companion {
    fn drop(&mut self) {
        self.end();
    }
}

/// The kernel sends the signal when the *thread* that started a program ends, so one thread that
/// lives as long as the process starts them all.
fn starter() -> Sender<Request> {
    static STARTER: OnceLock<Sender<Request>> = OnceLock::new();
    let starter = STARTER.get_or_init(|| {
        let (sender, requests) = channel::<Request>();
        std::thread::spawn(move || {
            for mut request in requests {
                // Nobody waits any more: dropping the answer is right, and so is ending the child.
                if let Err(unsent) = request.answer.send(request.command.spawn())
                    && let Ok(child) = unsent.0
                {
                    drop(Companion(child));
                }
            }
            // The sender is static, so this is not reached.
            std::thread::sleep(Duration::MAX);
        });
        sender
    });
    starter.clone()
}
