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
