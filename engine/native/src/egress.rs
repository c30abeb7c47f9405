//! All that is sent to one subscriber: numbered, counted, sent again, and probed with padding.
//!
//! Stands between the down tracks and the transport. What its client reports is collected for the
//! control, which estimates.

use std::collections::VecDeque;

use crate::ingress::Outcome;
use crate::outgoing::Outgoing;
use crate::retransmission::{PADDING_PAYLOAD, RetransmissionBudget, RtxStream};
use crate::rtp::{HEADER, Header, MAX_BLOCK, ShortElement, write_header};
use crate::transport::Transport;
use crate::transport_feedback::{
    TICKS_PER_REFERENCE, TICKS_PER_SECOND, TransportFeedback, unwrapped,
};

/// Packets whose feedback may still come: about a second of a gigabit.
const HISTORY: usize = 8192;
const PADDING_PER_PACKET: usize = 8;
const REFERENCES: i64 = 1 << 24;
/// Reports that wait for the control; one that does not come for them loses the oldest.
const MAX_REPORTS: usize = 256;
/// A header with a transport-wide number before the longest block.
const MAX_HEADER: usize = HEADER + 8 + MAX_BLOCK;

/// What a subscriber's client reported of its path, with the second at which it came.
#[derive(Clone, Debug, PartialEq)]
pub enum Report {
    /// One message of transport-wide feedback.
    Outcomes(f64, Vec<Outcome>),
    /// A receiver report, where packets are not reported one by one.
    FractionLost(f64, f64),
    /// The client's own estimate in bit/s, where it makes one.
    Remb(f64, f64),
    /// A round trip in seconds.
    RoundTrip(f64),
}

#[derive(Clone, Copy, Debug)]
struct Sent {
    at: f64,
    size: u32,
    is_reported_lost: bool,
}

/// Packets by their transport-wide number, forgotten when they have arrived.
#[derive(Debug, Default)]
struct History {
    first: i64,
    sent: VecDeque<Option<Sent>>,
}

impl History {
    fn note(&mut self, number: i64, sent: Sent) {
        while self.sent.len() >= HISTORY || matches!(self.sent.front(), Some(None)) {
            self.sent.pop_front();
            self.first += 1;
        }
        if self.sent.is_empty() {
            self.first = number;
        }
        self.sent.push_back(Some(sent));
    }

    fn of(&mut self, number: i64) -> Option<&mut Option<Sent>> {
        self.sent.get_mut(usize::try_from(number - self.first).ok()?)
    }
}

/// An RTP packet of one stream that a subscriber is sent, in its parts.
#[derive(Clone, Copy)]
pub(crate) struct Piece<'a> {
    pub(crate) header: Header,
    pub(crate) block: &'a [u8],
    /// What goes before `payload`: a part of it that was changed.
    pub(crate) changed: &'a [u8],
    pub(crate) payload: &'a [u8],
}

impl Piece<'_> {
    fn len(&self) -> usize {
        HEADER + self.block.len() + self.changed.len() + self.payload.len()
    }

    /// The same with a transport-wide number.
    fn numbered_len(&self) -> usize {
        self.len() + if self.block.is_empty() { 8 } else { 4 }
    }
}

/// The sending side of one subscriber's transport.
#[derive(Debug)]
pub(crate) struct Egress {
    /// Identifier of the transport-wide number, `None` where it was not negotiated.
    pub(crate) transport_id: Option<u8>,
    /// By the SSRC of what they repeat, in the order of the m-lines.
    pub(crate) rtx: Vec<(u32, RtxStream)>,
    pub(crate) round_trip: f64,
    pub(crate) padding_sent: u64,
    pub(crate) padding_left: f64,
    /// Bytes sent the first time since the last tick.
    pub(crate) tick_bytes: u64,
    retransmissions: RetransmissionBudget,
    number: i64,
    history: History,
    reference: Option<i64>,
    padded: Option<(u32, u32)>,
    reports: VecDeque<Report>,
}

impl Default for Egress {
    fn default() -> Self {
        Self {
            transport_id: None,
            rtx: Vec::new(),
            round_trip: 0.0,
            padding_sent: 0,
            padding_left: 0.0,
            tick_bytes: 0,
            retransmissions: RetransmissionBudget::default(),
            number: 0x1_0000,
            history: History::default(),
            reference: None,
            padded: None,
            reports: VecDeque::new(),
        }
    }
}

impl Egress {
    /// Send a packet for the first time; false while the transport is not up.
    pub(crate) fn send(
        &mut self,
        transport: &mut Transport,
        piece: Piece<'_>,
        now: f64,
        outgoing: &mut Outgoing,
    ) -> bool {
        // With the header extension that the number takes, as it leaves.
        let size = if self.transport_id.is_some() { piece.numbered_len() } else { piece.len() };
        if !self.transmit(transport, piece, size, now, outgoing) {
            return false;
        }
        self.retransmissions.earn(size);
        self.tick_bytes += size as u64;
        if self.padding_left > 0.0 {
            self.pad(transport, piece.header, now, outgoing);
        }
        true
    }

    /// Send a packet again, by RTX where negotiated; false if that is not to be done now.
    ///
    /// Without RTX it would go under its old sequence number, so it must be the same to the byte
    /// (RFC 7714 section 8.4: two packets under one nonce give AES-GCM's key for tags away). A new
    /// transport-wide number would change it.
    pub(crate) fn send_again(
        &mut self,
        transport: &mut Transport,
        piece: Piece<'_>,
        now: f64,
        outgoing: &mut Outgoing,
    ) -> bool {
        let Header { ssrc, sequence, .. } = piece.header;
        let stream = self.rtx.iter().find(|(of, _)| *of == ssrc);
        let wraps = stream.is_some_and(|(_, stream)| stream.wraps(piece.header.payload_type()));
        if !wraps && self.transport_id.is_some() {
            return false;
        }
        if !self.retransmissions.take(ssrc, sequence, piece.len(), self.round_trip, now) {
            return false;
        }
        let stream = self.rtx.iter_mut().find(|(of, _)| *of == ssrc);
        let Some(header) = stream.and_then(|(_, stream)| stream.header(piece.header)) else {
            return self.transmit(transport, piece, piece.len(), now, outgoing);
        };
        let mut changed = [0; 32];
        let end = 2 + piece.changed.len();
        let Some(([n0, n1], place)) =
            changed.get_mut(..end).and_then(<[u8]>::split_first_chunk_mut)
        else {
            return false;
        };
        [*n0, *n1] = sequence.to_be_bytes();
        place.copy_from_slice(piece.changed);
        let changed = changed.get(..end).unwrap_or_default();
        let piece = Piece { header, changed, ..piece };
        self.transmit(transport, piece, piece.len(), now, outgoing)
    }

    /// `size` is noted.
    fn transmit(
        &mut self,
        transport: &mut Transport,
        piece: Piece<'_>,
        size: usize,
        now: f64,
        outgoing: &mut Outgoing,
    ) -> bool {
        let element = self
            .transport_id
            .map(|identifier| ShortElement { identifier, value: self.number as u16 });
        let mut header = [0; MAX_HEADER];
        let Some(length) = write_header(&mut header, piece.header, element, piece.block) else {
            return false;
        };
        let header = header.get(..length).unwrap_or_default();
        if !transport.send_rtp(header, &[piece.changed, piece.payload], outgoing) {
            return false;
        }
        if element.is_some() {
            let sent = Sent { at: now, size: size as u32, is_reported_lost: false };
            self.history.note(self.number, sent);
            self.number += 1;
        }
        true
    }

    fn pad(&mut self, transport: &mut Transport, after: Header, now: f64, outgoing: &mut Outgoing) {
        if self.rtx.iter().any(|(of, _)| *of == after.ssrc) {
            self.padded = Some((after.ssrc, after.timestamp));
        }
        let first = self.rtx.first().map(|(of, _)| (*of, 0));
        let Some((of, timestamp)) = self.padded.or(first) else {
            return;
        };
        self.padded = Some((of, timestamp));
        for _ in 0..PADDING_PER_PACKET {
            let stream = self.rtx.iter_mut().find(|(each, _)| *each == of);
            let header = stream.and_then(|(_, stream)| stream.padding_header(timestamp));
            let Some(header) = header.filter(|_| self.padding_left > 0.0) else {
                return;
            };
            let piece = Piece { header, block: &[], changed: &[], payload: &PADDING_PAYLOAD };
            if !self.transmit(transport, piece, piece.len(), now, outgoing) {
                return;
            }
            self.padding_left -= piece.len() as f64;
            self.padding_sent += 1;
        }
    }

    /// Take transport-wide feedback; what it says of packets nobody sent is left out.
    pub(crate) fn feedback(&mut self, feedback: &TransportFeedback, now: f64) {
        let told = i64::from(feedback.reference_time);
        let reference = self.reference.map_or(told, |before| {
            let step = (told - before).rem_euclid(REFERENCES);
            before + step - if step >= REFERENCES / 2 { REFERENCES } else { 0 }
        });
        self.reference = Some(reference);
        let base = unwrapped(feedback.base_sequence, self.number);
        let mut outcomes = Vec::new();
        for (number, arrival) in (base..).zip(&feedback.arrivals) {
            let Some(place) = self.history.of(number) else {
                continue;
            };
            let Some(sent) = place else {
                continue;
            };
            let (size, at) = (sent.size as usize, sent.at);
            let Some(arrival) = arrival else {
                if !std::mem::replace(&mut sent.is_reported_lost, true) {
                    outcomes.push(Outcome { sent: at, arrived: None, size });
                }
                continue;
            };
            *place = None;
            let ticks = reference * TICKS_PER_REFERENCE + i64::from(*arrival);
            let arrived = Some(ticks as f64 / TICKS_PER_SECOND);
            outcomes.push(Outcome { sent: at, arrived, size });
        }
        if !outcomes.is_empty() {
            self.report(Report::Outcomes(now, outcomes));
        }
    }

    /// Note what the control is to know.
    pub(crate) fn report(&mut self, report: Report) {
        if self.reports.len() == MAX_REPORTS {
            self.reports.pop_front();
        }
        self.reports.push_back(report);
    }

    /// What was reported, and the bytes sent, since the last call.
    pub(crate) fn tick(&mut self) -> (u64, VecDeque<Report>) {
        self.retransmissions.tick();
        (std::mem::take(&mut self.tick_bytes), std::mem::take(&mut self.reports))
    }
}
