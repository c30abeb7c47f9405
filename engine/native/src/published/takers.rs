//! Which down track waits for which layer of a track, or takes it.

use crate::downtrack::DownRef;
use crate::published::{Subscribers, Track, down_of};
use crate::rtp::SILENCE;
use crate::totals::Totals;

impl Track {
    /// Find the chosen layer among those there are: it was chosen, or they have changed.
    pub(crate) fn aim(&mut self, who: DownRef, subscribers: &mut Subscribers) {
        let Some(down) = down_of(subscribers, who) else {
            return;
        };
        let target = down.chosen.and_then(|most| self.layer_for(most));
        if target == down.target {
            return;
        }
        let Some(number) = target else {
            self.leave(who, subscribers);
            return;
        };
        if down.target != down.layer {
            if let Some(before) = down.target.and_then(|before| self.layer_mut(before)) {
                before.waiting.retain(|each| *each != who);
            }
        }
        down.target = target;
        if down.target != down.layer {
            if let Some(layer) = self.layer_mut(number) {
                layer.waiting.push(who);
            }
        }
    }

    pub(super) fn leave(&mut self, who: DownRef, subscribers: &mut Subscribers) {
        let Some(down) = down_of(subscribers, who) else {
            return;
        };
        if down.target != down.layer {
            if let Some(target) = down.target.and_then(|number| self.layer_mut(number)) {
                target.waiting.retain(|each| *each != who);
            }
        }
        if let Some(layer) = down.layer.and_then(|number| self.layer_mut(number)) {
            layer.takers.retain(|each| *each != who);
        }
        (down.layer, down.target) = (None, None);
    }

    /// After a pause of the publisher: go on with the next keyframe.
    pub(super) fn resume(&mut self, who: DownRef, subscribers: &mut Subscribers) {
        self.leave(who, subscribers);
        self.aim(who, subscribers);
    }

    /// Forward to this down track from the next keyframe on.
    pub(crate) fn attach(&mut self, who: DownRef, subscribers: &mut Subscribers) {
        self.downs.push(who);
        self.aim(who, subscribers);
    }

    /// Forward nothing to this one any more.
    pub(crate) fn detach(&mut self, who: DownRef, subscribers: &mut Subscribers) {
        self.leave(who, subscribers);
        self.downs.retain(|each| *each != who);
        if let Some(down) = down_of(subscribers, who) {
            down.track = None;
        }
    }

    /// Forward, or hold back what comes (muted).
    pub(crate) fn set_sending(&mut self, sending: bool, subscribers: &mut Subscribers) {
        if sending == self.settings.sending {
            return;
        }
        self.settings.sending = sending;
        self.loudest = SILENCE;
        if sending {
            for layer in &mut self.layers {
                layer.held_back_until = layer.stream.highest();
            }
            for who in self.downs.clone() {
                self.resume(who, subscribers);
            }
        }
    }

    /// Leave every subscriber.
    pub(crate) fn close(&mut self, subscribers: &mut Subscribers, totals: &mut Totals) {
        for layer in &mut self.layers {
            totals.lost_packets_in += layer.stream.newly_lost();
        }
        for who in self.downs.clone() {
            self.detach(who, subscribers);
        }
    }
}
