//! What the layers of a simulcast carry, and which of them are alive.

use std::collections::VecDeque;

/// A layer that is this much behind the liveliest of its track has been switched off.
pub const SILENT_SECONDS: f64 = 1.0;

const RATE_SECONDS: f64 = 3.0;

/// Whether a layer is sent, by the times of its last packet and of its track's newest, in seconds
/// (0: never).
///
/// They are compared with each other, so that a still screen or a pause loses none.
pub fn is_lively(last_packet: f64, newest: f64) -> bool {
    last_packet > 0.0 && newest - last_packet < SILENT_SECONDS
}

/// Bits per second of a counter of bytes over the last three seconds: so long that a keyframe does
/// not stand out.
#[derive(Clone, Debug, Default)]
pub struct RateMeter {
    samples: VecDeque<(f64, u64)>,
}

impl RateMeter {
    /// Note the counter at a moment in seconds; call it some times a second.
    pub fn sample(&mut self, now: f64, total_bytes: u64) {
        self.samples.push_back((now, total_bytes));
        while self.samples.len() > 2
            && self.samples.get(1).is_some_and(|(then, _)| now - then >= RATE_SECONDS)
        {
            self.samples.pop_front();
        }
    }

    /// Bit/s; 0 before there is anything to compare.
    pub fn bitrate(&self) -> f64 {
        let (Some((began, before)), Some((ended, after))) =
            (self.samples.front(), self.samples.back())
        else {
            return 0.0;
        };
        if ended > began {
            after.saturating_sub(*before) as f64 * 8.0 / (ended - began)
        } else {
            0.0
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_of_the_last_seconds() {
        let mut meter = RateMeter::default();
        assert!(meter.bitrate() == 0.0);
        for tick in 0..100u32 {
            meter.sample(f64::from(tick) / 10.0, u64::from(tick.min(60)) * 1000);
        }
        assert!(meter.bitrate() == 0.0, "nothing came for three seconds");
        assert!(meter.samples.len() < 40);
        meter.sample(10.0, 60_000 + 3000);
        assert!((meter.bitrate() - 8000.0).abs() < 1.0);
    }

    #[test]
    fn layers_are_compared_with_each_other() {
        assert!(is_lively(5.0, 5.5) && !is_lively(5.0, 6.0) && !is_lively(0.0, 0.0));
    }
}
