//! Header extensions as they come, and their numbers (RFC 8285).

use std::ops::Range;

use super::{
    EXTENSION, EXTENSION_TRUNCATED, ONE_BYTE, TRUNCATED, extension_at, payload_offset, read_u16,
};
use crate::Malformed;

const TWO_BYTE: u16 = 0x1000;

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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::rtp::{Block, Header, ShortElement, write_header};
    use crate::testing::{cases, damaged};

    fn packet(profile: [u8; 2], block: &[u8], payload: &[u8]) -> Vec<u8> {
        let words = u8::try_from(block.len() / 4).unwrap();
        let header = [0x90, 96, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3];
        [&header[..], &profile, &[0, words], block, payload].concat()
    }

    fn found(data: &[u8]) -> Vec<(u8, Vec<u8>)> {
        let each = elements(data).unwrap().map(Result::unwrap);
        each.map(|element| (element.identifier, element.value.to_vec())).collect()
    }

    /// Every way to read it, none of which may panic.
    fn read(data: &mut [u8]) {
        let offset = payload_offset(data);
        assert!(offset.is_err() || offset.is_ok_and(|offset| offset <= data.len()));
        let numbers: Identifiers = (0..15).map(|n| (n, 15 - n)).collect();
        let mut block = Block::default();
        if block.push_mapped(data, &numbers).is_ok() {
            let written = block.finish().to_vec();
            let header =
                Header { first: 0x80, marker_and_type: 96, sequence: 1, timestamp: 2, ssrc: 3 };
            let element = ShortElement { identifier: 2, value: 0xABCD };
            let mut out = [0; 300];
            let length = write_header(&mut out, header, Some(element), &written).unwrap();
            let read = found(&out[..length]);
            assert_eq!(read[0], (2, vec![0xAB, 0xCD]));
            assert!(
                write_header(&mut out[..length - 1], header, Some(element), &written).is_none()
            );
        }
        for identifier in 0..=255 {
            let value = extension(data, identifier).map(|value| value.map(<[u8]>::to_vec));
            let place = find_extension(data, identifier);
            assert_eq!(value, place.map(|place| place.map(|place| data[place].to_vec())));
        }
        let length = data.len();
        let _ = renumber_extensions(data, &numbers);
        assert_eq!(data.len(), length);
    }

    proptest! {
        #![proptest_config(cases())]

        #[test]
        fn any_bytes_are_read_without_a_panic(mut data in prop::collection::vec(any::<u8>(), 0..80)) {
            read(&mut data);
            data.insert(0, 0x90);
            read(&mut data);
        }

        #[test]
        fn any_damaged_packet_is_read_without_a_panic(mut data in damaged("rtp")) {
            read(&mut data);
        }

        #[test]
        fn what_is_written_is_found(
            elements in prop::collection::vec((1..15u8, prop::collection::vec(any::<u8>(), 1..17)), 0..8),
        ) {
            let mut block = Block::default();
            for (identifier, value) in &elements {
                prop_assert!(block.push(*identifier, value));
            }
            let header = Header { first: 0x80, marker_and_type: 0, sequence: 1, timestamp: 2, ssrc: 3 };
            let mut out = [0; 300];
            let length = write_header(&mut out, header, None, block.finish()).unwrap();
            prop_assert_eq!(payload_offset(&out[..length]), Ok(length));
            prop_assert_eq!(found(&out[..length]), elements);
        }
    }

    #[test]
    fn both_forms_are_read() {
        let one = packet([0xBE, 0xDE], &[0x31, 1, 2, 0, 0x10, 9, 0, 0], b"x");
        assert_eq!(found(&one), [(3, vec![1, 2]), (1, vec![9])]);
        let two = packet([0x10, 0], &[3, 2, 1, 2, 0, 200, 0, 0], b"x");
        assert_eq!(found(&two), [(3, vec![1, 2]), (200, vec![])]);
        assert_eq!(found(&packet([1, 2], &[0x31, 1, 2, 0], b"x")), []);
    }

    #[test]
    fn the_reserved_number_ends_it() {
        let data = packet([0xBE, 0xDE], &[0x10, 9, 0xF0, 1, 0x20, 8, 0, 0], b"");
        assert_eq!(found(&data), [(1, vec![9])]);
    }

    #[test]
    fn numbers_are_changed_in_place_and_others_cleared() {
        let mut data = packet([0xBE, 0xDE], &[0x31, 1, 2, 0x10, 9, 0, 0, 0], b"payload");
        renumber_extensions(&mut data, &[(3, 7)].into_iter().collect()).unwrap();
        assert_eq!(data, packet([0xBE, 0xDE], &[0x71, 1, 2, 0, 0, 0, 0, 0], b"payload"));
    }

    #[test]
    fn truncated_ones_are_refused() {
        for block in [[0x13, 1, 2, 3], [0x1F, 0, 0, 0], [0, 0, 0, 0x10]] {
            assert!(extension(&packet([0xBE, 0xDE], &block, b"payload"), 1).is_err());
        }
        let whole = packet([0xBE, 0xDE], &[0x12, 1, 2, 3], b"");
        assert_eq!(extension(&whole, 1), Ok(Some(&[1, 2, 3][..])));
        assert!(extension(&whole[..whole.len() - 1], 1).is_err());
        assert!(extension(&packet([0x10, 0], &[0, 0, 0, 1], b""), 1).is_err());
    }

    #[test]
    fn a_block_is_bounded() {
        let mut block = Block::default();
        while block.push(1, &[7; 16]) {}
        assert_eq!(block.finish().len(), 4 + 14 * 17 + 2);
        assert!(!block.push(1, &[]) && !block.push(1, &[0; 17]));
    }
}
