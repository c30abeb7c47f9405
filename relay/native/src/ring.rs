//! What is handed to the protocol core, in the order in which it came.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use callfleet_udp::{ErrorReport, EventFd};
use parking_lot::Mutex;

use crate::tables::Client;

const MAX_ITEMS: usize = 8192;
const MAX_BYTES: usize = 4 << 20;

/// One thing that the core is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Handed {
    /// A datagram that is not for the data plane, and which worker's listener it came to.
    Datagram {
        /// From whom.
        client: Client,
        /// Which thread owns the flows of this 5-tuple.
        worker: usize,
        /// All of it.
        data: Vec<u8>,
    },
    /// The client of a session has come from where it was expected.
    Arrived {
        /// Whose.
        session: u64,
        /// From where.
        client: Client,
    },
    /// An ICMP error about a datagram of a session.
    Error {
        /// Whose.
        session: u64,
        /// What.
        report: ErrorReport,
    },
}

impl Handed {
    fn bytes(&self) -> usize {
        match self {
            Self::Datagram { data, .. } => data.len(),
            _ => 0,
        }
    }
}

#[derive(Debug, Default)]
struct Waiting {
    items: VecDeque<Handed>,
    bytes: usize,
}

/// A bounded queue; its descriptor can be read while something is in it.
#[derive(Debug)]
pub struct Ring {
    waiting: Mutex<Waiting>,
    event: EventFd,
}

impl Ring {
    /// An empty one.
    pub fn new() -> io::Result<Self> {
        Ok(Self { waiting: Mutex::default(), event: EventFd::new()? })
    }

    /// Put one at the end; false where there is no room.
    pub(crate) fn push(&self, item: Handed) -> bool {
        let mut waiting = self.waiting.lock();
        let bytes = waiting.bytes + item.bytes();
        if waiting.items.len() >= MAX_ITEMS || bytes > MAX_BYTES {
            return false;
        }
        waiting.bytes = bytes;
        waiting.items.push_back(item);
        if waiting.items.len() == 1 {
            self.event.signal();
        }
        true
    }

    /// Take up to `limit` from the front.
    pub fn take(&self, limit: usize) -> Vec<Handed> {
        let mut waiting = self.waiting.lock();
        let count = limit.min(waiting.items.len());
        let taken: Vec<Handed> = waiting.items.drain(..count).collect();
        waiting.bytes -= taken.iter().map(Handed::bytes).sum::<usize>();
        if waiting.items.is_empty() {
            self.event.clear();
        }
        taken
    }
}

impl AsFd for Ring {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.event.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;

    fn datagram(size: usize) -> Handed {
        let address = SocketAddr::from(([127, 0, 0, 1], 1));
        let client = Client { listener: 0, address };
        Handed::Datagram { client, worker: 0, data: vec![0; size] }
    }

    #[test]
    fn what_comes_first_is_taken_first() {
        let ring = Ring::new().unwrap();
        assert!(ring.push(datagram(1)) && ring.push(datagram(2)) && ring.push(datagram(3)));
        assert_eq!(ring.take(2), [datagram(1), datagram(2)]);
        assert_eq!(ring.take(2), [datagram(3)]);
        assert!(ring.take(2).is_empty());
    }

    #[test]
    fn it_is_bounded_in_items_and_bytes() {
        let ring = Ring::new().unwrap();
        while ring.push(datagram(1 << 16)) {}
        assert_eq!(ring.take(usize::MAX).len(), MAX_BYTES >> 16);
        while ring.push(datagram(0)) {}
        assert_eq!(ring.take(usize::MAX).len(), MAX_ITEMS);
        assert!(ring.push(datagram(1 << 16)));
    }
}
