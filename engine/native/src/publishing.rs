//! The publishing half of a participant: the tracks of one publisher and the way of each packet to
//! its track.

use ahash::AHashMap;

use crate::Malformed;
use crate::downtrack::TrackRef;
use crate::ingress::{Ingress, Outcome, TransportExtensions};
use crate::outgoing::Outgoing;
use crate::published::{Subscribers, Surroundings, Track, TrackSettings, TrackState};
use crate::published_layer::Feedback;
use crate::rtcp::{self, Packet};
use crate::rtp::{self, Header};
use crate::totals::Totals;
use crate::transport::Transport;

/// An SSRC of a layer that was heard this short ago is not given to another stream.
const SILENT_SECONDS: f64 = 1.0;

/// What was negotiated with one publisher.
#[derive(Clone, Debug, Default)]
pub struct PublisherSettings {
    /// The engine's own SSRC in feedback.
    pub reporter: u32,
    /// What is asked of each video, in bit/s.
    pub max_bitrate: u64,
    /// Of all m-lines together.
    pub extensions: TransportExtensions,
    /// The numbers that MID has on some m-line.
    pub mid_ids: Vec<u8>,
    /// The numbers that RID has on some m-line.
    pub rid_ids: Vec<u8>,
    /// From payload types of RTX to those of what they repeat.
    pub associated: Vec<(u8, u8)>,
    /// From SSRCs of RTX to those of what they repeat.
    pub repairs: Vec<(u32, u32)>,
    /// All m-lines that the client sends on.
    pub tracks: Vec<TrackSettings>,
}

/// Figures of one layer that a publisher sends.
#[derive(Clone, Debug)]
pub struct LayerFigures {
    /// The number of its track.
    pub track: u32,
    /// Empty without simulcast.
    pub rid: String,
    /// Its SSRC.
    pub ssrc: u32,
    /// Taken, but for those that came by RTX.
    pub packets_received: u64,
    /// Bytes of their payloads.
    pub bytes_received: u64,
    /// Negative with duplicates.
    pub packets_lost: i64,
    /// In seconds.
    pub jitter: f64,
    /// Sent to the publisher.
    pub nack_count: u64,
    /// Sent to the publisher.
    pub pli_count: u64,
}

/// The receiving side of one publisher.
#[derive(Debug)]
pub(crate) struct Publisher {
    pub(crate) transport: Transport,
    pub(crate) tracks: Vec<Track>,
    pub(crate) malformed: u64,
    connection: u64,
    ingress: Ingress,
    /// Track and layer by their numbers.
    by_ssrc: AHashMap<u32, (u32, u32)>,
    layers: u32,
    reporter: u32,
    max_bitrate: u64,
    mid_ids: Vec<u8>,
    rid_ids: Vec<u8>,
}

impl Publisher {
    pub(crate) fn new(connection: u64) -> Self {
        Self {
            transport: Transport::new(connection),
            tracks: Vec::new(),
            malformed: 0,
            connection,
            ingress: Ingress::default(),
            by_ssrc: AHashMap::new(),
            layers: 0,
            reporter: 0,
            max_bitrate: 0,
            mid_ids: Vec::new(),
            rid_ids: Vec::new(),
        }
    }

    pub(crate) fn track(&self, track: u32) -> Option<&Track> {
        self.tracks.iter().find(|each| each.me.track == track)
    }

    /// A track, and where feedback to this publisher goes.
    pub(crate) fn track_mut(&mut self, track: u32) -> Option<(&mut Track, Feedback<'_>)> {
        let found = self.tracks.iter_mut().find(|each| each.me.track == track)?;
        Some((found, Feedback { transport: &mut self.transport, reporter: self.reporter }))
    }

    /// Take the result of an offer and answer: tracks come, go or change codecs.
    pub(crate) fn negotiated(
        &mut self,
        settings: PublisherSettings,
        subscribers: &mut Subscribers,
        totals: &mut Totals,
    ) {
        self.reporter = settings.reporter;
        self.max_bitrate = settings.max_bitrate;
        self.mid_ids = settings.mid_ids;
        self.rid_ids = settings.rid_ids;
        self.tracks.retain_mut(|track| {
            let stays = settings.tracks.iter().any(|each| each.track == track.me.track);
            if !stays {
                track.close(subscribers, totals);
            }
            stays
        });
        for negotiated in settings.tracks {
            let (number, declared) = (negotiated.track, negotiated.declared);
            if self.track(number).is_none() {
                let me = TrackRef { publisher: self.connection, track: number };
                let mut made = Track::new(me);
                made.settings.sending = negotiated.sending;
                self.tracks.push(made);
            }
            if let Some((track, _)) = self.track_mut(number) {
                track.negotiated(negotiated, subscribers, totals);
            }
            self.index();
            if let Some(ssrc) = declared {
                self.use_ssrc(ssrc, number, "", subscribers, totals);
            }
        }
        self.index();
        self.ingress.negotiated(settings.extensions, settings.associated, settings.repairs);
    }

    fn use_ssrc(
        &mut self,
        ssrc: u32,
        track: u32,
        rid: &str,
        subscribers: &mut Subscribers,
        totals: &mut Totals,
    ) -> Option<(u32, u32)> {
        if let Some((before, layer)) = self.by_ssrc.get(&ssrc).copied() {
            if before != track {
                self.track_mut(before)?.0.drop_layer(layer, subscribers, totals);
            }
        }
        self.layers = self.layers.wrapping_add(1);
        let number = self.layers;
        let (found, _) = self.track_mut(track)?;
        let layer = found.use_ssrc(ssrc, rid, number, subscribers, totals);
        self.index();
        Some((track, layer))
    }

    fn index(&mut self) {
        let present = self.tracks.iter().flat_map(|track| {
            track.layers.iter().map(|layer| (layer.ssrc, (track.me.track, layer.number)))
        });
        let before = std::mem::replace(&mut self.by_ssrc, present.collect());
        for ssrc in before.into_keys() {
            if !self.by_ssrc.contains_key(&ssrc) {
                self.ingress.forget(ssrc);
            }
        }
    }

    /// Take an unprotected RTP packet.
    pub(crate) fn rtp_received(&mut self, data: &mut [u8], around: &mut Surroundings<'_>) {
        if self.take_rtp(data, around).is_err() {
            self.malformed += 1;
        }
    }

    fn take_rtp(
        &mut self,
        data: &mut [u8],
        around: &mut Surroundings<'_>,
    ) -> Result<(), Malformed> {
        let tracks = &self.tracks;
        let received = self.ingress.received(data, around.times.arrived, |mid, rid| {
            let track = tracks.iter().find(|each| each.settings.mid.as_bytes() == mid)?;
            let layer = track.layers.iter().find(|each| each.rid.as_bytes() == rid)?;
            Some(layer.ssrc)
        })?;
        let Some(received) = received else {
            return Ok(());
        };
        let again = received.again;
        let data = data.get_mut(received.range).unwrap_or_default();
        let ssrc = Header::read(data)?.ssrc;
        let known = self.by_ssrc.get(&ssrc).copied();
        let found = if known.is_none() && !again { self.learn(data, around)? } else { known };
        let Some((number, layer)) = found else {
            return Ok(());
        };
        let Some((track, mut feedback)) = self.track_mut(number) else {
            return Ok(());
        };
        track.receive(layer, data, again, &mut feedback, around)
    }

    /// Find the layer of an unknown SSRC by MID and RID (RFC 9143 section 9.2, RFC 8852).
    ///
    /// Without them the payload type must tell the track. A layer that is alive keeps its SSRC.
    fn learn(
        &mut self,
        data: &[u8],
        around: &mut Surroundings<'_>,
    ) -> Result<Option<(u32, u32)>, Malformed> {
        let (mut track, mut rid) = (None, String::new());
        for element in rtp::elements(data)? {
            let element = element?;
            if self.mid_ids.contains(&element.identifier) {
                let of = |each: &&Track| each.settings.mid.as_bytes() == element.value;
                track = self.tracks.iter().find(of);
            } else if self.rid_ids.contains(&element.identifier) {
                rid = String::from_utf8_lossy(element.value).into_owned();
            }
        }
        let header = Header::read(data)?;
        if track.is_none() {
            let takes = |each: &&Track| each.takes(header.payload_type());
            let mut matching = self.tracks.iter().filter(takes);
            track = matching.next().filter(|_| matching.next().is_none());
        }
        let Some(track) = track else {
            return Ok(None);
        };
        let is_simulcast = !track.settings.rids.is_empty();
        if is_simulcast && !track.settings.rids.contains(&rid) {
            return Ok(None);
        }
        let known = track.layers.iter().find(|layer| layer.rid == rid || !is_simulcast);
        if known.is_some_and(|layer| around.times.now - layer.last_packet < SILENT_SECONDS) {
            return Ok(None);
        }
        let number = track.me.track;
        Ok(self.use_ssrc(header.ssrc, number, &rid, around.subscribers, around.totals))
    }

    /// Take an unprotected compound RTCP packet.
    pub(crate) fn rtcp_received(&mut self, data: &[u8], around: &mut Surroundings<'_>) {
        let Ok(packets) = rtcp::parse(data) else {
            self.malformed += 1;
            return;
        };
        for packet in packets {
            let Packet::SenderReport { ssrc, info, .. } = packet else {
                continue;
            };
            let found = self.by_ssrc.get(&ssrc).copied();
            let Some((number, layer)) = found else {
                continue;
            };
            if let Some((track, _)) = self.track_mut(number) {
                track.sender_report(layer, &info, around);
            }
        }
    }

    /// Ten times a second: tell the publisher what arrived, and ask again; calls `tell` with what
    /// the control is to know of each track.
    pub(crate) fn tick(
        &mut self,
        outgoing: &mut Outgoing,
        now: f64,
        mut tell: impl FnMut(TrackRef, TrackState),
    ) {
        let mut data = Vec::new();
        for message in self.ingress.messages() {
            data.clear();
            let media_ssrc = self.ingress.media_ssrc;
            if rtcp::write_transport_feedback(&mut data, self.reporter, media_ssrc, &message) {
                self.transport.send_rtcp(&data, outgoing);
            }
        }
        let mut feedback = Feedback { transport: &mut self.transport, reporter: self.reporter };
        for track in &mut self.tracks {
            if let Some(state) = track.tick(&mut feedback, outgoing, now) {
                tell(track.me, state);
            }
        }
    }

    /// What the control estimates from.
    pub(crate) fn take_noted(&mut self) -> Vec<Outcome> {
        self.ingress.take_noted()
    }

    /// Once a second: tell the publisher how it is received. `estimate` is what its path carries in
    /// bit/s, `None` if nobody knows of a limit.
    pub(crate) fn report(
        &mut self,
        estimate: Option<u64>,
        totals: &mut Totals,
        outgoing: &mut Outgoing,
        now: f64,
    ) {
        let bitrate = estimate.map_or(self.max_bitrate, |known| known.min(self.max_bitrate));
        let mut feedback = Feedback { transport: &mut self.transport, reporter: self.reporter };
        for track in &mut self.tracks {
            track.report(&mut feedback, bitrate, totals, outgoing, now);
        }
    }

    pub(crate) fn figures(&self) -> Vec<LayerFigures> {
        let layers = self
            .tracks
            .iter()
            .flat_map(|track| track.layers.iter().map(|layer| (track.me.track, layer)));
        layers
            .map(|(track, layer)| LayerFigures {
                track,
                rid: layer.rid.clone(),
                ssrc: layer.ssrc,
                packets_received: layer.stream.packets_received(),
                bytes_received: layer.stream.bytes_received(),
                packets_lost: layer.stream.packets_lost(),
                jitter: layer.stream.jitter_seconds(),
                nack_count: layer.nack_count,
                pli_count: layer.pli_count,
            })
            .collect()
    }
}
