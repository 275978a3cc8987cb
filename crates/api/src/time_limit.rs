//! How long a user lets a program wait, as it is written on a command line.

use std::time::Duration;

/// The longest wait: a month. More would leave the range of the clock.
const LONGEST: Duration = Duration::from_secs(30 * 86_400);

/// A time above zero and up to 30 days: `10m`, `1h30m`, or a number of seconds.
///
/// # Errors
/// What is wrong with it, in words.
pub fn parse(text: &str) -> Result<Duration, String> {
    let seconds = text.parse::<u64>().ok().map(Duration::from_secs);
    let spelled = || text.parse::<jiff::SignedDuration>().ok()?.try_into().ok();
    let time: Option<Duration> = seconds.or_else(spelled);
    match time.ok_or("not a time such as 90s, 10m or 1h30m")? {
        Duration::ZERO => Err("must be longer than nothing".to_owned()),
        time if time > LONGEST => Err("must not be longer than 30 days".to_owned()),
        time => Ok(time),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_a_time_that_the_clock_can_hold() {
        assert_eq!(parse("90").unwrap(), Duration::from_secs(90));
        assert_eq!(parse("1h30m").unwrap(), Duration::from_secs(5400));
        for wrong in ["", "0", "soon", "-5s", "31d", "2592001", "18446744073709551615"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
