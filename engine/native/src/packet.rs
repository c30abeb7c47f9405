//! A packet on its way from a publisher to subscribers, and the last ones of a stream.

use std::collections::VecDeque;

use ahash::AHashMap;

use crate::codecs::Marks;

/// Packets of one generation of a ring.
pub const GENERATION_PACKETS: usize = 128;
/// Bytes of one generation, more than its packets have.
const GENERATION_BYTES: usize = 256 * 1024;
const GENERATION_TICKS: u32 = 2;
/// A packet is kept for five to six of them: a second at least, as libwebrtc keeps what it sent, or
/// 640 packets of a faster stream.
const GENERATIONS: usize = 6;

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

#[derive(Clone, Copy, Debug)]
struct Stored {
    first: u8,
    marker_and_type: u8,
    timestamp: u32,
    marks: Option<Marks>,
    /// Where its block begins, its payload, and where that ends.
    at: [usize; 3],
}

/// Packets that came one after the other, in one piece of memory.
#[derive(Debug, Default)]
struct Generation {
    packets: AHashMap<i64, Stored>,
    bytes: Vec<u8>,
}

impl Generation {
    fn store(&mut self, packet: &Packet<'_>) {
        let begin = self.bytes.len();
        self.bytes.extend_from_slice(packet.block);
        let payload_at = self.bytes.len();
        self.bytes.extend_from_slice(packet.payload);
        let stored = Stored {
            first: packet.first,
            marker_and_type: packet.marker_and_type,
            timestamp: packet.timestamp,
            marks: packet.marks,
            at: [begin, payload_at, self.bytes.len()],
        };
        self.packets.insert(packet.extended, stored);
    }

    fn find(&self, extended: i64) -> Option<Packet<'_>> {
        let Stored { first, marker_and_type, timestamp, marks, at: [begin, payload_at, end] } =
            *self.packets.get(&extended)?;
        Some(Packet {
            extended,
            first,
            marker_and_type,
            timestamp,
            block: self.bytes.get(begin..payload_at)?,
            payload: self.bytes.get(payload_at..end)?,
            marks,
        })
    }

    fn is_full(&self) -> bool {
        self.packets.len() >= GENERATION_PACKETS || self.bytes.len() >= GENERATION_BYTES
    }

    fn clear(&mut self) {
        self.packets.clear();
        self.bytes.clear();
    }

    /// The same in no more memory than it takes.
    fn compact(&self) -> Self {
        Self { packets: self.packets.clone(), bytes: self.bytes.as_slice().to_vec() }
    }
}

/// The last packets of a stream by extended sequence number, bounded in number and age.
#[derive(Debug, Default)]
pub struct PacketRing {
    newest: Generation,
    /// The youngest first.
    older: VecDeque<Generation>,
    age: u32,
}

impl PacketRing {
    /// Keep a copy of it until enough others came, or until it is old.
    pub fn store(&mut self, packet: &Packet<'_>) {
        self.newest.store(packet);
        if self.newest.is_full() {
            let over = std::mem::take(&mut self.newest);
            // The oldest one's memory serves on: a stream that is fast now will be in a moment.
            self.newest = self.turn(over).unwrap_or_default();
            self.newest.clear();
        }
    }

    /// Ten times a second.
    pub fn tick(&mut self) {
        self.age += 1;
        let is_empty = self.newest.packets.is_empty() && self.older.is_empty();
        if self.age >= GENERATION_TICKS && !is_empty {
            // Most of what is kept is of slow streams: half of it would be room to grow.
            let over = self.newest.compact();
            self.newest.clear();
            self.turn(over);
            if self.older.iter().all(|each| each.packets.is_empty()) {
                self.older.clear();
                self.newest = Generation::default();
            }
        }
    }

    /// Put a generation that is over before the older ones; returns the one that is forgotten.
    fn turn(&mut self, over: Generation) -> Option<Generation> {
        self.age = 0;
        self.older.push_front(over);
        if self.older.len() < GENERATIONS { None } else { self.older.pop_back() }
    }

    /// The packet of that number, `None` if it is gone or never came.
    pub fn find(&self, extended: i64) -> Option<Packet<'_>> {
        let mut generations = std::iter::once(&self.newest).chain(&self.older);
        generations.find_map(|each| each.find(extended))
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
    }

    #[test]
    fn it_is_bounded_in_number() {
        let mut ring = PacketRing::default();
        for number in 0..2000 {
            ring.store(&packet(number, b"payload"));
            assert!(ring.find(number).is_some());
            assert!(number < 640 || ring.find(number - 639).is_some());
            assert!(ring.find(number - 768).is_none());
        }
    }

    #[test]
    fn a_slow_stream_takes_no_more_than_its_packets() {
        let mut ring = PacketRing::default();
        for number in 0..100 {
            ring.store(&packet(number, &[7; 1000]));
            if number % 5 == 4 {
                ring.tick();
                ring.tick();
            }
        }
        assert!(ring.older.len() == GENERATIONS - 1 && ring.find(99).is_some());
        assert!(ring.older.iter().all(|each| each.bytes.capacity() == 5 * 1004));
    }

    #[test]
    fn a_stream_that_has_ended_is_forgotten() {
        let mut ring = PacketRing::default();
        ring.store(&packet(1, b""));
        for _ in 0..10 {
            assert!(ring.find(1).is_some());
            ring.tick();
        }
        ring.tick();
        ring.tick();
        assert!(ring.find(1).is_none());
        for _ in 0..20 {
            ring.tick();
        }
        assert!(ring.older.is_empty() && ring.newest.bytes.capacity() == 0);
    }
}
