//! RTP headers and header extensions (RFC 3550 section 5.1, RFC 8285).

use std::ops::Range;

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

/// The most that [`mapped`] and a block around it can take.
pub const MAX_BLOCK: usize = 256;

const ONE_BYTE: u16 = 0xBEDE;
const TWO_BYTE: u16 = 0x1000;
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

/// A header extension of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Element<'a> {
    /// Its number, as negotiated by `a=extmap`.
    pub identifier: u8,
    /// Its value, empty only with two-byte headers.
    pub value: &'a [u8],
}

/// The header extensions of a packet in their order, ended by the first that is truncated.
#[derive(Clone, Debug)]
pub struct Elements<'a> {
    rest: &'a [u8],
    /// Where in the packet they end.
    end: usize,
    one_byte: bool,
}

impl<'a> Elements<'a> {
    const NONE: Self = Self { rest: &[], end: 0, one_byte: true };

    fn take(&mut self) -> Option<Element<'a>> {
        let (identifier, length, value) = if self.one_byte {
            let (&header, value) = self.rest.split_first()?;
            (header >> 4, usize::from(header & 0x0F) + 1, value)
        } else {
            let ([identifier, length], value) = self.rest.split_first_chunk()?;
            (*identifier, usize::from(*length), value)
        };
        let (value, rest) = value.split_at_checked(length)?;
        self.rest = rest;
        Some(Element { identifier, value })
    }
}

impl<'a> Iterator for Elements<'a> {
    type Item = Result<Element<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        while let Some((0, rest)) = self.rest.split_first() {
            self.rest = rest;
        }
        let first = *self.rest.first()?;
        if self.one_byte && first >> 4 == 15 {
            self.rest = &[]; // reserved: the rest is ignored
            return None;
        }
        let element = self.take();
        if element.is_none() {
            self.rest = &[];
        }
        Some(element.ok_or(EXTENSION_TRUNCATED))
    }
}

/// The header extensions of a packet (RFC 8285 sections 4.2, 4.3); none of an unknown form.
pub fn elements(data: &[u8]) -> Result<Elements<'_>, Malformed> {
    let first = *data.first().ok_or(TRUNCATED)?;
    if first & EXTENSION == 0 {
        return Ok(Elements::NONE);
    }
    let end = payload_offset(data)?;
    let at = extension_at(first);
    let profile = read_u16(data, at).ok_or(EXTENSION_TRUNCATED)?;
    if profile != ONE_BYTE && profile & 0xFFF0 != TWO_BYTE {
        return Ok(Elements::NONE);
    }
    let rest = data.get(at + 4..end).ok_or(EXTENSION_TRUNCATED)?;
    Ok(Elements { rest, end, one_byte: profile == ONE_BYTE })
}

/// The value of one header extension, `None` if absent.
///
/// What follows it is not looked at.
pub fn extension(data: &[u8], identifier: u8) -> Result<Option<&[u8]>, Malformed> {
    for element in elements(data)? {
        let element = element?;
        if element.identifier == identifier {
            return Ok(Some(element.value));
        }
    }
    Ok(None)
}

/// From the numbers that header extensions have to those that they get.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identifiers([u8; 256]);

impl Default for Identifiers {
    fn default() -> Self {
        Self([0; 256])
    }
}

impl Identifiers {
    /// Pass `from` on as `to`, a number from 1 to 14.
    pub fn insert(&mut self, from: u8, to: u8) {
        if let Some(place) = self.0.get_mut(usize::from(from)) {
            *place = to & 0x0F;
        }
    }

    /// What it becomes, `None` if it is not passed on.
    pub fn get(&self, from: u8) -> Option<u8> {
        self.0.get(usize::from(from)).copied().filter(|&to| to != 0)
    }

    /// Whether nothing is passed on.
    pub fn is_empty(&self) -> bool {
        self.0 == [0; 256]
    }
}

impl FromIterator<(u8, u8)> for Identifiers {
    fn from_iter<T: IntoIterator<Item = (u8, u8)>>(pairs: T) -> Self {
        let mut identifiers = Self::default();
        for (from, to) in pairs {
            identifiers.insert(from, to);
        }
        identifiers
    }
}

/// A header extension block with one-byte headers that is being written, its four bytes of profile
/// and length first.
#[derive(Clone, Copy, Debug)]
pub struct Block {
    bytes: [u8; MAX_BLOCK],
    length: usize,
}

impl Default for Block {
    fn default() -> Self {
        Self { bytes: [0; MAX_BLOCK], length: 4 }
    }
}

impl Block {
    /// Add an element; false if it has no room, or its value not 1 to 16 bytes.
    pub fn push(&mut self, identifier: u8, value: &[u8]) -> bool {
        let end = self.length + 1 + value.len();
        let Some([header, place @ ..]) = self.bytes.get_mut(self.length..end) else {
            return false;
        };
        if !(1..=16).contains(&value.len()) {
            return false;
        }
        *header = identifier << 4 | (value.len() as u8 - 1);
        place.copy_from_slice(value);
        self.length = end;
        true
    }

    /// Add the time of sending: 6.18 bits of seconds.
    ///
    /// <http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time>
    pub fn push_abs_send_time(&mut self, identifier: u8, seconds: f64) -> bool {
        let stamp = ((seconds * 262_144.0) as i64 & 0xFF_FFFF) as u32;
        let [_, stamp @ ..] = stamp.to_be_bytes();
        self.push(identifier, &stamp)
    }

    /// Add those extensions of a packet that are passed on, with their other numbers, as far as
    /// there is room.
    pub fn push_mapped(&mut self, data: &[u8], identifiers: &Identifiers) -> Result<(), Malformed> {
        payload_offset(data)?;
        for element in elements(data)? {
            let element = element?;
            if let Some(identifier) = identifiers.get(element.identifier) {
                self.push(identifier, element.value);
            }
        }
        Ok(())
    }

    /// The elements alone, without padding.
    pub fn elements(&self) -> &[u8] {
        self.bytes.get(4..self.length).unwrap_or_default()
    }

    /// The block as it stands in a packet, of whole words; empty without elements.
    pub fn finish(&mut self) -> &[u8] {
        if self.length == 4 {
            return &[];
        }
        let words = (self.length - 1) / 4;
        let end = 4 * words + 4;
        if let Some(padding) = self.bytes.get_mut(self.length..end) {
            padding.fill(0);
        }
        if let Some(start) = self.bytes.first_chunk_mut() {
            let [p0, p1] = ONE_BYTE.to_be_bytes();
            let [w0, w1] = (words as u16).to_be_bytes();
            *start = [p0, p1, w0, w1];
        }
        self.bytes.get(..end).unwrap_or_default()
    }
}

/// Give the extensions of `identifiers` their new number in place, and clear all others.
///
/// Of a packet with one-byte element headers, as subscribers are sent; any other stays as it is.
/// Where it is truncated, what stands before has been changed.
pub fn renumber_extensions(packet: &mut [u8], identifiers: &Identifiers) -> Result<(), Malformed> {
    let first = *packet.first().ok_or(TRUNCATED)?;
    if first & EXTENSION == 0 {
        return Ok(());
    }
    let end = payload_offset(packet)?;
    let at = extension_at(first);
    if read_u16(packet, at) != Some(ONE_BYTE) {
        return Ok(());
    }
    let mut rest = packet.get_mut(at + 4..end).ok_or(EXTENSION_TRUNCATED)?;
    while let Some((header, values)) = rest.split_first_mut() {
        if *header >> 4 == 15 {
            break;
        }
        if *header == 0 {
            rest = values;
            continue;
        }
        let length = usize::from(*header & 0x0F) + 1;
        let (value, after) = values.split_at_mut_checked(length).ok_or(EXTENSION_TRUNCATED)?;
        match identifiers.get(*header >> 4) {
            Some(identifier) => *header = identifier << 4 | *header & 0x0F,
            None => {
                *header = 0;
                value.fill(0);
            }
        }
        rest = after;
    }
    Ok(())
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

/// Where the value of a header extension stands in a packet, to be written anew in place.
pub fn find_extension(data: &[u8], identifier: u8) -> Result<Option<Range<usize>>, Malformed> {
    let mut elements = elements(data)?;
    while let Some(element) = elements.next() {
        let element = element?;
        if element.identifier == identifier {
            let after = elements.end - elements.rest.len();
            return Ok(Some(after - element.value.len()..after));
        }
    }
    Ok(None)
}
