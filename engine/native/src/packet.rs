//! A packet on its way from a publisher to subscribers, and the last ones of a stream.

use std::collections::VecDeque;

use ahash::AHashMap;

use crate::codecs::Marks;

/// The most packets of a ring.
pub const RING_PACKETS: usize = 512;
/// The most bytes of a ring.
pub const RING_BYTES: usize = 512 * 1024;

/// A packet as every subscriber gets it but for its header's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    /// The publisher's extended sequence number.
    pub extended: i64,
    /// The header's first byte.
    pub first: u8,
    /// The publisher's.
    pub marker_and_type: u8,
    /// The publisher's.
    pub timestamp: u32,
    /// The header extensions that are passed on, as a whole block; or empty.
    pub block: &'a [u8],
    /// What follows them.
    pub payload: &'a [u8],
    /// The numbers of the payload's descriptor.
    pub marks: Option<Marks>,
}

#[derive(Debug)]
struct Stored {
    extended: i64,
    first: u8,
    marker_and_type: u8,
    timestamp: u32,
    marks: Option<Marks>,
    payload_at: usize,
    tail: Box<[u8]>,
}

impl Stored {
    fn packet(&self) -> Option<Packet<'_>> {
        let (block, payload) = self.tail.split_at_checked(self.payload_at)?;
        Some(Packet {
            extended: self.extended,
            first: self.first,
            marker_and_type: self.marker_and_type,
            timestamp: self.timestamp,
            block,
            payload,
            marks: self.marks,
        })
    }
}

/// The last packets of a stream by extended sequence number, bounded in number and bytes.
#[derive(Debug, Default)]
pub struct PacketRing {
    /// In the order in which they were stored; `None` where one was replaced.
    stored: VecDeque<Option<Stored>>,
    /// How many have left the front of `stored`.
    gone: usize,
    /// Where each stands, counted from the first of all.
    places: AHashMap<i64, usize>,
    bytes: usize,
}

impl PacketRing {
    /// Keep a copy of it until enough others came.
    pub fn store(&mut self, packet: &Packet<'_>) {
        let mut tail = Vec::with_capacity(packet.block.len() + packet.payload.len());
        tail.extend_from_slice(packet.block);
        tail.extend_from_slice(packet.payload);
        self.bytes += tail.len();
        let place = self.gone + self.stored.len();
        if let Some(before) = self.places.insert(packet.extended, place) {
            let replaced = self.stored.get_mut(before - self.gone).and_then(Option::take);
            self.bytes -= replaced.map_or(0, |each| each.tail.len());
        }
        self.stored.push_back(Some(Stored {
            extended: packet.extended,
            first: packet.first,
            marker_and_type: packet.marker_and_type,
            timestamp: packet.timestamp,
            marks: packet.marks,
            payload_at: packet.block.len(),
            tail: tail.into_boxed_slice(),
        }));
        while self.places.len() > RING_PACKETS
            || self.bytes > RING_BYTES
            || matches!(self.stored.front(), Some(None))
        {
            let Some(oldest) = self.stored.pop_front() else {
                return;
            };
            self.gone += 1;
            if let Some(oldest) = oldest {
                self.bytes -= oldest.tail.len();
                self.places.remove(&oldest.extended);
            }
        }
    }

    /// The packet of that number, `None` if it is gone or never came.
    pub fn find(&self, extended: i64) -> Option<Packet<'_>> {
        let place = *self.places.get(&extended)?;
        self.stored.get(place - self.gone)?.as_ref()?.packet()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(extended: i64, payload: &[u8]) -> Packet<'_> {
        Packet {
            extended,
            first: 0x90,
            marker_and_type: 96,
            timestamp: 5,
            block: b"blck",
            payload,
            marks: None,
        }
    }

    #[test]
    fn what_is_stored_is_found() {
        let mut ring = PacketRing::default();
        ring.store(&packet(7, b"seven"));
        assert_eq!(ring.find(7), Some(packet(7, b"seven")));
        assert_eq!(ring.find(8), None);
        ring.store(&packet(7, b"again"));
        assert_eq!(ring.find(7), Some(packet(7, b"again")));
        assert_eq!(ring.bytes, 9);
    }

    #[test]
    fn it_is_bounded_in_number_and_bytes() {
        let mut ring = PacketRing::default();
        for number in 0..3 * RING_PACKETS as i64 {
            ring.store(&packet(number, b""));
            ring.store(&packet(number.max(20) - 20, b"late"));
            assert!(ring.places.len() <= RING_PACKETS && ring.stored.len() <= 2 * RING_PACKETS);
        }
        let large = vec![0; RING_BYTES / 4];
        for number in 0..20 {
            ring.store(&packet(-number, &large));
        }
        assert_eq!(ring.places.len(), 3);
        assert!(ring.find(-19).is_some() && ring.find(-16).is_none());
        ring.store(&packet(1, &vec![0; RING_BYTES]));
        assert!(ring.places.is_empty() && ring.bytes == 0);
    }
}
