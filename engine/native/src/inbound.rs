//! What a receiver of one RTP stream knows: order, loss and jitter (RFC 3550 appendix A).
//!
//! Times are in seconds of a monotonic clock.

use std::collections::VecDeque;

/// How many packets are asked for at a time.
pub const MAX_MISSING: usize = 128;
/// How often each is asked for.
pub const MAX_NACK_TRIES: u8 = 6;

const NACK_RETRY_SECONDS: f64 = 0.1;
const MIN_RETRY_SECONDS: f64 = 0.03;
const MAX_RETRY_SECONDS: f64 = 0.3;

#[derive(Clone, Copy, Debug)]
struct Missing {
    extended: i64,
    tries: u8,
    last: f64,
}

/// One SSRC's sequence numbers and arrival times.
#[derive(Clone, Debug)]
pub struct InboundStream {
    clock_rate: u32,
    base: i64,
    highest: i64,
    packets_received: u64,
    bytes_received: u64,
    jitter: f64,
    last_arrival: f64,
    last_timestamp: u32,
    /// From the lowest number to the highest.
    missing: VecDeque<Missing>,
    retry: f64,
    expected_prior: i64,
    received_prior: u64,
    lost_counted: i64,
}

impl InboundStream {
    /// Before its first packet; `clock_rate` is that of its timestamps, in Hz.
    pub fn new(clock_rate: u32) -> Self {
        Self {
            clock_rate,
            base: -1,
            highest: -1,
            packets_received: 0,
            bytes_received: 0,
            jitter: 0.0,
            last_arrival: 0.0,
            last_timestamp: 0,
            missing: VecDeque::new(),
            retry: NACK_RETRY_SECONDS,
            expected_prior: 0,
            received_prior: 0,
            lost_counted: 0,
        }
    }

    /// Take a packet of `length` bytes; returns its extended sequence number (RFC 3550 section
    /// 6.4.1).
    pub fn add(&mut self, sequence: u16, timestamp: u32, arrival: f64, length: usize) -> i64 {
        self.packets_received += 1;
        self.bytes_received += length as u64;
        let extended;
        if self.highest < 0 {
            // One cycle ahead, so that a packet reordered before the first has no negative number.
            extended = i64::from(sequence) + 0x1_0000;
            self.base = extended;
            self.highest = extended;
        } else {
            let distance = i64::from(sequence.wrapping_sub(self.highest as u16));
            if distance >= 0x8000 {
                let late = self.highest + distance - 0x1_0000;
                self.base = self.base.min(late);
                self.repaired(late, arrival);
                return late;
            }
            extended = self.highest + distance;
            if distance > 1 {
                self.note_missing(extended);
            }
            self.highest = extended;
            if timestamp != self.last_timestamp {
                let elapsed = timestamp.wrapping_sub(self.last_timestamp) as i32;
                let transit =
                    (arrival - self.last_arrival) * f64::from(self.clock_rate) - f64::from(elapsed);
                self.jitter += (transit.abs() - self.jitter) / 16.0;
            }
        }
        self.last_arrival = arrival;
        self.last_timestamp = timestamp;
        extended
    }

    /// Take a packet that came by RTX: its extended number, `None` if it was not missing.
    ///
    /// It counts neither as received nor as less lost (RFC 4588 section 7.1): the report tells the
    /// sender of what its path lost.
    pub fn recover(&mut self, sequence: u16, arrival: f64) -> Option<i64> {
        let distance = sequence.wrapping_sub(self.highest as u16) as i16;
        let extended = self.highest + i64::from(distance);
        self.repaired(extended, arrival).then_some(extended)
    }

    fn repaired(&mut self, extended: i64, arrival: f64) -> bool {
        let found = self.missing.binary_search_by_key(&extended, |each| each.extended);
        let Some(missing) = found.ok().and_then(|at| self.missing.remove(at)) else {
            return false;
        };
        if missing.tries == 1 {
            // After more it is not known which try was answered.
            let answered =
                (1.5 * (arrival - missing.last)).clamp(MIN_RETRY_SECONDS, MAX_RETRY_SECONDS);
            self.retry += (answered - self.retry) / 8.0;
        }
        true
    }

    fn note_missing(&mut self, extended: i64) {
        if extended - self.highest > MAX_MISSING as i64 {
            // Too long to repair: subscribers ask for a keyframe instead.
            self.missing.clear();
            return;
        }
        for extended in self.highest + 1..extended {
            if self.missing.len() == MAX_MISSING {
                self.missing.pop_front();
            }
            self.missing.push_back(Missing { extended, tries: 0, last: f64::NEG_INFINITY });
        }
    }

    /// Whether some packet is still asked for.
    pub fn has_missing(&self) -> bool {
        !self.missing.is_empty()
    }

    /// Add to `due` the sequence numbers to ask for now (RFC 4585 section 6.2.1), each at most six
    /// times.
    ///
    /// One that is asked for again waits half as long again as answers have taken.
    pub fn nack(&mut self, now: f64, due: &mut Vec<u16>) {
        let retry = self.retry;
        self.missing.retain_mut(|missing| {
            if now - missing.last < retry {
                return true;
            }
            if missing.tries == MAX_NACK_TRIES {
                return false;
            }
            missing.tries += 1;
            missing.last = now;
            due.push(missing.extended as u16);
            true
        });
    }

    /// In Hz.
    pub fn clock_rate(&self) -> u32 {
        self.clock_rate
    }

    /// The highest extended sequence number, -1 before the first packet.
    pub fn highest(&self) -> i64 {
        self.highest
    }

    /// All that have been taken, but for those that came by RTX.
    pub fn packets_received(&self) -> u64 {
        self.packets_received
    }

    /// Their lengths.
    pub fn bytes_received(&self) -> u64 {
        self.bytes_received
    }

    /// Packets the sender must have sent so far.
    pub fn packets_expected(&self) -> i64 {
        if self.highest >= 0 { self.highest - self.base + 1 } else { 0 }
    }

    /// Expected less received; negative with duplicates (RFC 3550 appendix A.3).
    pub fn packets_lost(&self) -> i64 {
        self.packets_expected() - self.packets_received as i64
    }

    /// Interarrival jitter in units of the RTP timestamp.
    pub fn jitter_units(&self) -> u32 {
        self.jitter as u32
    }

    /// Interarrival jitter in seconds.
    pub fn jitter_seconds(&self) -> f64 {
        self.jitter / f64::from(self.clock_rate)
    }

    /// Loss since the last call, in 1/256 (RFC 3550 appendix A.3).
    pub fn fraction_lost(&mut self) -> u8 {
        let expected = self.packets_expected() - self.expected_prior;
        let received = self.packets_received - self.received_prior;
        self.expected_prior += expected;
        self.received_prior += received;
        let lost = expected - received as i64;
        if expected > 0 && lost > 0 { ((lost << 8) / expected).min(255) as u8 } else { 0 }
    }

    /// Losses not counted by an earlier call; a packet that comes late is not taken back.
    pub fn newly_lost(&mut self) -> u64 {
        let new = (self.packets_lost() - self.lost_counted).max(0);
        self.lost_counted += new;
        new as u64
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::cases;

    fn nack(stream: &mut InboundStream, now: f64) -> Vec<u16> {
        let mut due = Vec::new();
        stream.nack(now, &mut due);
        due
    }

    fn receive(stream: &mut InboundStream, numbers: &[i64]) -> Vec<i64> {
        numbers.iter().map(|&n| stream.add(n as u16, n as u32, n as f64, 50) - 0x1_0000).collect()
    }

    proptest! {
        #![proptest_config(cases())]

        #[test]
        fn numbers_extend_across_wraps(first in 0..0x1_0000i64, steps in 1..300, stride in 1..2000i64) {
            let mut stream = InboundStream::new(90_000);
            let numbers: Vec<i64> = (0..i64::from(steps)).map(|n| first + n * stride).collect();
            prop_assert_eq!(receive(&mut stream, &numbers), numbers);
            prop_assert_eq!(stream.packets_lost(), (stride - 1) * i64::from(steps - 1));
        }

        #[test]
        fn any_packets_leave_it_bounded(packets in prop::collection::vec(any::<(u16, u32, f64)>(), 0..300)) {
            let mut stream = InboundStream::new(48_000);
            for (sequence, timestamp, arrival) in packets {
                stream.add(sequence, timestamp, arrival, 1);
                stream.recover(sequence.wrapping_sub(1), arrival);
                prop_assert!(nack(&mut stream, arrival).len() <= MAX_MISSING);
                let _ = (stream.fraction_lost(), stream.newly_lost(), stream.jitter_units());
            }
        }
    }

    #[test]
    fn what_is_missing_is_asked_for_a_few_times() {
        let mut stream = InboundStream::new(90_000);
        receive(&mut stream, &[65_533, 65_537]);
        let asked: Vec<_> = (0..8).map(|n| nack(&mut stream, 70_000.0 + f64::from(n))).collect();
        assert_eq!(asked[..6], vec![vec![65_534, 65_535, 0]; 6]);
        assert!(asked[6].is_empty() && asked[7].is_empty() && !stream.has_missing());
    }

    #[test]
    fn what_comes_late_is_no_loss_and_what_comes_by_rtx_is() {
        let mut stream = InboundStream::new(90_000);
        receive(&mut stream, &[10, 13, 11]);
        assert_eq!(stream.recover(12, 14.0), Some(0x1_000C));
        assert_eq!(stream.recover(12, 14.0), None);
        assert_eq!((stream.packets_expected(), stream.packets_lost()), (4, 1));
        assert_eq!((stream.fraction_lost(), stream.fraction_lost()), (64, 0));
        assert_eq!((stream.newly_lost(), stream.newly_lost()), (1, 0));
    }
}
