//! Receiving many datagrams at a time.

use std::io;
use std::net::SocketAddr;
use std::os::fd::BorrowedFd;

use crate::sys::{ReceiveSlots, Received};

const BUFFER: usize = 65_536;
/// From one buffer to the next. Buffers a power of two apart would share the same few lines of the
/// processor's caches, and a batch would push itself out of them.
const STRIDE: usize = BUFFER + 20 * 64;

/// One datagram: who sent it, and what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Datagram<'a> {
    /// Its source.
    pub source: SocketAddr,
    /// All of it.
    pub data: &'a [u8],
}

struct Message {
    source: SocketAddr,
    length: usize,
    segment: usize,
}

/// Buffers for so many messages, filled from one socket after another.
pub struct Inbox {
    memory: Vec<u8>,
    slots: ReceiveSlots,
    messages: Vec<Message>,
    capacity: usize,
}

impl Inbox {
    /// `capacity`: messages; each may be of several datagrams.
    pub fn new(capacity: usize) -> Self {
        Self {
            // Zeroed memory that is not touched is not there yet.
            memory: vec![0; capacity * STRIDE],
            slots: ReceiveSlots::new(capacity),
            messages: Vec::with_capacity(capacity),
            capacity,
        }
    }

    /// Messages that there is room for.
    pub fn room(&self) -> usize {
        self.capacity.saturating_sub(self.messages.len())
    }

    /// Messages that are there.
    pub fn len(&self) -> usize {
        self.messages.len()
    }

    /// Whether nothing is there.
    pub fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// Forget what is there.
    pub fn clear(&mut self) {
        self.messages.clear();
    }

    /// Receive up to `limit` messages behind those that are there; how many came.
    ///
    /// `WouldBlock` where there is nothing.
    pub fn receive(&mut self, socket: BorrowedFd<'_>, limit: usize) -> io::Result<usize> {
        let used = self.messages.len();
        let count = limit.min(self.room());
        let strides = self.memory.chunks_exact_mut(STRIDE).skip(used).take(count);
        let buffers = strides.filter_map(|stride| stride.get_mut(..BUFFER));
        let messages = &mut self.messages;
        self.slots.receive(socket, buffers, |received: Received| {
            // A message without an address keeps its place and counts for nothing.
            let source = received.source.unwrap_or_else(|| SocketAddr::from(([0, 0, 0, 0], 0)));
            messages.push(Message { source, length: received.length, segment: received.segment });
        })
    }

    /// The datagrams of one message, in the order in which they came.
    pub fn datagrams(&self, message: usize) -> impl Iterator<Item = Datagram<'_>> {
        let found = self.messages.get(message).and_then(|kept| {
            let start = message.checked_mul(STRIDE)?;
            let data = self.memory.get(start..start.checked_add(kept.length)?)?;
            Some((kept, data))
        });
        found.into_iter().flat_map(|(kept, data)| {
            Segments { rest: Some(data), size: kept.segment }
                .map(|data| Datagram { source: kept.source, data })
        })
    }
}

/// Cuts a coalesced message; an empty one is one empty datagram.
struct Segments<'a> {
    rest: Option<&'a [u8]>,
    size: usize,
}

impl<'a> Iterator for Segments<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let rest = self.rest.take()?;
        if self.size == 0 || rest.len() <= self.size {
            return Some(rest);
        }
        let (first, others) = rest.split_at_checked(self.size)?;
        self.rest = Some(others);
        Some(first)
    }
}

#[cfg(test)]
mod tests {
    use super::Segments;

    fn cut(data: &[u8], size: usize) -> Vec<&[u8]> {
        Segments { rest: Some(data), size }.collect()
    }

    #[test]
    fn a_message_is_cut_into_its_datagrams() {
        assert_eq!(cut(b"abcdefg", 3), [b"abc".as_slice(), b"def", b"g"]);
        assert_eq!(cut(b"abcdef", 3), [b"abc".as_slice(), b"def"]);
        assert_eq!(cut(b"abc", 0), [b"abc".as_slice()]);
        assert_eq!(cut(b"", 0), [b"".as_slice()]);
        assert_eq!(cut(b"", 3), [b"".as_slice()]);
    }
}
