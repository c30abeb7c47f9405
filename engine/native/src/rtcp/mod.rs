//! Compound RTCP packets (RFC 3550 section 6.1), as far as the plane needs them.

mod read;
mod write;

pub use read::{MAX_PACKETS, keyframe_ssrcs, parse, remb};
pub use write::{
    write_cname, write_fir, write_nack, write_pli, write_receiver_report, write_remb,
    write_sender_report, write_transport_feedback,
};

use crate::transport_feedback::TransportFeedback;

/// FMT of a generic NACK among transport-layer feedback (RFC 4585 section 6.2.1).
pub const NACK: u8 = 1;
/// FMT of a PLI among payload-specific feedback (RFC 4585 section 6.3.1).
pub const PLI: u8 = 1;
/// FMT of a FIR among payload-specific feedback (RFC 5104 section 4.3.1).
pub const FIR: u8 = 4;
/// FMT of a REMB among payload-specific feedback (draft-alvestrand-rmcat-remb-03).
pub const REMB: u8 = 15;

const SENDER_REPORT: u8 = 200;
const RECEIVER_REPORT: u8 = 201;
const SOURCE_DESCRIPTION: u8 = 202;
const BYE: u8 = 203;
const TRANSPORT: u8 = 205;
const PAYLOAD: u8 = 206;
const VERSION: u8 = 2;
const PADDING: u8 = 0x20;
const COUNT: u8 = 0x1F;
const REMB_NAME: [u8; 4] = *b"REMB";

/// What a sender says of its clock and its packets (RFC 3550 section 6.4.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SenderInfo {
    /// 32.32 bits of seconds.
    pub ntp_timestamp: u64,
    /// The same moment on the stream's clock.
    pub rtp_timestamp: u32,
    /// Modulo 2^32.
    pub packet_count: u32,
    /// Modulo 2^32.
    pub octet_count: u32,
}

/// How one stream is received (RFC 3550 section 6.4.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReceiverInfo {
    /// Whose.
    pub ssrc: u32,
    /// Since the last report, in 1/256.
    pub fraction_lost: u8,
    /// In all, of 24 bits with a sign; clamped when written.
    pub packets_lost: i64,
    /// Extended.
    pub highest_sequence: u32,
    /// In units of the timestamp.
    pub jitter: u32,
    /// The middle 32 bits of the last sender report's NTP time, 0 without one.
    pub lsr: u32,
    /// Since that report came, in 1/65536 s.
    pub dlsr: u32,
}

/// One packet of a compound one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Packet<'a> {
    /// SR.
    SenderReport {
        /// Of the sender.
        ssrc: u32,
        /// Of the sender.
        info: SenderInfo,
        /// What it receives.
        reports: Vec<ReceiverInfo>,
    },
    /// RR.
    ReceiverReport {
        /// Of the receiver.
        ssrc: u32,
        /// What it receives.
        reports: Vec<ReceiverInfo>,
    },
    /// SDES, of which the items are checked and left out.
    SourceDescription {
        /// Of its chunks.
        ssrcs: Vec<u32>,
    },
    /// BYE.
    Bye {
        /// Who is leaving.
        ssrcs: Vec<u32>,
    },
    /// RTPFB but for transport-wide feedback.
    TransportLayer {
        /// FMT.
        format: u8,
        /// Of who sends it.
        ssrc: u32,
        /// Of whom it is meant for.
        media_ssrc: u32,
        /// Sequence numbers, as a generic NACK names them.
        lost: Vec<u16>,
    },
    /// PSFB.
    PayloadSpecific {
        /// FMT.
        format: u8,
        /// Of who sends it.
        ssrc: u32,
        /// Of whom it is meant for.
        media_ssrc: u32,
        /// Feedback control information.
        fci: &'a [u8],
    },
    /// Transport-wide feedback.
    TransportFeedback(TransportFeedback),
}
