//! RTP headers and header extensions (RFC 3550 section 5.1, RFC 8285).

mod block;
mod extensions;

pub use block::{Block, MAX_BLOCK};
pub use extensions::{
    Element, Elements, Identifiers, elements, extension, find_extension, renumber_extensions,
};

use crate::Malformed;

/// Bytes of a header without CSRCs and extensions.
pub const HEADER: usize = 12;

/// Version and padding in a header's first byte.
pub const VERSION_AND_PADDING: u8 = 0xE0;
/// The padding bit in a header's first byte.
pub const PADDING: u8 = 0x20;
/// The extension bit in a header's first byte.
pub const EXTENSION: u8 = 0x10;
/// The marker bit beside the payload type.
pub const MARKER: u8 = 0x80;

/// The lowest audio level, in -dBov (RFC 6464 section 3).
pub const SILENCE: u8 = 127;

const ONE_BYTE: u16 = 0xBEDE;
const TRUNCATED: Malformed = Malformed("RTP header is truncated");
const EXTENSION_TRUNCATED: Malformed = Malformed("RTP header extension is truncated");

/// The first twelve bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Version, padding, extension and CSRC count.
    pub first: u8,
    /// Marker and payload type.
    pub marker_and_type: u8,
    /// Sequence number.
    pub sequence: u16,
    /// Timestamp.
    pub timestamp: u32,
    /// Synchronisation source.
    pub ssrc: u32,
}

impl Header {
    /// Read it.
    pub fn read(data: &[u8]) -> Result<Self, Malformed> {
        let bytes = data.first_chunk::<HEADER>().ok_or(TRUNCATED)?;
        let [first, marker_and_type, s0, s1, t0, t1, t2, t3, r0, r1, r2, r3] = *bytes;
        Ok(Self {
            first,
            marker_and_type,
            sequence: u16::from_be_bytes([s0, s1]),
            timestamp: u32::from_be_bytes([t0, t1, t2, t3]),
            ssrc: u32::from_be_bytes([r0, r1, r2, r3]),
        })
    }

    /// As it stands in a packet.
    pub fn to_bytes(self) -> [u8; HEADER] {
        let [s0, s1] = self.sequence.to_be_bytes();
        let [t0, t1, t2, t3] = self.timestamp.to_be_bytes();
        let [r0, r1, r2, r3] = self.ssrc.to_be_bytes();
        [self.first, self.marker_and_type, s0, s1, t0, t1, t2, t3, r0, r1, r2, r3]
    }

    /// Payload type without the marker.
    pub fn payload_type(self) -> u8 {
        self.marker_and_type & !MARKER
    }
}

fn read_u16(data: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(*data.get(at..)?.first_chunk()?))
}

/// Where the header extension begins, behind the CSRCs.
fn extension_at(first: u8) -> usize {
    HEADER + 4 * usize::from(first & 0x0F)
}

/// Where the payload begins, behind CSRCs and header extensions.
pub fn payload_offset(data: &[u8]) -> Result<usize, Malformed> {
    let first = *data.first().ok_or(TRUNCATED)?;
    let mut offset = extension_at(first);
    if first & EXTENSION != 0 {
        let words = read_u16(data, offset + 2).ok_or(EXTENSION_TRUNCATED)?;
        offset += 4 + 4 * usize::from(words);
    }
    if data.len() < offset {
        return Err(TRUNCATED);
    }
    Ok(offset)
}

/// How many bytes of padding a packet says it ends with, 0 without the bit.
pub fn padding(data: &[u8]) -> usize {
    match (data.first(), data.last()) {
        (Some(first), Some(last)) if first & PADDING != 0 => usize::from(*last),
        _ => 0,
    }
}

/// Whether there is nothing in a packet but padding; its payload begins at `payload_at`.
pub fn is_padding_alone(data: &[u8], payload_at: usize) -> bool {
    data.len().saturating_sub(payload_at) <= padding(data)
}

/// An element of 16 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShortElement {
    /// From 1 to 14.
    pub identifier: u8,
    /// Of the transport-wide number: the number.
    pub value: u16,
}

/// Write a packet's header into `out` and return how long it is, `None` if there is no room.
///
/// `block` is a whole header extension block with one-byte headers, or empty; `element` is put
/// before its elements. The extension bit follows from the two.
pub fn write_header(
    out: &mut [u8],
    header: Header,
    element: Option<ShortElement>,
    block: &[u8],
) -> Option<usize> {
    let (place, rest) = out.split_first_chunk_mut::<HEADER>()?;
    let bare = element.is_none() && block.is_empty();
    let first = header.first & !EXTENSION | if bare { 0 } else { EXTENSION };
    *place = Header { first, ..header }.to_bytes();
    let Some(element) = element else {
        rest.get_mut(..block.len())?.copy_from_slice(block);
        return Some(HEADER + block.len());
    };
    let elements = block.get(4..).unwrap_or_default();
    let (place, rest) = rest.split_first_chunk_mut::<8>()?;
    let [p0, p1] = ONE_BYTE.to_be_bytes();
    let [w0, w1] = u16::try_from(elements.len() / 4 + 1).ok()?.to_be_bytes();
    let [v0, v1] = element.value.to_be_bytes();
    *place = [p0, p1, w0, w1, element.identifier << 4 | 1, v0, v1, 0];
    rest.get_mut(..elements.len())?.copy_from_slice(elements);
    Some(HEADER + 8 + elements.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::recorded;

    #[test]
    fn a_header_is_written_as_it_was_read() {
        for packet in recorded("rtp") {
            let header = Header::read(&packet).unwrap();
            assert_eq!(header.to_bytes(), packet[..HEADER]);
            assert_eq!(header.marker_and_type & !MARKER, header.payload_type());
        }
    }

    #[test]
    fn a_header_that_is_cut_short_is_refused() {
        for packet in recorded("rtp") {
            let offset = payload_offset(&packet).unwrap();
            for length in 0..offset {
                let cut = &packet[..length];
                assert!(Header::read(cut).is_err() || payload_offset(cut).is_err());
            }
        }
    }

    #[test]
    fn padding_alone_is_told() {
        let mut data = vec![0xA0, 96, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 7, 0, 0, 3];
        assert!(!is_padding_alone(&data, HEADER));
        data[15] = 4;
        assert!(is_padding_alone(&data, HEADER));
        data[0] = 0x80;
        assert!(!is_padding_alone(&data, HEADER));
        assert!(is_padding_alone(&data[..HEADER], HEADER));
    }
}
