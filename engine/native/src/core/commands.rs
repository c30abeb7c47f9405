//! What the control tells the core of publishers and subscribers.

use crate::core::{Accepted, Core};
use crate::downtrack::{DownFigures, DownRef, DownState, NewDown, TrackRef};
use crate::outgoing::Outgoing;
use crate::publishing::{LayerFigures, Publisher, PublisherSettings};
use crate::rtp::Identifiers;
use crate::subscribing::RtxSettings;

/// A layer higher than any: the first choice of a down track.
const HIGHEST: usize = 2;

impl Core {
    // publishers

    /// Take the result of an offer and answer of a publisher; without tracks it publishes nothing.
    pub fn publish(&mut self, connection: u64, settings: PublisherSettings) {
        if let Some(publisher) = self.publishers.get_mut(&connection) {
            publisher.negotiated(settings, &mut self.subscribers, &mut self.totals);
        }
    }

    /// Forward a track, or hold it back (muted).
    pub fn set_sending(&mut self, connection: u64, track: u32, sending: bool) {
        let publisher = self.publishers.get_mut(&connection);
        if let Some((track, _)) = publisher.and_then(|each| each.track_mut(track)) {
            track.set_sending(sending, &mut self.subscribers);
        }
    }

    /// Ask for a keyframe of each layer of a track that somebody gets.
    pub fn request_keyframes(
        &mut self,
        connection: u64,
        track: u32,
        now: f64,
        outgoing: &mut Outgoing,
    ) {
        let publisher = self.publishers.get_mut(&connection);
        if let Some((track, mut feedback)) = publisher.and_then(|each| each.track_mut(track)) {
            track.request_keyframes(&mut feedback, outgoing, now);
        }
    }

    /// Tell a publisher how it is received, and how much it may send: at most `estimate` bit/s.
    pub fn report(
        &mut self,
        connection: u64,
        estimate: Option<u64>,
        now: f64,
        outgoing: &mut Outgoing,
    ) {
        if let Some(publisher) = self.publishers.get_mut(&connection) {
            publisher.report(estimate, &mut self.totals, outgoing, now);
        }
    }

    /// Figures of all layers that a publisher sends.
    pub fn published(&self, connection: u64) -> Vec<LayerFigures> {
        self.publishers.get(&connection).map(Publisher::figures).unwrap_or_default()
    }

    // subscribers

    /// Take the result of an offer and answer of a subscriber.
    pub fn subscribe(&mut self, connection: u64, transport_id: Option<u8>, rtx: Vec<RtxSettings>) {
        if let Some(subscriber) = self.subscribers.get_mut(&connection) {
            subscriber.negotiated(transport_id, rtx);
        }
    }

    /// A new m-line of a subscriber; its number, `None` if there is no such subscriber.
    pub fn add_down(&mut self, connection: u64, made: &NewDown) -> Option<usize> {
        Some(self.subscribers.get_mut(&connection)?.add(made))
    }

    /// Give the header extensions of a down track these numbers, and send no others.
    pub fn renumber(&mut self, connection: u64, down: usize, identifiers: &[(u8, u8)]) {
        let subscriber = self.subscribers.get_mut(&connection);
        if let Some(down) = subscriber.and_then(|each| each.downs.get_mut(down)) {
            down.renumber(identifiers.iter().copied().collect::<Identifiers>());
        }
    }

    /// Send a track of `publisher` on this m-line from its next keyframe on.
    pub fn attach(
        &mut self,
        (connection, down): (u64, usize),
        (publisher, track): (u64, u32),
        accepted: Accepted,
        cname: &str,
    ) {
        self.detach(connection, down);
        let source = self.publishers.get_mut(&publisher);
        let Some((source, _)) = source.and_then(|each| each.track_mut(track)) else {
            return;
        };
        let subscriber = self.subscribers.get_mut(&connection);
        let Some(target) = subscriber.and_then(|each| each.downs.get_mut(down)) else {
            return;
        };
        let (payload_types, unwrapped) = accepted.tables();
        target.accept(payload_types, unwrapped);
        let of = TrackRef { publisher, track };
        target.attached(of, source.settings.clock_rate, cname, HIGHEST);
        source.attach(DownRef { subscriber: connection, down }, &mut self.subscribers);
    }

    /// What the subscriber takes has been negotiated anew.
    pub fn accept(&mut self, connection: u64, down: usize, accepted: Accepted) {
        let subscriber = self.subscribers.get_mut(&connection);
        if let Some(down) = subscriber.and_then(|each| each.downs.get_mut(down)) {
            let (payload_types, unwrapped) = accepted.tables();
            down.accept(payload_types, unwrapped);
        }
    }

    /// Send nothing on this m-line.
    pub fn detach(&mut self, connection: u64, down: usize) {
        let subscriber = self.subscribers.get_mut(&connection);
        let found = subscriber.and_then(|each| each.downs.get_mut(down));
        let Some(of) = found.and_then(|found| found.track) else {
            return;
        };
        let publisher = self.publishers.get_mut(&of.publisher);
        if let Some((track, _)) = publisher.and_then(|each| each.track_mut(of.track)) {
            track.detach(DownRef { subscriber: connection, down }, &mut self.subscribers);
        }
    }

    /// Send this layer, or the best one below it, from its next keyframe on; `None`: pause.
    pub fn choose(
        &mut self,
        connection: u64,
        down: usize,
        layer: Option<usize>,
    ) -> Option<DownState> {
        let found = self.subscribers.get_mut(&connection)?.downs.get_mut(down)?;
        found.chosen = layer;
        if let Some(of) = found.track {
            let publisher = self.publishers.get_mut(&of.publisher);
            if let Some((track, _)) = publisher.and_then(|each| each.track_mut(of.track)) {
                track.aim(DownRef { subscriber: connection, down }, &mut self.subscribers);
            }
        }
        self.state(connection, down)
    }

    /// Of one down track at this moment; the control knows it from now on.
    pub fn state(&mut self, connection: u64, down: usize) -> Option<DownState> {
        let subscriber = self.subscribers.get_mut(&connection)?;
        let state = subscriber.state(down, &self.publishers)?;
        subscriber.downs.get_mut(down)?.told = state.clone();
        Some(state)
    }

    /// Ask the publisher for a keyframe of the layer that is sent.
    pub fn want_keyframe(
        &mut self,
        connection: u64,
        down: usize,
        now: f64,
        outgoing: &mut Outgoing,
    ) {
        if let Some(subscriber) = self.subscribers.get(&connection) {
            subscriber.want_keyframe(down, &mut self.publishers, outgoing, now);
        }
    }

    /// Send so many bytes of padding beside the media until this is said anew.
    pub fn set_padding(&mut self, connection: u64, bytes: f64) {
        if let Some(subscriber) = self.subscribers.get_mut(&connection) {
            subscriber.egress.padding_left = bytes;
        }
    }

    /// Figures of one m-line of a subscriber.
    pub fn figures(&self, connection: u64, down: usize) -> Option<DownFigures> {
        Some(self.subscribers.get(&connection)?.downs.get(down)?.figures.clone())
    }
}
