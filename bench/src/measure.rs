//! Decides how a figure is taken: by a monotonic clock, as the median of some runs.

use anyhow::{Context as _, Result};
use std::time::{Duration, Instant};

/// How long a piece of work took, with what it gave.
///
/// # Errors
/// When the work fails.
pub(crate) async fn timed<T>(work: impl Future<Output = Result<T>>) -> Result<(f64, T)> {
    let begin = Instant::now();
    let value = work.await?;
    Ok((begin.elapsed().as_secs_f64(), value))
}

/// The middle of some figures; of an even number, the lower of the two.
///
/// # Errors
/// When there is none.
pub(crate) fn median(mut values: Vec<f64>) -> Result<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len().saturating_sub(1) / 2;
    values.get(middle).copied().context("nothing was measured")
}

/// A line of `/proc/<process>/status` that is in kB, such as `VmHWM`, in MiB.
///
/// # Errors
/// When the process is gone.
pub(crate) fn memory_mib(process: &str, line: &str) -> Result<f64> {
    let text = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let value = text.lines().find_map(|l| l.strip_prefix(line)?.strip_prefix(':'));
    let value = value.with_context(|| format!("no {line} of {process}"))?;
    let kib: f64 = value.trim().trim_end_matches("kB").trim().parse()?;
    Ok(kib / 1024.0)
}

/// Lets what was caused come to its end, so that it does not burden the next measurement.
pub(crate) async fn settle() {
    tokio::time::sleep(Duration::from_secs(4)).await;
}

/// Says what is going on.
pub(crate) fn say(text: &str) {
    eprintln!("bench: {text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle() {
        assert!(median(vec![3.0, 1.0, 2.0]).is_ok_and(|m| m == 2.0));
        assert!(median(vec![4.0, 1.0]).is_ok_and(|m| m == 1.0));
        assert!(median(Vec::new()).is_err());
    }

    #[test]
    fn this_process_has_memory() {
        assert!(memory_mib("self", "VmRSS").is_ok_and(|m| m > 0.5));
        assert!(memory_mib("self", "VmNothing").is_err());
    }
}
