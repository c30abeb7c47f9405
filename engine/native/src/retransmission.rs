//! What may be sent again, and how: the budget of a subscriber, and RTX (RFC 4588).

use std::collections::VecDeque;
use std::ops::Range;

use crate::Malformed;
use crate::rtp::{self, HEADER, Header, MARKER, PADDING};

/// Bytes of padding in a packet of padding alone: the most that its last byte can name (RFC 3550
/// section 5.1).
pub const PADDING_BYTES: usize = 255;

const BUDGET_SHARE: f64 = 0.5;
const BUDGET_FLOOR_BYTES: f64 = 4_000.0;
const BUDGET_BYTES: f64 = 131_072.0;
const REPEATS_REMEMBERED: usize = 512;
const MIN_REPEAT_SECONDS: f64 = 0.02;

/// How many bytes one subscriber may make the engine send again: half of what is sent, since a NACK
/// of four bytes asks for up to 17 packets.
#[derive(Clone, Debug)]
pub struct RetransmissionBudget {
    left: f64,
    /// SSRC, number and time, the one least lately sent first.
    last: VecDeque<(u32, u16, f64)>,
}

impl Default for RetransmissionBudget {
    fn default() -> Self {
        Self { left: BUDGET_FLOOR_BYTES, last: VecDeque::new() }
    }
}

impl RetransmissionBudget {
    /// So many bytes were sent the first time.
    pub fn earn(&mut self, size: usize) {
        self.left = (self.left + BUDGET_SHARE * size as f64).min(BUDGET_BYTES);
    }

    /// Ten times a second, so that a stream of few packets is repaired too.
    pub fn tick(&mut self) {
        self.left = (self.left + BUDGET_FLOOR_BYTES).min(BUDGET_BYTES);
    }

    /// Whether a packet may go again: within the budget, once in half a round trip.
    ///
    /// `round_trip` and `now` are in seconds.
    pub fn take(
        &mut self,
        ssrc: u32,
        sequence: u16,
        size: usize,
        round_trip: f64,
        now: f64,
    ) -> bool {
        let place = self.last.iter().rposition(|&(s, n, _)| (s, n) == (ssrc, sequence));
        let last = place.and_then(|at| self.last.get(at)).map(|&(_, _, last)| last);
        if last.is_some_and(|last| now - last < (round_trip / 2.0).max(MIN_REPEAT_SECONDS)) {
            return false;
        }
        if size as f64 > self.left {
            return false;
        }
        self.left -= size as f64;
        if let Some(at) = place {
            self.last.remove(at);
        } else if self.last.len() == REPEATS_REMEMBERED {
            self.last.pop_front();
        }
        self.last.push_back((ssrc, sequence, now));
        true
    }
}

/// The RTX stream of one stream that is sent.
#[derive(Clone, Debug)]
pub struct RtxStream {
    ssrc: u32,
    /// From that stream's payload types to this one's.
    payload_types: Vec<(u8, u8)>,
    sequence: u16,
}

impl RtxStream {
    /// Its numbers go on from `sequence`.
    pub fn new(ssrc: u32, payload_types: Vec<(u8, u8)>, sequence: u16) -> Self {
        Self { ssrc, payload_types, sequence }
    }

    /// Its own SSRC.
    pub fn ssrc(&self) -> u32 {
        self.ssrc
    }

    /// The number of its last packet.
    pub fn sequence(&self) -> u16 {
        self.sequence
    }

    /// Whether packets of this payload type have a retransmission.
    pub fn wraps(&self, payload_type: u8) -> bool {
        self.payload_types.iter().any(|(from, _)| *from == payload_type)
    }

    /// The header of the retransmission of a packet; its payload is the packet's number, of two
    /// bytes, and then the packet's payload. `None` if its payload type has no RTX.
    pub fn header(&mut self, of: Header) -> Option<Header> {
        let wanted = of.payload_type();
        let payload_type = self.payload_types.iter().find(|(from, _)| *from == wanted)?.1;
        Some(self.next(of.first, of.marker_and_type & MARKER | payload_type, of.timestamp))
    }

    /// Write the retransmission of a packet into `out`; returns how long it is.
    ///
    /// `None` if its payload type has no RTX, if the packet is truncated, or `out` has no room.
    pub fn wrap(&mut self, data: &[u8], out: &mut [u8]) -> Option<usize> {
        let of = Header::read(data).ok()?;
        let (head, payload) = data.split_at_checked(rtp::payload_offset(data).ok()?)?;
        let out = out.get_mut(..data.len() + 2)?;
        let header = self.header(of)?;
        let (place, rest) = out.split_at_mut_checked(head.len())?;
        place.copy_from_slice(head);
        *place.first_chunk_mut()? = header.to_bytes();
        let (number, rest) = rest.split_first_chunk_mut()?;
        *number = of.sequence.to_be_bytes();
        rest.copy_from_slice(payload);
        Some(data.len() + 2)
    }

    /// The header of a packet of padding alone, which receivers count and throw away.
    ///
    /// [`PADDING_BYTES`] zeros follow it, of which the last is that number. `None` without a
    /// payload type.
    pub fn padding_header(&mut self, timestamp: u32) -> Option<Header> {
        let payload_type = self.payload_types.first()?.1;
        Some(self.next(0x80 | PADDING, payload_type, timestamp))
    }

    fn next(&mut self, first: u8, marker_and_type: u8, timestamp: u32) -> Header {
        self.sequence = self.sequence.wrapping_add(1);
        Header { first, marker_and_type, sequence: self.sequence, timestamp, ssrc: self.ssrc }
    }
}

/// The payload of a packet of padding alone.
pub const PADDING_PAYLOAD: [u8; PADDING_BYTES] = {
    let mut bytes = [0; PADDING_BYTES];
    let [.., last] = &mut bytes;
    *last = PADDING_BYTES as u8;
    bytes
};

/// Turn an RTX packet in place into the one that it carries, of this payload type and SSRC; returns
/// where in `data` that is, `None` for padding alone.
pub fn unwrap(
    data: &mut [u8],
    payload_type: u8,
    ssrc: u32,
) -> Result<Option<Range<usize>>, Malformed> {
    let header = Header::read(data)?;
    let at = rtp::payload_offset(data)?;
    let end = data.len().checked_sub(rtp::padding(data)).filter(|&end| end >= at);
    let end = end.ok_or(Malformed("RTP padding is longer than the payload"))?;
    let Some(&[high, low]) = data.get(at..end).and_then(<[u8]>::first_chunk) else {
        return Ok(None);
    };
    data.copy_within(HEADER..at, HEADER + 2);
    let original = Header {
        first: header.first & !PADDING,
        marker_and_type: header.marker_and_type & MARKER | payload_type,
        sequence: u16::from_be_bytes([high, low]),
        ssrc,
        ..header
    };
    if let Some(place) = data.get_mut(2..).and_then(<[u8]>::first_chunk_mut) {
        *place = original.to_bytes();
    }
    Ok(Some(2..end))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::{cases, damaged, recorded};

    proptest! {
        #![proptest_config(cases())]

        #[test]
        fn any_damaged_packet_is_unwrapped_without_a_panic(data in damaged("rtp")) {
            let mut changed = data.clone();
            if let Ok(Some(place)) = unwrap(&mut changed, 96, 7) {
                prop_assert!(place.end <= data.len());
                let header = Header::read(&changed[place]).unwrap();
                prop_assert_eq!((header.payload_type(), header.ssrc), (96, 7));
            }
        }
    }

    #[test]
    fn what_is_wrapped_is_unwrapped() {
        let mut stream = RtxStream::new(9, (0..128).map(|n| (n, 97)).collect(), 0xFFFF);
        for packet in recorded("rtp") {
            let original = Header::read(&packet).unwrap();
            if rtp::padding(&packet) > 0 {
                continue;
            }
            let mut out = vec![0; packet.len() + 2];
            assert_eq!(stream.wrap(&packet, &mut out), Some(out.len()));
            let header = Header::read(&out).unwrap();
            assert_eq!((header.payload_type(), header.ssrc), (97, 9));
            let place = unwrap(&mut out, original.payload_type(), original.ssrc).unwrap().unwrap();
            assert_eq!(out[place], packet);
        }
        let Header { sequence, .. } = stream.padding_header(5).unwrap();
        assert_eq!(usize::from(sequence), recorded("rtp").len() - 1, "from 65535 on, one padded");
    }

    #[test]
    fn padding_says_its_own_length_and_carries_nothing() {
        let mut stream = RtxStream::new(9, vec![(96, 97)], 0);
        let header = stream.padding_header(5).unwrap().to_bytes();
        let mut packet = [&header[..], &PADDING_PAYLOAD].concat();
        assert!(rtp::is_padding_alone(&packet, HEADER));
        assert_eq!(unwrap(&mut packet, 96, 1), Ok(None));
        assert!(RtxStream::new(9, Vec::new(), 0).padding_header(5).is_none());
    }

    #[test]
    fn the_budget_is_half_of_what_is_sent() {
        let mut budget = RetransmissionBudget::default();
        assert!(budget.take(1, 0, 4000, 0.0, 0.0) && !budget.take(1, 1, 1, 0.0, 0.0));
        budget.earn(2400);
        assert!(budget.take(1, 1, 1200, 0.0, 0.0) && !budget.take(1, 2, 1, 0.0, 0.0));
        budget.tick();
        assert!(!budget.take(1, 1, 100, 0.2, 0.09), "its answer may be on its way");
        assert!(budget.take(1, 1, 100, 0.2, 0.1));
    }
}
