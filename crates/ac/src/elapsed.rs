//! How long something takes or is ago, in the words that users of kubectl know.
//!
//! Must not read a clock: both ends are arguments.

use api::Time;
use jiff::Timestamp;

/// Time from `start` to `end`: `45s`, `4m12s`, `41m`, `3h5m`, `2d4h`. A start in the future is 0s.
#[must_use]
pub(crate) fn between(start: &Time, end: Timestamp) -> String {
    let seconds = end.as_second().saturating_sub(start.0.as_second()).max(0);
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    let with = |unit: &str, more: i64, small: &str| match more {
        0 => unit.to_owned(),
        more => format!("{unit}{more}{small}"),
    };
    match seconds {
        0..120 => format!("{seconds}s"),
        120..600 => with(&format!("{minutes}m"), seconds % 60, "s"),
        600..10_800 => format!("{minutes}m"),
        10_800..28_800 => with(&format!("{hours}h"), minutes % 60, "m"),
        28_800..172_800 => format!("{hours}h"),
        172_800..691_200 => with(&format!("{days}d"), hours % 24, "h"),
        _ => format!("{days}d"),
    }
}

/// As [`between`], where the start may not be known.
#[must_use]
pub(crate) fn since(start: Option<&Time>, end: Timestamp) -> String {
    start.map_or_else(String::new, |start| between(start, end))
}

/// The moment as Kubernetes writes it.
#[must_use]
pub(crate) fn moment(time: &Time) -> String {
    second(time.0)
}

/// The moment in whole seconds.
#[must_use]
pub(crate) fn second(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_in_kubectl() {
        let moment = "2026-11-22T10:00:00Z".parse().unwrap();
        let start = k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(moment);
        let after = |seconds: i64| {
            between(&start, Timestamp::from_second(start.0.as_second() + seconds).unwrap())
        };
        let shown = [-5, 0, 119, 120, 252, 2480, 11_100, 30_000, 187_200, 7_948_800].map(after);
        let want = ["0s", "0s", "119s", "2m", "4m12s", "41m", "3h5m", "8h", "2d4h", "92d"];
        assert_eq!(shown, want);
    }
}
