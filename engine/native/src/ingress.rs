//! All that comes from one publisher, before its streams are told apart.
//!
//! Packets are noted for transport-wide feedback where that was negotiated; elsewhere what the path
//! carries is estimated, by the control, from the times of sending that the packets name. A packet
//! that comes again by RTX (RFC 4588) is turned back into the one that was lost.

use std::ops::Range;

use ahash::AHashMap;

use crate::Malformed;
use crate::retransmission::unwrap;
use crate::rtp::{self, Header};
use crate::transport_feedback::{ArrivalRecorder, TransportFeedback};

const MAX_RTX_SSRCS: usize = 16;
const MAX_NOTED: usize = 512;
/// In a second; the number has 24 bits and wraps every 64 s.
const ABS_SEND_TIME_UNITS: f64 = 262_144.0;
const ABS_SEND_TIME_RANGE: i64 = 1 << 24;

/// What became of one packet.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Outcome {
    /// When it was sent, in seconds.
    pub sent: f64,
    /// When it arrived, in seconds of another clock; `None` if it has not.
    pub arrived: Option<f64>,
    /// Its bytes.
    pub size: usize,
}

/// The numbers that header extensions have for a whole transport.
#[derive(Clone, Copy, Debug, Default)]
pub struct TransportExtensions {
    /// Transport-wide number.
    pub transport: Option<u8>,
    /// Absolute time of sending.
    pub send_time: Option<u8>,
    /// MID.
    pub mid: Option<u8>,
    /// RID of the stream that an RTX stream repeats.
    pub repaired_rid: Option<u8>,
}

/// A packet that may be forwarded: where it is in the buffer, and whether it came again by RTX.
pub(crate) struct Received {
    pub(crate) range: Range<usize>,
    pub(crate) again: bool,
}

/// The receiving side of one publisher's transport.
#[derive(Debug, Default)]
pub(crate) struct Ingress {
    recorder: ArrivalRecorder,
    noted: Vec<Outcome>,
    sent: i64,
    extensions: TransportExtensions,
    /// From payload types of RTX to those of what they repeat.
    associated: Vec<(u8, u8)>,
    /// From SSRCs of RTX to those of what they repeat.
    repaired: AHashMap<u32, u32>,
    pub(crate) media_ssrc: u32,
}

impl Ingress {
    pub(crate) fn negotiated(
        &mut self,
        extensions: TransportExtensions,
        associated: Vec<(u8, u8)>,
        pairs: impl IntoIterator<Item = (u32, u32)>,
    ) {
        self.extensions = extensions;
        self.associated = associated;
        self.repaired = pairs.into_iter().collect();
    }

    /// Note a packet; `None` if it holds nothing to forward. `ssrc_of` finds the SSRC of a layer by
    /// its MID and RID.
    pub(crate) fn received(
        &mut self,
        data: &mut [u8],
        arrived: f64,
        ssrc_of: impl FnOnce(&[u8], &[u8]) -> Option<u32>,
    ) -> Result<Option<Received>, Malformed> {
        let header = Header::read(data)?;
        if let Some(transport) = self.extensions.transport {
            if let Some([high, low, ..]) = rtp::extension(data, transport)? {
                self.recorder.record(u16::from_be_bytes([*high, *low]), arrived);
            }
        } else if let Some(send_time) = self.extensions.send_time {
            if let Some([high, middle, low]) = rtp::extension(data, send_time)? {
                self.note(u32::from_be_bytes([0, *high, *middle, *low]), data.len(), arrived);
            }
        }
        let found = self.associated.iter().find(|(rtx, _)| *rtx == header.payload_type());
        let Some(&(_, payload_type)) = found else {
            self.media_ssrc = header.ssrc;
            return Ok(Some(Received { range: 0..data.len(), again: false }));
        };
        let Some(original) = self.original(data, header.ssrc, ssrc_of)? else {
            return Ok(None);
        };
        let range = unwrap(data, payload_type, original)?;
        Ok(range.map(|range| Received { range, again: true }))
    }

    fn note(&mut self, stamp: u32, size: usize, arrived: f64) {
        if self.noted.len() >= MAX_NOTED {
            return;
        }
        let step = (i64::from(stamp) - self.sent).rem_euclid(ABS_SEND_TIME_RANGE);
        let wraps = step >= ABS_SEND_TIME_RANGE / 2;
        self.sent += step - if wraps { ABS_SEND_TIME_RANGE } else { 0 };
        let sent = self.sent as f64 / ABS_SEND_TIME_UNITS;
        self.noted.push(Outcome { sent, arrived: Some(arrived), size });
    }

    /// Whose packets this RTX stream repeats: by SDP, else by the RID it names.
    fn original(
        &mut self,
        data: &[u8],
        ssrc: u32,
        ssrc_of: impl FnOnce(&[u8], &[u8]) -> Option<u32>,
    ) -> Result<Option<u32>, Malformed> {
        if let Some(original) = self.repaired.get(&ssrc) {
            return Ok(Some(*original));
        }
        let (Some(mid), Some(rid)) = (self.extensions.mid, self.extensions.repaired_rid) else {
            return Ok(None);
        };
        let mid = rtp::extension(data, mid)?.unwrap_or_default();
        let rid = rtp::extension(data, rid)?.unwrap_or_default();
        if mid.is_empty() || rid.is_empty() || self.repaired.len() >= MAX_RTX_SSRCS {
            return Ok(None);
        }
        let found = ssrc_of(mid, rid);
        if let Some(original) = found {
            self.repaired.insert(ssrc, original);
        }
        Ok(found)
    }

    /// A stream is over; its RTX stream may belong to another one from now on.
    pub(crate) fn forget(&mut self, ssrc: u32) {
        self.repaired.retain(|_, original| *original != ssrc);
    }

    /// Outcomes since the last call, of a publisher without transport-wide feedback.
    pub(crate) fn take_noted(&mut self) -> Vec<Outcome> {
        std::mem::take(&mut self.noted)
    }

    /// What the publisher is to be told of what arrived.
    pub(crate) fn messages(&mut self) -> Vec<TransportFeedback> {
        self.recorder.messages()
    }
}
