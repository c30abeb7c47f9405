//! One published track as one subscriber gets it: its own SSRC, payload type and numbering.
//!
//! The stream that a subscriber sees has continuous sequence numbers, timestamps and picture ids
//! whatever happens upstream: a pause, another layer, another SSRC, another publisher on the same
//! m-line. It starts, goes on after a pause and changes layers with keyframes only.

use crate::codecs::{Marks, Shift, following, red, shift};
use crate::egress::{Egress, Piece};
use crate::numbering::Numbering;
use crate::outgoing::Outgoing;
use crate::packet::Packet;
use crate::payload_types::PayloadTypes;
use crate::published::LayerRef;
use crate::rtcp::{self, ReceiverInfo, SenderInfo};
use crate::rtp::{HEADER, Header, Identifiers, MARKER, MAX_BLOCK, renumber_extensions};
use crate::timeline::{SenderClock, continued, same_moments};
use crate::totals::Totals;
use crate::transport::Transport;

const RETRANSMISSIONS_PER_TICK: u32 = 64;
/// More than the descriptor of any payload whose numbers are changed.
const MAX_EXTENT: usize = 24;

/// A down track among all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DownRef {
    pub(crate) subscriber: u64,
    pub(crate) down: usize,
}

/// A track among all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TrackRef {
    pub(crate) publisher: u64,
    pub(crate) track: u32,
}

/// What the control chooses for a new down track.
#[derive(Clone, Debug)]
pub struct NewDown {
    /// Its SSRC.
    pub ssrc: u32,
    /// The number before its first, with one cycle.
    pub before_first: i64,
    /// Its timestamps begin here.
    pub timestamp: u32,
}

/// What the control is told of a down track.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DownState {
    /// The layer that is sent now.
    pub layer: Option<usize>,
    /// The layer that is sent from its next keyframe on.
    pub target: Option<usize>,
    /// A payload type that came and that the subscriber cannot take.
    pub untaken: Option<u8>,
}

/// Figures of one down track.
#[derive(Clone, Debug, Default)]
pub struct DownFigures {
    /// Sent the first time.
    pub packets_sent: u64,
    /// Their bytes behind the transport-wide number, or where that would be.
    pub bytes_sent: u64,
    /// Sent again.
    pub retransmitted: u64,
    /// NACKs received.
    pub nack_count: u64,
    /// PLI and FIR received.
    pub pli_count: u64,
    /// The client's last report.
    pub remote: Option<ReceiverInfo>,
    /// In seconds.
    pub round_trip_time: Option<f64>,
}

/// The last packet that had the highest number.
#[derive(Clone, Copy, Debug)]
struct Last {
    timestamp: u32,
    marks: Option<Marks>,
    at: f64,
}

/// Where packets of a down track go, and what counts them.
pub(crate) struct Way<'a> {
    pub(crate) egress: &'a mut Egress,
    pub(crate) transport: &'a mut Transport,
    pub(crate) totals: &'a mut Totals,
    pub(crate) outgoing: &'a mut Outgoing,
}

/// The sending side of one m-line of a subscriber.
#[derive(Debug)]
pub(crate) struct Down {
    pub(crate) ssrc: u32,
    pub(crate) track: Option<TrackRef>,
    /// Numbers of layers of `track`.
    pub(crate) layer: Option<u32>,
    pub(crate) target: Option<u32>,
    pub(crate) chosen: Option<usize>,
    pub(crate) clocked_by: Option<LayerRef>,
    pub(crate) figures: DownFigures,
    pub(crate) untaken: Option<u8>,
    /// What the control was told last.
    pub(crate) told: DownState,
    payload_types: PayloadTypes,
    /// Payload types of RED whose newest block alone is taken, as the type it leads to.
    unwrapped: PayloadTypes,
    /// The numbers of header extensions, where they are not the engine's own.
    renumbered: Option<Identifiers>,
    cname: String,
    clock_rate: u32,
    budget: u32,
    numbering: Numbering,
    last: Option<Last>,
    timestamp_offset: u32,
    base: Option<SenderClock>,
    shift: Shift,
    sent_report: Option<(u32, f64)>,
    lost_counted: i64,
}

impl Down {
    pub(crate) fn new(made: &NewDown) -> Self {
        Self {
            ssrc: made.ssrc,
            track: None,
            layer: None,
            target: None,
            chosen: None,
            clocked_by: None,
            figures: DownFigures::default(),
            untaken: None,
            told: DownState::default(),
            payload_types: PayloadTypes::default(),
            unwrapped: PayloadTypes::default(),
            renumbered: None,
            cname: String::new(),
            clock_rate: 90_000,
            budget: RETRANSMISSIONS_PER_TICK,
            numbering: Numbering::new(made.before_first),
            last: None,
            timestamp_offset: made.timestamp,
            base: None,
            shift: Shift::default(),
            sent_report: None,
            lost_counted: 0,
        }
    }

    /// What the subscriber takes has been negotiated anew.
    pub(crate) fn accept(&mut self, payload_types: PayloadTypes, unwrapped: PayloadTypes) {
        self.payload_types = payload_types;
        self.unwrapped = unwrapped;
        self.untaken = None;
    }

    /// Give header extensions these numbers, and send no others.
    pub(crate) fn renumber(&mut self, identifiers: Identifiers) {
        self.renumbered = Some(identifiers);
    }

    /// Belongs to this track from now on, of which it sends nothing yet.
    pub(crate) fn attached(&mut self, track: TrackRef, clock_rate: u32, cname: &str, most: usize) {
        self.track = Some(track);
        self.clock_rate = clock_rate;
        cname.clone_into(&mut self.cname);
        self.base = None;
        self.chosen = Some(most);
    }

    /// `packet`, which is to be forwarded next, starts a keyframe of the target. `clock` is that of
    /// the new layer, `before` that of the one before if it is of the same track.
    pub(crate) fn begin(
        &mut self,
        layer: LayerRef,
        packet: &Packet<'_>,
        clock: Option<SenderClock>,
        before: Option<SenderClock>,
        now: f64,
    ) {
        self.layer = Some(layer.layer);
        self.target = Some(layer.layer);
        self.numbering.begin(packet.extended);
        if let Some(last) = self.last {
            let wished = if self.clocked_by == Some(layer) {
                Some(self.timestamp_offset)
            } else {
                self.by_reports(clock, before)
            };
            let elapsed = (now - last.at) * f64::from(self.clock_rate);
            self.timestamp_offset = continued(
                packet.timestamp,
                last.timestamp.wrapping_add(self.timestamp_offset),
                elapsed.round_ties_even() as i64,
                self.clock_rate,
                wished,
            );
            if let (Some(marks), Some(last)) = (&packet.marks, &last.marks) {
                self.shift = following(marks, last, self.shift);
            }
        } else {
            self.timestamp_offset = self.timestamp_offset.wrapping_sub(packet.timestamp);
        }
        self.clocked_by = Some(layer);
    }

    fn by_reports(
        &mut self,
        clock: Option<SenderClock>,
        before: Option<SenderClock>,
    ) -> Option<u32> {
        if self.base.is_none() {
            // Kept for all later switches, so that their rounding does not add up.
            self.base = before.map(|SenderClock { ntp, rtp }| SenderClock {
                ntp,
                rtp: rtp.wrapping_add(self.timestamp_offset),
            });
        }
        Some(same_moments(self.base?, clock?, self.clock_rate))
    }

    /// Send one packet on.
    pub(crate) fn forward(&mut self, packet: &Packet<'_>, way: &mut Way<'_>, now: f64) {
        let came_as = packet.marker_and_type & !MARKER;
        let mut payload = packet.payload;
        let payload_type = if let Some(payload_type) = self.payload_types.get(came_as) {
            payload_type
        } else {
            let Some(payload_type) = self.unwrapped.get(came_as) else {
                self.untaken = Some(came_as);
                return;
            };
            let Ok(primary) = red::primary(payload) else {
                return; // it was read before
            };
            payload = primary;
            payload_type
        };
        let Some((number, newest)) = self.numbering.number(packet.extended) else {
            return; // of a time before the pause or the switch
        };
        if newest {
            self.last = Some(Last { timestamp: packet.timestamp, marks: packet.marks, at: now });
        }
        let header = self.header(packet, payload_type, number as u16);
        // Behind the transport-wide number: its fourth byte, other extensions and the payload.
        let bytes = (1 + packet.block.len().saturating_sub(4) + payload.len()) as u64;
        let sent = self.with_piece(packet, header, payload, |piece| {
            way.egress.send(way.transport, piece, now, way.outgoing)
        });
        if sent {
            self.figures.packets_sent += 1;
            self.figures.bytes_sent += bytes;
            way.totals.forwarded_packets += 1;
            way.totals.forwarded_bytes += bytes;
        }
    }

    fn header(&self, packet: &Packet<'_>, payload_type: u8, sequence: u16) -> Header {
        Header {
            first: packet.first,
            marker_and_type: packet.marker_and_type & MARKER | payload_type,
            sequence,
            timestamp: packet.timestamp.wrapping_add(self.timestamp_offset),
            ssrc: self.ssrc,
        }
    }

    /// The packet with this subscriber's numbers in its descriptor and its extensions.
    fn with_piece<T>(
        &self,
        packet: &Packet<'_>,
        header: Header,
        payload: &[u8],
        send: impl FnOnce(Piece<'_>) -> T,
    ) -> T {
        let mut renumbered = [0; HEADER + MAX_BLOCK];
        let block = match &self.renumbered {
            Some(identifiers) => {
                renumber_block(packet.block, identifiers, &mut renumbered).unwrap_or_default()
            }
            None => packet.block,
        };
        let mut changed = [0; MAX_EXTENT];
        let marks = packet.marks.filter(|_| self.shift != Shift::default());
        let split = marks.and_then(|marks| {
            let (begin, rest) = payload.split_at_checked(marks.extent())?;
            let place = changed.get_mut(..begin.len())?;
            place.copy_from_slice(begin);
            shift(place, &marks, self.shift);
            Some((&*place, rest))
        });
        let (changed, payload) = split.unwrap_or((&[], payload));
        send(Piece { header, block, changed, payload })
    }

    /// A packet of nothing but padding: leave it out, or fill its number if that is fixed.
    pub(crate) fn skip(&mut self, padding: &Packet<'_>, way: &mut Way<'_>, now: f64) {
        if !self.numbering.skip(padding.extended) {
            self.forward(padding, way, now);
        }
    }

    /// Answer a NACK (RFC 4585 section 6.2.1) with what `find` has by its extended number.
    pub(crate) fn retransmit<'a>(
        &mut self,
        lost: &[u16],
        find: impl Fn(i64) -> Option<Packet<'a>>,
        way: &mut Way<'_>,
        now: f64,
    ) {
        let sent = self.numbering.sent();
        for &sequence in lost {
            if self.budget == 0 {
                return;
            }
            let number = sent - i64::from((sent as u16).wrapping_sub(sequence));
            let Some(packet) = self.numbering.source(number).and_then(&find) else {
                continue;
            };
            let came_as = packet.marker_and_type & !MARKER;
            let Some(payload_type) = self.payload_types.get(came_as) else {
                continue;
            };
            self.budget -= 1;
            let header = self.header(&packet, payload_type, sequence);
            let sent_again = self.with_piece(&packet, header, packet.payload, |piece| {
                way.egress.send_again(way.transport, piece, now, way.outgoing)
            });
            self.figures.retransmitted += u64::from(sent_again);
        }
    }

    /// Allow the next tick's retransmissions.
    pub(crate) fn refill(&mut self) {
        self.budget = RETRANSMISSIONS_PER_TICK;
    }

    /// Translate the publisher's sender report, so that the subscriber keeps lips in step.
    pub(crate) fn report_sent(&mut self, info: &SenderInfo, way: &mut Way<'_>, now: f64) {
        let translated = SenderInfo {
            ntp_timestamp: info.ntp_timestamp,
            rtp_timestamp: info.rtp_timestamp.wrapping_add(self.timestamp_offset),
            packet_count: self.figures.packets_sent as u32,
            octet_count: self.figures.bytes_sent as u32,
        };
        let mut report = Vec::with_capacity(128);
        rtcp::write_sender_report(&mut report, self.ssrc, &translated);
        rtcp::write_cname(&mut report, self.ssrc, &self.cname);
        if way.transport.send_rtcp(&report, way.outgoing) {
            self.sent_report = Some(((info.ntp_timestamp >> 16) as u32, now));
        }
    }

    /// Take the subscriber's receiver report (RFC 3550 section 6.4.1).
    pub(crate) fn report_received(&mut self, report: &ReceiverInfo, totals: &mut Totals, now: f64) {
        self.figures.remote = Some(*report);
        let new = (report.packets_lost - self.lost_counted).max(0);
        self.lost_counted += new;
        totals.lost_packets_out += new as u64;
        if let Some((stamp, at)) = self.sent_report {
            if report.dlsr != 0 && report.lsr == stamp {
                let round_trip = now - at - f64::from(report.dlsr) / 65_536.0;
                self.figures.round_trip_time = Some(round_trip.max(0.0));
            }
        }
    }
}

fn renumber_block<'a>(
    block: &[u8],
    identifiers: &Identifiers,
    room: &'a mut [u8],
) -> Option<&'a [u8]> {
    if block.is_empty() {
        return Some(&[]);
    }
    let packet = room.get_mut(..HEADER + block.len())?;
    *packet.first_mut()? = 0x80 | crate::rtp::EXTENSION;
    packet.get_mut(HEADER..)?.copy_from_slice(block);
    renumber_extensions(packet, identifiers).ok()?;
    packet.get(HEADER..)
}
