//! The subscribing half of a participant: what is sent to one subscriber, and what it reports.

use ahash::AHashMap;

use crate::downtrack::{Down, DownRef, DownState, NewDown, Way};
use crate::egress::{Egress, Report};
use crate::outgoing::Outgoing;
use crate::published::Track;
use crate::publishing::Publisher;
use crate::retransmission::RtxStream;
use crate::rtcp::{self, NACK, Packet, ReceiverInfo};
use crate::totals::Totals;
use crate::transport::Transport;

pub(crate) type Publishers = AHashMap<u64, Publisher>;

/// The RTX stream of one m-line.
#[derive(Clone, Debug)]
pub struct RtxSettings {
    /// The SSRC of what it repeats.
    pub of: u32,
    /// Its own.
    pub ssrc: u32,
    /// From that stream's payload types to this one's.
    pub payload_types: Vec<(u8, u8)>,
    /// A new one's numbers go on from here.
    pub sequence: u16,
}

/// The sending side of one subscriber.
#[derive(Debug)]
pub(crate) struct Subscriber {
    pub(crate) transport: Transport,
    pub(crate) egress: Egress,
    pub(crate) downs: Vec<Down>,
    pub(crate) malformed: u64,
    connection: u64,
    by_ssrc: AHashMap<u32, usize>,
}

impl Subscriber {
    pub(crate) fn new(connection: u64) -> Self {
        Self {
            transport: Transport::new(connection),
            egress: Egress::default(),
            downs: Vec::new(),
            malformed: 0,
            connection,
            by_ssrc: AHashMap::new(),
        }
    }

    /// A new m-line; its number.
    pub(crate) fn add(&mut self, made: &NewDown) -> usize {
        self.by_ssrc.insert(made.ssrc, self.downs.len());
        self.downs.push(Down::new(made));
        self.downs.len() - 1
    }

    /// Take the result of an offer and answer.
    pub(crate) fn negotiated(&mut self, transport_id: Option<u8>, rtx: Vec<RtxSettings>) {
        self.egress.transport_id = transport_id;
        let mut known = std::mem::take(&mut self.egress.rtx);
        let streams = rtx.into_iter().map(|settings| {
            let before = known.iter().position(|(of, _)| *of == settings.of);
            let before = before.map(|at| known.swap_remove(at).1);
            let sequence = before.map_or(settings.sequence, |before| before.sequence());
            (settings.of, RtxStream::new(settings.ssrc, settings.payload_types, sequence))
        });
        self.egress.rtx = streams.collect();
    }

    /// Take an unprotected compound RTCP packet: reports, NACK, PLI and FIR.
    pub(crate) fn rtcp_received(
        &mut self,
        data: &[u8],
        publishers: &mut Publishers,
        totals: &mut Totals,
        outgoing: &mut Outgoing,
        now: f64,
    ) {
        let Ok(packets) = rtcp::parse(data) else {
            self.malformed += 1;
            return;
        };
        for packet in packets {
            match packet {
                Packet::TransportFeedback(feedback) => self.egress.feedback(&feedback, now),
                Packet::SenderReport { reports, .. } | Packet::ReceiverReport { reports, .. } => {
                    for report in reports {
                        self.reported(&report, totals, now);
                    }
                }
                Packet::TransportLayer { format: NACK, media_ssrc, lost, .. } => {
                    self.retransmit(media_ssrc, &lost, publishers, totals, outgoing, now);
                }
                Packet::PayloadSpecific { format, media_ssrc, fci, .. } => {
                    if let Some(bitrate) = rtcp::remb(format, fci) {
                        if self.egress.transport_id.is_none() {
                            self.egress.report(Report::Remb(now, bitrate));
                        }
                    }
                    for ssrc in rtcp::keyframe_ssrcs(format, media_ssrc, fci) {
                        if let Some(down) = self.by_ssrc.get(&ssrc).copied() {
                            if let Some(down) = self.downs.get_mut(down) {
                                down.figures.pli_count += 1;
                            }
                            self.want_keyframe(down, publishers, outgoing, now);
                        }
                    }
                }
                _ => {}
            }
        }
    }

    fn reported(&mut self, report: &ReceiverInfo, totals: &mut Totals, now: f64) {
        let found = self.by_ssrc.get(&report.ssrc).and_then(|down| self.downs.get_mut(*down));
        let Some(down) = found else {
            return;
        };
        down.report_received(report, totals, now);
        if let Some(seconds) = down.figures.round_trip_time {
            self.egress.round_trip = seconds;
            self.egress.report(Report::RoundTrip(seconds));
        }
        if self.egress.transport_id.is_none() {
            let fraction = f64::from(report.fraction_lost) / 256.0;
            self.egress.report(Report::FractionLost(now, fraction));
        }
    }

    fn retransmit(
        &mut self,
        ssrc: u32,
        lost: &[u16],
        publishers: &Publishers,
        totals: &mut Totals,
        outgoing: &mut Outgoing,
        now: f64,
    ) {
        let found = self.by_ssrc.get(&ssrc).and_then(|down| self.downs.get_mut(*down));
        let Some(down) = found else {
            return;
        };
        down.figures.nack_count += 1;
        let Some(layer) = down.track.and(down.clocked_by) else {
            return;
        };
        let publisher = publishers.get(&layer.track.publisher);
        let track = publisher.and_then(|each| each.track(layer.track.track));
        let Some(layer) = track.and_then(|track| track.any_layer(layer.layer)) else {
            return;
        };
        let (egress, transport) = (&mut self.egress, &mut self.transport);
        let mut way = Way { egress, transport, totals, outgoing };
        down.retransmit(lost, |extended| layer.ring.find(extended), &mut way, now);
    }

    /// Ask the publisher for a keyframe of the layer that is sent.
    pub(crate) fn want_keyframe(
        &self,
        down: usize,
        publishers: &mut Publishers,
        outgoing: &mut Outgoing,
        now: f64,
    ) {
        let Some(down) = self.downs.get(down) else {
            return;
        };
        let (Some(of), Some(layer)) = (down.track, down.layer.or(down.target)) else {
            return;
        };
        let publisher = publishers.get_mut(&of.publisher);
        let Some((track, mut feedback)) = publisher.and_then(|each| each.track_mut(of.track))
        else {
            return;
        };
        if let Some(layer) = track.layer_mut(layer) {
            layer.request_keyframe(&mut feedback, outgoing, now);
        }
    }

    /// Of one down track at this moment.
    pub(crate) fn state(&self, down: usize, publishers: &Publishers) -> Option<DownState> {
        let down = self.downs.get(down)?;
        let track = down.track.and_then(|of| publishers.get(&of.publisher)?.track(of.track));
        let index = |number: Option<u32>| {
            track.zip(number).and_then(|(track, number)| Track::layer(track, number))
        };
        Some(DownState {
            layer: index(down.layer).map(|layer| layer.index),
            target: index(down.target).map(|layer| layer.index),
            untaken: down.untaken,
        })
    }

    /// Ten times a second; calls `tell` with what the control is to know of each down track.
    pub(crate) fn tick(
        &mut self,
        publishers: &Publishers,
        mut tell: impl FnMut(DownRef, DownState),
    ) {
        for number in 0..self.downs.len() {
            let state = self.state(number, publishers);
            let (Some(state), Some(down)) = (state, self.downs.get_mut(number)) else {
                continue;
            };
            down.refill();
            down.untaken = None;
            if state != down.told {
                down.told = state.clone();
                tell(DownRef { subscriber: self.connection, down: number }, state);
            }
        }
    }
}
