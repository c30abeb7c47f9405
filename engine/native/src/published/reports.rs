//! What the publisher of a track is asked for and told, and what the control is told of it.

use crate::layers::is_lively;
use crate::outgoing::Outgoing;
use crate::published::{LayerState, Track, TrackState};
use crate::published_layer::Feedback;
use crate::rtcp;
use crate::rtp::SILENCE;
use crate::totals::Totals;

impl Track {
    /// Ask the publisher for a keyframe of each layer that somebody gets.
    pub(crate) fn request_keyframes(
        &mut self,
        feedback: &mut Feedback<'_>,
        outgoing: &mut Outgoing,
        now: f64,
    ) {
        for layer in &mut self.layers {
            if !(layer.takers.is_empty() && layer.waiting.is_empty()) {
                layer.request_keyframe(feedback, outgoing, now);
            }
        }
    }

    /// Ten times a second: repeat what is still wanted; what the control is to know if that is
    /// another thing than before.
    pub(crate) fn tick(
        &mut self,
        feedback: &mut Feedback<'_>,
        outgoing: &mut Outgoing,
        now: f64,
    ) -> Option<TrackState> {
        for layer in &mut self.layers {
            layer.tick(feedback, outgoing, now);
        }
        let newest = self.layers.iter().map(|layer| layer.last_packet).fold(0.0, f64::max);
        let layers = self.layers.iter().map(|layer| LayerState {
            index: layer.index,
            rid: layer.rid.clone(),
            live: is_lively(layer.last_packet, newest),
            bitrate: layer.rate.bitrate(),
        });
        let state = TrackState {
            layers: layers.collect(),
            payload_type: self.payload_type,
            loudest: std::mem::replace(&mut self.loudest, SILENCE),
        };
        if state.loudest == SILENCE && self.told.as_ref() == Some(&state) {
            return None;
        }
        self.told = Some(state.clone());
        Some(state)
    }

    /// Once a second: tell the publisher how it is received, and how much it may send, in bit/s.
    pub(crate) fn report(
        &mut self,
        feedback: &mut Feedback<'_>,
        bitrate: u64,
        totals: &mut Totals,
        outgoing: &mut Outgoing,
        now: f64,
    ) {
        let mut reports = Vec::with_capacity(self.layers.len());
        for layer in &mut self.layers {
            if let Some(info) = layer.report(now) {
                totals.lost_packets_in += layer.stream.newly_lost();
                totals.observe_jitter(layer.stream.jitter_seconds());
                reports.push(info);
            }
        }
        if reports.is_empty() {
            return;
        }
        let mut data = Vec::with_capacity(128);
        rtcp::write_receiver_report(&mut data, feedback.reporter, &reports);
        if self.settings.is_video {
            // Without this and transport-wide feedback Chromium stays near 300 kbit/s.
            let ssrcs: Vec<u32> = reports.iter().map(|info| info.ssrc).collect();
            rtcp::write_remb(&mut data, feedback.reporter, bitrate, &ssrcs);
        }
        feedback.transport.send_rtcp(&data, outgoing);
    }
}
