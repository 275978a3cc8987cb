//! Decides how long work is told to the person who waits: one line when it lasts longer than two
//! seconds, one every fifteen seconds, one when it is done. Knows nothing of what the work is.

use std::fmt;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

const FIRST_LINE_AFTER: Duration = Duration::from_secs(2);
const NEXT_LINE_AFTER: Duration = Duration::from_secs(15);

/// Where progress lines go.
#[derive(Clone)]
pub struct Narrator(Arc<dyn Fn(&str) + Send + Sync>);

impl fmt::Debug for Narrator {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Narrator")
    }
}

impl Narrator {
    /// Gives every line to `sink`.
    pub fn new(sink: impl Fn(&str) + Send + Sync + 'static) -> Self {
        Self(Arc::new(sink))
    }

    /// Writes every line to standard error.
    pub fn stderr() -> Self {
        Self::new(|line| eprintln!("{line}"))
    }

    /// Drops every line.
    pub fn silent() -> Self {
        Self::new(|_| {})
    }

    /// Tells one line.
    pub fn say(&self, line: &str) {
        (self.0)(line);
    }

    /// Runs `work` and tells that it goes on for as long as it does.
    pub async fn during<T>(&self, what: &str, work: impl Future<Output = T>) -> T {
        let started = Instant::now();
        let mut work = pin!(work);
        let mut next_line = started + FIRST_LINE_AFTER;
        let mut told = false;
        loop {
            match tokio::time::timeout_at(next_line, &mut work).await {
                Ok(result) => {
                    if told {
                        self.say(&format!("{what}: ended after {}", seconds(started)));
                    }
                    return result;
                }
                Err(_) => {
                    self.say(&format!("{what}: {} so far", seconds(started)));
                    told = true;
                    next_line = Instant::now() + NEXT_LINE_AFTER;
                }
            }
        }
    }
}

fn seconds(started: Instant) -> String {
    format!("{:.0} s", started.elapsed().as_secs_f64())
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn only_long_work_is_told() {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&lines);
        let narrator = Narrator::new(move |line| kept.lock().unwrap().push(line.to_owned()));
        narrator.during("short", tokio::time::sleep(Duration::from_secs(1))).await;
        assert!(lines.lock().unwrap().is_empty());
        narrator.during("long", tokio::time::sleep(Duration::from_secs(20))).await;
        let told = lines.lock().unwrap().clone();
        assert_eq!(told, ["long: 2 s so far", "long: 17 s so far", "long: ended after 20 s"]);
    }
}
