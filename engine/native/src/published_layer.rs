//! One encoding that a publisher sends: an SSRC with its numbers, its losses and its takers.

use crate::downtrack::DownRef;
use crate::inbound::InboundStream;
use crate::layers::RateMeter;
use crate::outgoing::Outgoing;
use crate::packet::PacketRing;
use crate::rtcp::{self, ReceiverInfo, SenderInfo};
use crate::timeline::SenderClock;
use crate::times::Times;
use crate::transport::Transport;

const KEYFRAME_INTERVAL_SECONDS: f64 = 0.5;
/// Whoever sends nothing for this long sends a keyframe no sooner for being asked.
const IDLE_SECONDS: f64 = 3.0;

/// Whom feedback goes to, and who says it.
pub(crate) struct Feedback<'a> {
    pub(crate) transport: &'a mut Transport,
    /// The engine's own SSRC.
    pub(crate) reporter: u32,
}

/// An SSRC of a track. A track without simulcast has one, of index 0 and without a RID.
///
/// `takers` are sent its packets; `waiting` are those who begin with its next keyframe.
#[derive(Debug)]
pub(crate) struct Layer {
    /// Among all that its publisher ever had.
    pub(crate) number: u32,
    pub(crate) index: usize,
    pub(crate) rid: String,
    pub(crate) ssrc: u32,
    pub(crate) is_video: bool,
    pub(crate) stream: InboundStream,
    pub(crate) ring: PacketRing,
    pub(crate) rate: RateMeter,
    /// Of the last sender report.
    pub(crate) clock: Option<SenderClock>,
    pub(crate) last_packet: f64,
    /// Extended sequence number of the last packet that was not forwarded, being muted.
    pub(crate) held_back_until: i64,
    pub(crate) nack_count: u64,
    pub(crate) pli_count: u64,
    pub(crate) takers: Vec<DownRef>,
    pub(crate) waiting: Vec<DownRef>,
    last_keyframe_request: f64,
    keyframe_wanted: bool,
    last_report: Option<(u32, f64)>,
}

impl Layer {
    pub(crate) fn new(
        number: u32,
        index: usize,
        rid: String,
        ssrc: u32,
        is_video: bool,
        clock_rate: u32,
    ) -> Self {
        Self {
            number,
            index,
            rid,
            ssrc,
            is_video,
            stream: InboundStream::new(clock_rate),
            ring: PacketRing::default(),
            rate: RateMeter::default(),
            clock: None,
            last_packet: 0.0,
            held_back_until: -1,
            nack_count: 0,
            pli_count: 0,
            takers: Vec::new(),
            waiting: Vec::new(),
            last_keyframe_request: f64::NEG_INFINITY,
            keyframe_wanted: false,
            last_report: None,
        }
    }

    /// The extended number of a packet; `None` of one that came by RTX and was not missing.
    pub(crate) fn number_of(
        &mut self,
        sequence: u16,
        timestamp: u32,
        times: Times,
        size: usize,
        again: bool,
    ) -> Option<i64> {
        if again {
            return self.stream.recover(sequence, times.arrived);
        }
        self.last_packet = times.now;
        Some(self.stream.add(sequence, timestamp, times.arrived, size))
    }

    /// Ask the publisher for a keyframe of a video, at most once in half a second.
    pub(crate) fn request_keyframe(
        &mut self,
        feedback: &mut Feedback<'_>,
        outgoing: &mut Outgoing,
        now: f64,
    ) {
        if !self.is_video {
            return;
        }
        self.keyframe_wanted = true;
        if now - self.last_keyframe_request < KEYFRAME_INTERVAL_SECONDS {
            return;
        }
        let mut request = Vec::with_capacity(12);
        rtcp::write_pli(&mut request, feedback.reporter, self.ssrc);
        if feedback.transport.send_rtcp(&request, outgoing) {
            self.keyframe_wanted = false;
            self.last_keyframe_request = now;
            self.pli_count += 1;
        }
    }

    /// Ask for the packets that are missing of a video.
    pub(crate) fn ask_again(
        &mut self,
        feedback: &mut Feedback<'_>,
        outgoing: &mut Outgoing,
        now: f64,
    ) {
        if !self.is_video {
            return;
        }
        let mut lost = Vec::new();
        self.stream.nack(now, &mut lost);
        if !lost.is_empty() {
            self.nack_count += 1;
            let mut request = Vec::with_capacity(64);
            rtcp::write_nack(&mut request, feedback.reporter, self.ssrc, &mut lost);
            feedback.transport.send_rtcp(&request, outgoing);
        }
    }

    /// Note the publisher's sender report.
    pub(crate) fn sender_report(&mut self, info: &SenderInfo, now: f64) {
        self.last_report = Some(((info.ntp_timestamp >> 16) as u32, now));
        self.clock = Some(SenderClock { ntp: info.ntp_timestamp, rtp: info.rtp_timestamp });
    }

    /// What a sender report of this moment would say (RFC 3550 section 6.4.1); the next one of the
    /// publisher may be seconds away.
    pub(crate) fn report_of(&self, now: f64) -> Option<SenderInfo> {
        let (clock, (_, at)) = (self.clock?, self.last_report?);
        let elapsed = now - at;
        let ticks = elapsed * f64::from(self.stream.clock_rate());
        Some(SenderInfo {
            ntp_timestamp: clock.ntp.wrapping_add((elapsed * 4_294_967_296.0) as i64 as u64),
            rtp_timestamp: clock.rtp.wrapping_add(ticks as i64 as u32),
            packet_count: 0,
            octet_count: 0,
        })
    }

    /// Ten times a second: repeat what is still wanted.
    pub(crate) fn tick(&mut self, feedback: &mut Feedback<'_>, outgoing: &mut Outgoing, now: f64) {
        self.rate.sample(now, self.stream.bytes_received());
        self.ring.tick();
        let awaited = !self.waiting.is_empty() && now - self.last_packet < IDLE_SECONDS;
        if self.keyframe_wanted || awaited {
            self.request_keyframe(feedback, outgoing, now);
        }
        if self.stream.has_missing() {
            self.ask_again(feedback, outgoing, now);
        }
    }

    /// How it is received (RFC 3550 section 6.4.1); `None` before the first packet.
    pub(crate) fn report(&mut self, now: f64) -> Option<ReceiverInfo> {
        if self.stream.packets_received() == 0 {
            return None;
        }
        let (lsr, dlsr) = self
            .last_report
            .map_or((0, 0), |(stamp, at)| (stamp, ((now - at) * 65_536.0) as i64 as u32));
        Some(ReceiverInfo {
            ssrc: self.ssrc,
            fraction_lost: self.stream.fraction_lost(),
            packets_lost: self.stream.packets_lost(),
            highest_sequence: self.stream.highest() as u32,
            jitter: self.stream.jitter_units(),
            lsr,
            dlsr,
        })
    }
}
