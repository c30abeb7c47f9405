//! Payloads of each codec that is forwarded: where decoding can start, which numbers must go on.

pub mod av1;
pub mod h264;
mod payload;
pub mod red;
pub mod vp8;
pub mod vp9;

pub use payload::{Mark, Marks, Payload, Shift, following, shift};

use crate::Malformed;

/// A codec whose payloads are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codec {
    /// RFC 7741.
    Vp8,
    /// RFC 9628.
    Vp9,
    /// RFC 6184.
    H264,
    /// RTP Payload Format For AV1.
    Av1,
}

impl Codec {
    /// By mime type, in any case; `None` of one whose every packet can be a first one.
    pub fn from_mime(mime_type: &str) -> Option<Self> {
        [
            ("video/vp8", Self::Vp8),
            ("video/vp9", Self::Vp9),
            ("video/h264", Self::H264),
            ("video/av1", Self::Av1),
        ]
        .into_iter()
        .find_map(|(name, codec)| name.eq_ignore_ascii_case(mime_type).then_some(codec))
    }

    /// What forwarding needs to know of a payload.
    pub fn read(self, payload: &[u8]) -> Result<Payload, Malformed> {
        match self {
            Self::Vp8 => vp8::read(payload),
            Self::Vp9 => vp9::read(payload),
            Self::H264 => h264::read(payload),
            Self::Av1 => av1::read(payload),
        }
    }
}
