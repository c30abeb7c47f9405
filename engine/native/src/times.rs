//! When a datagram came, and when it is dealt with.

use std::time::{Duration, SystemTime};

/// A socket's buffer holds less; a longer wait is a clock that was set meanwhile.
const MAX_WAIT: Duration = Duration::from_secs(1);

/// In seconds of the clock that all times are of.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// It is dealt with.
    pub now: f64,
    /// It came to this host. What the path is judged by: a thread that is late is no slow path.
    pub arrived: f64,
}

impl Times {
    /// Of what is dealt with as it comes.
    pub fn at(now: f64) -> Self {
        Self { now, arrived: now }
    }

    /// Of what the kernel took in at `arrived`, by the system's clock, which says `clock` now.
    pub fn since(arrived: Option<SystemTime>, clock: SystemTime, now: f64) -> Self {
        let waited = arrived.and_then(|arrived| clock.duration_since(arrived).ok());
        let waited = waited.filter(|waited| *waited < MAX_WAIT).unwrap_or_default();
        Self { now, arrived: now - waited.as_secs_f64() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_datagram_came_before_it_is_dealt_with() {
        let came = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        let since = |waited| Times::since(Some(came), came + waited, 10.0).arrived;
        assert_eq!(since(Duration::ZERO), 10.0);
        assert_eq!(since(Duration::from_millis(250)), 9.75);
    }

    #[test]
    fn a_clock_that_was_set_says_nothing() {
        let came = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        let hour = Duration::from_secs(3600);
        assert_eq!(Times::since(Some(came), came + hour, 10.0).arrived, 10.0);
        assert_eq!(Times::since(Some(came), came - hour, 10.0).arrived, 10.0);
        assert_eq!(Times::since(None, came, 10.0).arrived, 10.0);
    }
}
