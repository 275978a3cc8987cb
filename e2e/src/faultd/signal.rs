//! Signals to processes that a test started, by their id.

use anyhow::{Context as _, Result};
use rustix::process::{Pid, Signal, kill_process};

fn send(pid: u32, signal: Signal) -> Result<()> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).context("no id of a process")?;
    kill_process(pid, signal).with_context(|| format!("cannot signal process {pid:?}"))
}

/// Kills a process that its parent has not collected yet, so that the id is still its own.
///
/// # Errors
/// When there is no such process.
pub fn kill(pid: u32) -> Result<()> {
    send(pid, Signal::KILL)
}

/// A process that was stopped; it goes on when told, or when this value is dropped.
#[derive(Debug)]
pub struct Stopped(u32);

impl Stopped {
    /// Stops a process.
    ///
    /// # Errors
    /// When there is no such process.
    pub fn now(pid: u32) -> Result<Self> {
        send(pid, Signal::STOP)?;
        Ok(Self(pid))
    }

    /// Lets it go on.
    ///
    /// # Errors
    /// When there is no such process any more.
    pub fn go_on(&mut self) -> Result<()> {
        send(self.0, Signal::CONT)
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        // It may have been killed meanwhile.
        let _gone = send(self.0, Signal::CONT);
    }
}
