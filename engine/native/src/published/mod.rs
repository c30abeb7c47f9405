//! One track that a participant publishes: received once, handed to each subscriber's down track.

use ahash::AHashMap;

use crate::Malformed;
use crate::codecs::{Codec, Payload, red};
use crate::downtrack::{Down, DownRef, TrackRef, Way};
use crate::outgoing::Outgoing;
use crate::packet::Packet;
use crate::published_layer::{Feedback, Layer};
use crate::rtcp::SenderInfo;
use crate::rtp::{
    self, Block, EXTENSION, Header, Identifiers, SILENCE, VERSION_AND_PADDING, is_padding_alone,
    payload_offset,
};
use crate::subscribing::Subscriber;
use crate::times::Times;
use crate::totals::Totals;

mod reports;
mod settings;
mod takers;

pub use settings::{LayerState, TrackSettings, TrackState};

/// Padding of one byte, which counts itself (RFC 3550 section 5.1).
const EMPTY: &[u8] = b"\x01";

/// A layer among all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LayerRef {
    pub(crate) track: TrackRef,
    pub(crate) layer: u32,
}

/// The receiving side of one m-line of a publisher, with a layer for each encoding.
#[derive(Debug)]
pub(crate) struct Track {
    pub(crate) me: TrackRef,
    pub(crate) settings: TrackSettings,
    /// Those that have come so far, from the lowest.
    pub(crate) layers: Vec<Layer>,
    /// The one that ended last: what was sent of it may still be asked for.
    ended: Option<Layer>,
    pub(crate) downs: Vec<DownRef>,
    pub(crate) payload_type: Option<u8>,
    /// What the control was told last.
    pub(crate) told: Option<TrackState>,
    loudest: u8,
    forwarded: Identifiers,
    readers: [Option<Codec>; 128],
}

pub(crate) type Subscribers = AHashMap<u64, Subscriber>;

/// What is around a publisher while it takes something.
pub(crate) struct Surroundings<'a> {
    pub(crate) subscribers: &'a mut Subscribers,
    pub(crate) totals: &'a mut Totals,
    pub(crate) outgoing: &'a mut Outgoing,
    pub(crate) times: Times,
}

impl Surroundings<'_> {
    fn with(&mut self, who: DownRef, act: impl FnOnce(&mut Down, &mut Way<'_>)) {
        let Some(subscriber) = self.subscribers.get_mut(&who.subscriber) else {
            return;
        };
        if let Some(down) = subscriber.downs.get_mut(who.down) {
            let (egress, transport) = (&mut subscriber.egress, &mut subscriber.transport);
            let (totals, outgoing) = (&mut *self.totals, &mut *self.outgoing);
            act(down, &mut Way { egress, transport, totals, outgoing });
        }
    }
}

fn down_of(subscribers: &mut Subscribers, who: DownRef) -> Option<&mut Down> {
    subscribers.get_mut(&who.subscriber)?.downs.get_mut(who.down)
}

impl Track {
    pub(crate) fn new(me: TrackRef) -> Self {
        Self {
            me,
            settings: TrackSettings { sending: true, ..TrackSettings::default() },
            layers: Vec::new(),
            ended: None,
            downs: Vec::new(),
            payload_type: None,
            told: None,
            loudest: SILENCE,
            forwarded: Identifiers::default(),
            readers: [None; 128],
        }
    }

    /// Take the result of an offer and answer; `sending` is not part of it.
    pub(crate) fn negotiated(
        &mut self,
        settings: TrackSettings,
        subscribers: &mut Subscribers,
        totals: &mut Totals,
    ) {
        if settings.rids != self.settings.rids {
            while let Some(number) = self.layers.first().map(|layer| layer.number) {
                self.drop_layer(number, subscribers, totals);
            }
        }
        self.forwarded = settings.forwarded.iter().copied().collect();
        self.readers = [None; 128];
        for (payload_type, mime_type) in &settings.codecs {
            if let Some(reader) = self.readers.get_mut(usize::from(*payload_type)) {
                *reader = Codec::from_mime(mime_type);
            }
        }
        let sending = self.settings.sending;
        self.settings = TrackSettings { sending, ..settings };
    }

    pub(crate) fn takes(&self, payload_type: u8) -> bool {
        self.settings.codecs.iter().any(|(each, _)| *each == payload_type)
    }

    pub(crate) fn layer(&self, number: u32) -> Option<&Layer> {
        self.layers.iter().find(|layer| layer.number == number)
    }

    pub(crate) fn layer_mut(&mut self, number: u32) -> Option<&mut Layer> {
        self.layers.iter_mut().find(|layer| layer.number == number)
    }

    /// The same for one that may have ended.
    pub(crate) fn any_layer(&self, number: u32) -> Option<&Layer> {
        self.layers.iter().chain(&self.ended).find(|layer| layer.number == number)
    }

    fn index_of(&self, rid: &str) -> usize {
        self.settings.rids.iter().position(|each| each == rid).unwrap_or(0)
    }

    /// Receive this SSRC as the layer of that RID; another one before it is over. `number` is that
    /// of a new layer; returns the layer's.
    pub(crate) fn use_ssrc(
        &mut self,
        ssrc: u32,
        rid: &str,
        number: u32,
        subscribers: &mut Subscribers,
        totals: &mut Totals,
    ) -> u32 {
        let index = self.index_of(rid);
        let before = self.layers.iter().find(|layer| layer.index == index);
        if let Some((before, its_ssrc)) = before.map(|layer| (layer.number, layer.ssrc)) {
            if its_ssrc == ssrc {
                return before;
            }
            self.drop_layer(before, subscribers, totals);
        }
        let (is_video, clock_rate) = (self.settings.is_video, self.settings.clock_rate);
        self.layers.push(Layer::new(number, index, rid.to_owned(), ssrc, is_video, clock_rate));
        self.layers.sort_by_key(|layer| layer.index);
        for who in self.downs.clone() {
            self.aim(who, subscribers);
        }
        number
    }

    /// That SSRC is over.
    pub(crate) fn drop_layer(
        &mut self,
        number: u32,
        subscribers: &mut Subscribers,
        totals: &mut Totals,
    ) {
        let Some(at) = self.layers.iter().position(|layer| layer.number == number) else {
            return;
        };
        let mut layer = self.layers.remove(at);
        totals.lost_packets_in += layer.stream.newly_lost();
        let takers = std::mem::take(&mut layer.takers);
        let waiting = std::mem::take(&mut layer.waiting);
        self.ended = Some(layer);
        for who in takers.into_iter().chain(waiting) {
            self.resume(who, subscribers);
        }
    }

    /// The best layer of at most `most`, else the lowest; `None` before the first has come.
    fn layer_for(&self, most: usize) -> Option<u32> {
        let under = self.layers.iter().rfind(|layer| layer.index <= most);
        under.or(self.layers.first()).map(|layer| layer.number)
    }

    // packets

    /// Take one unprotected RTP packet of a layer; `again` if it came by RTX.
    pub(crate) fn receive(
        &mut self,
        number: u32,
        data: &mut [u8],
        again: bool,
        feedback: &mut Feedback<'_>,
        around: &mut Surroundings<'_>,
    ) -> Result<(), Malformed> {
        let now = around.times.now;
        let header = Header::read(data)?;
        let payload_at = payload_offset(data)?;
        let size = data.len() - payload_at;
        let Some(place) = self.layers.iter().position(|layer| layer.number == number) else {
            return Ok(());
        };
        let Some(layer) = self.layers.get_mut(place) else {
            return Ok(());
        };
        let Header { sequence, timestamp, .. } = header;
        let Some(extended) = layer.number_of(sequence, timestamp, around.times, size, again) else {
            return Ok(());
        };
        around.totals.received_packets += 1;
        if layer.is_video && layer.stream.has_missing() {
            layer.ask_again(feedback, around.outgoing, now);
        }
        if !self.settings.sending {
            return Ok(());
        }
        if is_padding_alone(data, payload_at) {
            let padding = Packet {
                extended,
                first: VERSION_AND_PADDING & 0xA0,
                marker_and_type: header.marker_and_type,
                timestamp,
                block: &[],
                payload: EMPTY,
                marks: None,
            };
            for who in &layer.takers {
                around.with(*who, |down, way| down.skip(&padding, way, now));
            }
            return Ok(());
        }
        let payload_type = header.payload_type();
        self.payload_type = Some(payload_type);
        let mut block = Block::default();
        if layer.is_video {
            // Each publisher has a clock of its own: what a subscriber estimates from must be ours.
            block.push_abs_send_time(self.settings.abs_send_time, now);
            if !self.forwarded.is_empty() {
                block.push_mapped(data, &self.forwarded)?;
            }
        } else {
            if let Some((theirs, ours)) = self.settings.audio_level {
                if let Some(level) = rtp::extension(data, theirs)?.and_then(<[u8]>::first) {
                    self.loudest = self.loudest.min(level & 0x7F);
                    block.push(ours, &[*level]);
                }
            }
            if let Some((redundant, opus)) = self.settings.redundant {
                if redundant == payload_type {
                    red::set_payload_type(data.get_mut(payload_at..).unwrap_or_default(), opus)?;
                }
            }
        }
        let payload = data.get(payload_at..).unwrap_or_default();
        let reader = self.readers.get(usize::from(payload_type)).copied().flatten();
        let Payload { starts, marks } =
            reader.map_or(Ok(Payload::ANYWHERE), |codec| codec.read(payload))?;
        let block = block.finish();
        let packet = Packet {
            extended,
            first: header.first & VERSION_AND_PADDING
                | if block.is_empty() { 0 } else { EXTENSION },
            marker_and_type: header.marker_and_type,
            timestamp,
            block,
            payload,
            marks,
        };
        if layer.is_video {
            layer.ring.store(&packet);
        }
        for who in &layer.takers {
            around.with(*who, |down, way| down.forward(&packet, way, now));
        }
        if starts && !layer.waiting.is_empty() && extended > layer.held_back_until {
            self.begin(place, &packet, around);
        }
        Ok(())
    }

    /// Those who wait get this packet, and what came before it in spite of a higher number.
    fn begin(&mut self, place: usize, packet: &Packet<'_>, around: &mut Surroundings<'_>) {
        let now = around.times.now;
        let Some(layer) = self.layers.get_mut(place) else {
            return;
        };
        let begun = std::mem::take(&mut layer.waiting);
        let (clock, number, highest) = (layer.clock, layer.number, layer.stream.highest());
        let me = LayerRef { track: self.me, layer: number };
        for who in &begun {
            let Some(down) = down_of(around.subscribers, *who) else {
                continue;
            };
            let before = down.clocked_by.filter(|before| before.track == self.me);
            let before = before.and_then(|before| self.any_layer(before.layer)?.clock);
            let present = down.layer;
            down.begin(me, packet, clock, before, now);
            if let Some(present) = present.and_then(|present| self.layer_mut(present)) {
                present.takers.retain(|each| each != who);
            }
            let Some(layer) = self.layers.get(place) else {
                continue;
            };
            around.with(*who, |down, way| {
                down.forward(packet, way, now);
                for later in (packet.extended + 1..=highest).filter_map(|n| layer.ring.find(n)) {
                    down.forward(&later, way, now);
                }
                if let Some(info) = layer.report_of(now) {
                    down.report_sent(&info, way, now);
                }
            });
        }
        if let Some(layer) = self.layers.get_mut(place) {
            layer.takers.extend(begun);
        }
    }

    /// Take the publisher's sender report of a layer and pass it on.
    pub(crate) fn sender_report(
        &mut self,
        number: u32,
        info: &SenderInfo,
        around: &mut Surroundings<'_>,
    ) {
        let now = around.times.now;
        let Some(layer) = self.layer_mut(number) else {
            return;
        };
        layer.sender_report(info, now);
        for who in &layer.takers {
            around.with(*who, |down, way| down.report_sent(info, way, now));
        }
    }
}
