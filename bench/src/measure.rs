//! Decides how a figure is taken: by a monotonic clock, as the median of some runs.

use anyhow::{Context as _, Result, ensure};
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

/// Parts of a second in which the kernel counts the time of processes: the same on every Linux.
const TICKS_IN_SECOND: f64 = 100.0;

/// Seconds that a process has spent on all cores so far, its children aside.
///
/// # Errors
/// When the process is gone.
pub(crate) fn cpu_s(process: &str) -> Result<f64> {
    let text = std::fs::read_to_string(format!("/proc/{process}/stat"))?;
    // The name before it may hold anything.
    let (_, fields) = text.rsplit_once(')').context("no state of the process")?;
    let times = fields.split_whitespace().skip(11).take(2).map(str::parse::<f64>);
    let times = times.collect::<Result<Vec<_>, _>>()?;
    ensure!(times.len() == 2, "no times of {process}");
    Ok(times.iter().sum::<f64>() / TICKS_IN_SECOND)
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

    #[test]
    fn this_process_takes_time() {
        let (begin, before) = (Instant::now(), cpu_s("self").unwrap());
        while begin.elapsed() < Duration::from_millis(200) {}
        let spent = cpu_s("self").unwrap() - before;
        assert!((0.05..5.0).contains(&spent), "{spent}");
    }
}
