//! A message's header and attributes (RFC 8489 sections 5 and 14).

use std::fmt;

/// Bytes before the first attribute.
pub const HEADER: usize = 20;
/// What each message has behind its length.
pub const COOKIE: u32 = 0x2112_A442;
/// Attributes from here on may be left aside by who does not know them.
pub const FIRST_OPTIONAL: u16 = 0x8000;
/// CRC-32 of what is before it, to be checked by who reads it.
pub const FINGERPRINT: u16 = 0x8028;

const MAX_ATTRIBUTES: usize = 64;

/// Told by the client, repeated in the answer.
pub type Transaction = [u8; 12];

/// Its attributes overrun the message, or are more than anybody sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

impl fmt::Display for Malformed {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str("the attributes of a STUN message are not whole")
    }
}

impl std::error::Error for Malformed {}

/// A datagram with the header of a STUN message that is as long as it says.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// Class and method.
    pub kind: u16,
    /// Which exchange it belongs to.
    pub transaction: Transaction,
    /// All of it, from the header on.
    pub data: &'a [u8],
}

/// One attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attribute<'a> {
    /// Its type.
    pub kind: u16,
    /// Without its padding.
    pub value: &'a [u8],
    /// Where it begins in the datagram.
    pub at: usize,
}

impl<'a> Message<'a> {
    /// `None` for what is no STUN message, or not a whole one.
    pub fn read(data: &'a [u8]) -> Option<Self> {
        let [k0, k1, l0, l1, c0, c1, c2, c3, transaction @ ..] = *data.first_chunk::<HEADER>()?;
        let length = usize::from(u16::from_be_bytes([l0, l1]));
        let is_whole = data.len() == HEADER + length && length % 4 == 0;
        if !is_whole || u32::from_be_bytes([c0, c1, c2, c3]) != COOKIE {
            return None;
        }
        Some(Self { kind: u16::from_be_bytes([k0, k1]), transaction, data })
    }

    /// In their order; ends with an error where they are malformed.
    pub fn attributes(&self) -> impl Iterator<Item = Result<Attribute<'a>, Malformed>> + use<'a> {
        Attributes { data: self.data, at: HEADER, count: 0 }
    }
}

struct Attributes<'a> {
    data: &'a [u8],
    at: usize,
    count: usize,
}

impl<'a> Attributes<'a> {
    fn read(&mut self) -> Option<Attribute<'a>> {
        let at = self.at;
        let [k0, k1, s0, s1] = *self.data.get(at..)?.first_chunk()?;
        let size = usize::from(u16::from_be_bytes([s0, s1]));
        let value = self.data.get(at + 4..at + 4 + size)?;
        self.at = at + 4 + size.next_multiple_of(4);
        self.count += 1;
        let is_bounded = self.count <= MAX_ATTRIBUTES;
        is_bounded.then_some(Attribute { kind: u16::from_be_bytes([k0, k1]), value, at })
    }
}

impl<'a> Iterator for Attributes<'a> {
    type Item = Result<Attribute<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.at >= self.data.len() {
            return None;
        }
        let read = self.read();
        if read.is_none() {
            self.at = self.data.len();
        }
        Some(read.ok_or(Malformed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{attribute, message};

    #[test]
    fn a_message_is_as_long_as_it_says() {
        let whole = message(1, &[attribute(0x8022, b"test")]);
        assert_eq!(Message::read(&whole).map(|read| read.kind), Some(1));
        for end in 0..whole.len() {
            assert!(Message::read(&whole[..end]).is_none());
        }
        let mut other = whole.clone();
        other[4] ^= 1; // the cookie
        assert!(Message::read(&other).is_none());
        other = whole;
        other.extend([0; 4]);
        assert!(Message::read(&other).is_none());
    }

    #[test]
    fn attributes_end_with_an_error_where_one_overruns() {
        let mut data = message(1, &[attribute(6, b"abc"), attribute(7, b"defg")]);
        let read: Vec<_> = Message::read(&data).unwrap().attributes().collect();
        assert_eq!(read.len(), 2);
        assert_eq!(read[0], Ok(Attribute { kind: 6, value: b"abc", at: 20 }));
        assert_eq!(read[1], Ok(Attribute { kind: 7, value: b"defg", at: 28 }));
        data[31] = 5;
        let read: Vec<_> = Message::read(&data).unwrap().attributes().collect();
        assert_eq!(read[1..], [Err(Malformed)]);
    }

    #[test]
    fn attributes_are_bounded_in_number() {
        let data = message(1, &vec![attribute(0x9000, b""); MAX_ATTRIBUTES + 5]);
        let read: Vec<_> = Message::read(&data).unwrap().attributes().collect();
        assert_eq!(read.len(), MAX_ATTRIBUTES + 1);
        assert_eq!(read.last(), Some(&Err(Malformed)));
    }
}
