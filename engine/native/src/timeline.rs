//! Timestamps that go on from one encoding of a track to another.
//!
//! Each encoding counts from an offset of its own. Sender reports tell which moments are the same
//! (RFC 3550 section 6.4.1); before they have come, the times of arrival must do. All timestamps
//! and offsets are modulo 2^32.

/// A moment as a sender report gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SenderClock {
    /// NTP time, 32.32 bits of seconds.
    pub ntp: u64,
    /// RTP timestamp.
    pub rtp: u32,
}

/// What to add to timestamps of `clock` to be on the timeline of `base`.
pub fn same_moments(base: SenderClock, clock: SenderClock, clock_rate: u32) -> u32 {
    let apart = i128::from(clock.ntp) - i128::from(base.ntp);
    let elapsed = (apart * i128::from(clock_rate)) >> 32;
    base.rtp.wrapping_add(elapsed as u32).wrapping_sub(clock.rtp)
}

/// What to add to `timestamp` so that it follows `last`, the last one sent.
///
/// `ticks` have passed since by the time of arrival. `wished` is what sender reports say; it is
/// taken as long as it is within a second of the arrival, and moved where it would not go on.
pub fn continued(
    timestamp: u32,
    last: u32,
    ticks: i64,
    clock_rate: u32,
    wished: Option<u32>,
) -> u32 {
    let by_arrival = last.wrapping_add(ticks.max(1) as u32).wrapping_sub(timestamp);
    let Some(wished) = wished else {
        return by_arrival;
    };
    let step = timestamp.wrapping_add(wished).wrapping_sub(last) as i32;
    if i64::from(step).abs_diff(ticks) > u64::from(clock_rate) {
        return by_arrival;
    }
    if step > 0 { wished } else { last.wrapping_add(1).wrapping_sub(timestamp) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_moments_have_the_same_timestamps() {
        let base = SenderClock { ntp: 5 << 32, rtp: 1000 };
        let other = SenderClock { ntp: 7 << 32, rtp: 0xFFFF_FFF0 };
        let offset = same_moments(base, other, 90_000);
        assert_eq!(other.rtp.wrapping_add(offset), 181_000);
        let before = same_moments(other, base, 90_000);
        assert_eq!(base.rtp.wrapping_add(before), 0xFFFF_FFF0_u32.wrapping_sub(180_000));
    }

    #[test]
    fn timestamps_go_on_whatever_is_wished() {
        let next = |wished| continued(10, 500, 3000, 90_000, wished).wrapping_add(10);
        assert_eq!(next(None), 3500);
        assert_eq!(next(Some(4000)), 4010);
        assert_eq!(next(Some(400)), 501, "not behind what was sent");
        assert_eq!(next(Some(500_000)), 3500, "not a second away");
        assert_eq!(continued(10, 500, 0, 90_000, None).wrapping_add(10), 501);
    }
}
