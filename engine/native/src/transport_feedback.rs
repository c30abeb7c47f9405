//! Transport-wide feedback: which packets of a transport arrived, and when.
//!
//! draft-holmer-rmcat-transport-wide-cc-extensions-01. A sender numbers all packets of a transport
//! across its streams; the receiver answers with the arrival of each, in ticks of 250 us.

use crate::Malformed;

/// FMT of the feedback message (section 3.1).
pub const FORMAT: u8 = 15;
/// Of arrivals.
pub const TICKS_PER_SECOND: f64 = 4000.0;
/// The reference time is in multiples of 64 ms.
pub const TICKS_PER_REFERENCE: i64 = 256;
/// Packets that one message from a peer may speak of; sixteen bytes could name 65,535.
pub const MAX_READ: usize = 8192;

const MAX_WRITTEN: usize = 500;
const MAX_MESSAGES: usize = 8;
const MAX_GAP: i64 = 250;
const HISTORY_PACKETS: i64 = 1024;

const MISSING: u8 = 0;
const SMALL: u8 = 1;
const LARGE: u8 = 2;
const MAX_RUN: usize = 0x1FFF;

/// One message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransportFeedback {
    /// The number of the first packet that it speaks of.
    pub base_sequence: u16,
    /// In units of 64 ms, of 24 bits with a sign.
    pub reference_time: i32,
    /// Numbers the messages, modulo 256.
    pub count: u8,
    /// Of the packets from `base_sequence` on, in ticks of 250 us after the reference time; `None`
    /// for a packet that has not arrived.
    pub arrivals: Vec<Option<i32>>,
}

/// The lowest 24 bits as a number with a sign.
fn signed(reference: i64) -> i32 {
    (reference as i32) << 8 >> 8
}

/// Read the feedback control information, behind the two SSRCs (section 3.1).
pub fn parse(fci: &[u8]) -> Result<TransportFeedback, Malformed> {
    let Some(([b0, b1, n0, n1, r0, r1, r2, count], rest)) = fci.split_first_chunk() else {
        return Err(Malformed("transport feedback is truncated"));
    };
    let number = usize::from(u16::from_be_bytes([*n0, *n1]));
    if !(1..=MAX_READ).contains(&number) {
        return Err(Malformed("transport feedback speaks of too many packets, or of none"));
    }
    let (symbols, deltas) = read_symbols(rest, number)?;
    Ok(TransportFeedback {
        base_sequence: u16::from_be_bytes([*b0, *b1]),
        reference_time: signed(i64::from(u32::from_be_bytes([0, *r0, *r1, *r2]))),
        count: *count,
        arrivals: read_arrivals(deltas, &symbols)?,
    })
}

fn read_symbols(mut rest: &[u8], number: usize) -> Result<(Vec<u8>, &[u8]), Malformed> {
    let mut symbols = Vec::with_capacity(number);
    while symbols.len() < number {
        let Some((chunk, after)) = rest.split_first_chunk() else {
            return Err(Malformed("transport feedback is truncated in its status chunks"));
        };
        rest = after;
        let chunk = u16::from_be_bytes(*chunk);
        let left = number - symbols.len();
        if chunk & 0x8000 == 0 {
            // Run length, section 3.1.3.
            let run = usize::from(chunk) & MAX_RUN;
            symbols.extend(std::iter::repeat_n((chunk >> 13) as u8 & 3, run.min(left)));
        } else if chunk & 0x4000 == 0 {
            // A vector of 14 symbols of one bit, section 3.1.4.
            symbols.extend((0..14).rev().map(|shift| (chunk >> shift) as u8 & 1).take(left));
        } else {
            // Of 7 symbols of two bits.
            symbols.extend((0..7).rev().map(|at| (chunk >> (2 * at)) as u8 & 3).take(left));
        }
    }
    Ok((symbols, rest))
}

fn read_arrivals(mut rest: &[u8], symbols: &[u8]) -> Result<Vec<Option<i32>>, Malformed> {
    const TRUNCATED: Malformed = Malformed("transport feedback is truncated in its receive deltas");
    let mut arrivals = Vec::with_capacity(symbols.len());
    let mut time = 0;
    for &symbol in symbols {
        match symbol {
            MISSING => {
                arrivals.push(None);
                continue;
            }
            SMALL => {
                let (delta, after) = rest.split_first().ok_or(TRUNCATED)?;
                time += i32::from(*delta);
                rest = after;
            }
            LARGE => {
                let (delta, after) = rest.split_first_chunk().ok_or(TRUNCATED)?;
                time += i32::from(i16::from_be_bytes(*delta));
                rest = after;
            }
            _ => return Err(Malformed("transport feedback uses the reserved status symbol")),
        }
        arrivals.push(Some(time));
    }
    Ok(arrivals)
}

/// Add the feedback control information to `out`, filled with zeros to a multiple of four bytes.
///
/// False, and nothing added, if a delta does not fit 16 bits: that needs a message of its own. Or if
/// there are more packets than the format can count.
pub fn write(feedback: &TransportFeedback, out: &mut Vec<u8>) -> bool {
    let Ok(number) = u16::try_from(feedback.arrivals.len()) else {
        return false;
    };
    let mut symbols = Vec::with_capacity(feedback.arrivals.len());
    let mut deltas = Vec::with_capacity(feedback.arrivals.len());
    let mut last = 0;
    for arrival in &feedback.arrivals {
        let Some(arrival) = *arrival else {
            symbols.push(MISSING);
            continue;
        };
        let delta = i64::from(arrival) - i64::from(last);
        last = arrival;
        if let Ok(small) = u8::try_from(delta) {
            symbols.push(SMALL);
            deltas.push(small);
        } else if let Ok(large) = i16::try_from(delta) {
            symbols.push(LARGE);
            deltas.extend(large.to_be_bytes());
        } else {
            return false;
        }
    }
    let begin = out.len();
    out.extend(feedback.base_sequence.to_be_bytes());
    out.extend(number.to_be_bytes());
    out.extend(((feedback.reference_time as u32) << 8 | u32::from(feedback.count)).to_be_bytes());
    write_symbols(&symbols, out);
    out.extend(deltas);
    out.resize(begin + (out.len() - begin).next_multiple_of(4), 0);
    true
}

fn write_symbols(mut symbols: &[u8], out: &mut Vec<u8>) {
    while let Some(&first) = symbols.first() {
        let run = symbols.iter().take(MAX_RUN).take_while(|&&symbol| symbol == first).count();
        let ahead = symbols.get(..14).unwrap_or(symbols);
        let (chunk, taken) = if run >= 14 || run == symbols.len() {
            (u16::from(first) << 13 | run as u16, run)
        } else if !ahead.contains(&LARGE) {
            (0x8000 | packed(ahead, 1, 14), ahead.len())
        } else {
            let ahead = ahead.get(..7).unwrap_or(ahead);
            (0xC000 | packed(ahead, 2, 7), ahead.len())
        };
        out.extend(chunk.to_be_bytes());
        symbols = symbols.get(taken..).unwrap_or_default();
    }
}

/// Up to `places` symbols of so many bits, the first in the highest.
fn packed(symbols: &[u8], bits: usize, places: usize) -> u16 {
    symbols
        .iter()
        .enumerate()
        .map(|(at, &symbol)| u16::from(symbol) << (bits * (places - 1 - at)))
        .sum()
}

/// The number of 16 bits as the extended one nearest to `near`.
pub fn unwrapped(sequence: u16, near: i64) -> i64 {
    near + i64::from(sequence.wrapping_sub(near as u16) as i16)
}

/// What a receiver notes of a transport's packets between its messages.
///
/// Bounded: it remembers the last 1024 numbers, and a peer that jumps among them gets at most
/// eight messages of 500 packets each time.
#[derive(Clone, Debug)]
pub struct ArrivalRecorder {
    /// Extended number and arrival in ticks, each at its number modulo their count.
    arrivals: Vec<Option<(i64, i64)>>,
    highest: i64,
    next: i64,
    count: u8,
}

impl Default for ArrivalRecorder {
    fn default() -> Self {
        Self { arrivals: Vec::new(), highest: -1, next: 0, count: 0 }
    }
}

impl ArrivalRecorder {
    /// A packet with this transport-wide number came; `now` in seconds.
    pub fn record(&mut self, sequence: u16, now: f64) {
        let number = if self.highest < 0 {
            self.arrivals.resize(HISTORY_PACKETS as usize, None);
            let first = i64::from(sequence) + 0x1_0000;
            self.highest = first;
            self.next = first;
            first
        } else {
            unwrapped(sequence, self.highest)
        };
        if number <= self.highest - HISTORY_PACKETS || self.arrival(number).is_some() {
            return;
        }
        let place = number.rem_euclid(HISTORY_PACKETS) as usize;
        if let Some(place) = self.arrivals.get_mut(place) {
            *place = Some((number, (now * TICKS_PER_SECOND) as i64));
        }
        self.highest = self.highest.max(number);
        self.next = self.next.min(number);
    }

    /// In ticks.
    fn arrival(&self, number: i64) -> Option<i64> {
        let place = number.rem_euclid(HISTORY_PACKETS) as usize;
        let (found, ticks) = (*self.arrivals.get(place)?)?;
        (found == number).then_some(ticks)
    }

    /// What has not been told yet, oldest first; told with this call.
    pub fn messages(&mut self) -> Vec<TransportFeedback> {
        let mut base = self.next;
        let oldest = base.max(self.highest - HISTORY_PACKETS + 1);
        let arrived: Vec<(i64, i64)> = (oldest..=self.highest)
            .filter_map(|number| Some((number, self.arrival(number)?)))
            .collect();
        self.next = self.highest + 1;
        let mut messages = Vec::new();
        let mut rest = arrived.as_slice();
        while let Some(&(first, ticks)) = rest.first() {
            if messages.len() == MAX_MESSAGES {
                break;
            }
            if first - base > MAX_GAP {
                base = first;
            }
            let (message, taken) = self.message(base, ticks, rest);
            messages.push(message);
            let (told, after) = rest.split_at_checked(taken).unwrap_or((rest, &[]));
            base = told.last().map_or(base, |(number, _)| number + 1);
            rest = after;
        }
        messages
    }

    /// From `base` on as far as one message goes, and how many of `arrived` it holds.
    fn message(
        &mut self,
        base: i64,
        first: i64,
        arrived: &[(i64, i64)],
    ) -> (TransportFeedback, usize) {
        let reference = first.div_euclid(TICKS_PER_REFERENCE);
        let mut last = reference * TICKS_PER_REFERENCE;
        let mut arrivals = Vec::new();
        let mut taken = 0;
        for &(number, arrival) in arrived {
            let gap = number - base - arrivals.len() as i64;
            if gap > MAX_GAP
                || arrivals.len() as i64 + gap >= MAX_WRITTEN as i64
                || i16::try_from(arrival - last).is_err()
            {
                break;
            }
            arrivals.extend(std::iter::repeat_n(None, gap as usize));
            arrivals.push(Some((arrival - reference * TICKS_PER_REFERENCE) as i32));
            last = arrival;
            taken += 1;
        }
        self.count = self.count.wrapping_add(1);
        let message = TransportFeedback {
            base_sequence: base as u16,
            reference_time: signed(reference),
            count: self.count,
            arrivals,
        };
        (message, taken)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::cases;

    fn message(base_sequence: u16, deltas: &[Option<i16>]) -> TransportFeedback {
        let mut time = 0;
        let arrivals = deltas.iter().map(|delta| {
            time += i32::from(delta.unwrap_or(0));
            delta.map(|_| time)
        });
        TransportFeedback {
            base_sequence,
            reference_time: -7,
            count: 250,
            arrivals: arrivals.collect(),
        }
    }

    proptest! {
        #![proptest_config(cases())]

        #[test]
        fn any_bytes_are_read_without_a_panic(
            number in prop::sample::select(vec![0, 1, 7, 300, MAX_READ as u16, MAX_READ as u16 + 1]),
            data in prop::collection::vec(any::<u8>(), 0..120),
        ) {
            let _ = parse(&data);
            let whole = [&[0, 1][..], &number.to_be_bytes(), &[0; 4], &data].concat();
            if let Ok(message) = parse(&whole) {
                prop_assert_eq!(message.arrivals.len(), usize::from(number));
            }
        }

        #[test]
        fn what_is_written_is_read(
            base: u16,
            deltas in prop::collection::vec(
                prop_oneof![Just(None), (0..256i16).prop_map(Some), any::<i16>().prop_map(Some)],
                1..300,
            ),
        ) {
            let message = message(base, &deltas);
            let mut data = vec![9];
            prop_assert!(write(&message, &mut data));
            prop_assert_eq!(data.len() % 4, 1);
            prop_assert_eq!(parse(&data[1..]), Ok(message));
        }

        #[test]
        fn any_arrivals_are_told_in_bounded_messages(
            arrivals in prop::collection::vec((any::<u16>(), 0.0..1e6f64), 0..300),
        ) {
            let mut recorder = ArrivalRecorder::default();
            for (number, arrival) in arrivals {
                recorder.record(number, arrival);
            }
            let messages = recorder.messages();
            prop_assert!(messages.len() <= MAX_MESSAGES);
            for message in messages {
                let mut data = Vec::new();
                prop_assert!(message.arrivals.len() <= MAX_WRITTEN && write(&message, &mut data));
                prop_assert_eq!(parse(&data), Ok(message));
            }
            prop_assert!(recorder.messages().is_empty());
        }
    }

    #[test]
    fn arrivals_are_told_once_with_their_times() {
        let mut recorder = ArrivalRecorder::default();
        assert!(recorder.messages().is_empty());
        for (number, arrival) in [(65_534, 10.0), (65_535, 10.01), (1, 10.03), (1, 11.0)] {
            recorder.record(number, arrival);
        }
        let [message] = recorder.messages().try_into().unwrap();
        let reference = 40_000 / 256;
        let ticks = [Some(40_000), Some(40_040), None, Some(40_120)];
        let expected = ticks.map(|each| each.map(|ticks| ticks - reference * 256));
        assert_eq!((message.base_sequence, message.reference_time), (65_534, reference));
        assert_eq!(message.arrivals, expected);
        recorder.record(0, 10.04);
        assert_eq!(recorder.messages()[0].arrivals.len(), 2);
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let mut data = vec![1];
        let late = TransportFeedback { arrivals: vec![Some(0), Some(40_000)], ..message(0, &[]) };
        assert!(!write(&late, &mut data) && data == [1]);
        assert!(parse(&[0, 1, 0, 0, 0, 0, 1, 0, 0x20, 1, 0]).is_err(), "of no packet");
        assert!(parse(&[0, 1, 0, 1, 0, 0, 1, 0, 0x60, 1]).is_err(), "a reserved symbol");
    }

    #[test]
    fn numbers_unwrap_to_the_nearest() {
        assert_eq!(unwrapped(2, 0x1_FFFF), 0x2_0002);
        assert_eq!(unwrapped(0xFFFF, 0x2_0001), 0x1_FFFF);
    }
}
