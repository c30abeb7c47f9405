//! A header extension block as it is sent.

use super::{Identifiers, ONE_BYTE, elements, payload_offset};
use crate::Malformed;

/// The longest block that is written: 252 bytes of elements.
pub const MAX_BLOCK: usize = 256;

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
