//! What protection needs to know of a packet's header.

use crate::Error;

const FIXED: usize = 12;
const EXTENSION: u8 = 0x10;

/// Sequence number and SSRC of an RTP packet, and where its payload begins (RFC 3550 section 5.1).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rtp {
    pub(crate) sequence: u16,
    pub(crate) ssrc: u32,
    pub(crate) length: usize,
}

impl Rtp {
    pub(crate) fn read(packet: &[u8]) -> Result<Self, Error> {
        let (fixed, rest) = packet.split_first_chunk::<FIXED>().ok_or(Error::Truncated)?;
        let [first, _, n0, n1, _, _, _, _, s0, s1, s2, s3] = *fixed;
        let mut length = 4 * usize::from(first & 0x0F);
        if first & EXTENSION != 0 {
            let Some([_, _, w0, w1]) = rest.get(length..).and_then(<[u8]>::first_chunk) else {
                return Err(Error::Truncated);
            };
            length += 4 + 4 * usize::from(u16::from_be_bytes([*w0, *w1]));
        }
        if rest.len() < length {
            return Err(Error::Truncated);
        }
        Ok(Self {
            sequence: u16::from_be_bytes([n0, n1]),
            ssrc: u32::from_be_bytes([s0, s1, s2, s3]),
            length: FIXED + length,
        })
    }
}

/// The SSRC of the sender of an RTCP packet.
pub(crate) fn rtcp_ssrc(packet: &[u8]) -> Result<u32, Error> {
    let [_, _, _, _, s0, s1, s2, s3] = *packet.first_chunk().ok_or(Error::Truncated)?;
    Ok(u32::from_be_bytes([s0, s1, s2, s3]))
}
