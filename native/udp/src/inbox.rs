//! Receiving many datagrams at a time.

use std::io;
use std::net::SocketAddr;
use std::os::fd::BorrowedFd;
use std::time::SystemTime;

use crate::sys::{Noted, ReceiveSlots, Received};

const BUFFER: usize = 65_536;
/// From one buffer to the next. Buffers a power of two apart would share the same few lines of the
/// processor's caches, and a batch would push itself out of them.
const STRIDE: usize = BUFFER + 20 * 64;

/// One datagram: who sent it, what, and when it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Datagram<'a> {
    /// Its source.
    pub source: SocketAddr,
    /// All of it.
    pub data: &'a [u8],
    /// When the kernel took it in, after [`crate::receive_times`].
    pub arrived: Option<SystemTime>,
}

struct Message {
    source: SocketAddr,
    length: usize,
    noted: Noted,
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
            messages.push(Message { source, length: received.length, noted: received.noted });
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
            let Message { source, noted: Noted { segment, arrived }, .. } = *kept;
            Segments { rest: Some(data), size: segment }.map(move |data| Datagram {
                source,
                data,
                arrived,
            })
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
    use std::net::UdpSocket;
    use std::os::fd::AsFd;
    use std::thread;
    use std::time::{Duration, SystemTime};

    use super::{Inbox, Segments};
    use crate::receive_times;

    struct Pair(UdpSocket, UdpSocket);

    impl Pair {
        fn new() -> Self {
            let bind = || UdpSocket::bind("127.0.0.1:0").unwrap();
            Self(bind(), bind())
        }

        /// When a datagram arrived, and whether that was before it was taken.
        fn passed(&self) -> (Option<SystemTime>, bool) {
            let Self(sender, receiver) = self;
            let mut inbox = Inbox::new(2);
            sender.send_to(b"abc", receiver.local_addr().unwrap()).unwrap();
            let lying = SystemTime::now();
            while inbox.receive(receiver.as_fd(), 2).is_err() {}
            let datagram = inbox.datagrams(0).next().unwrap();
            assert_eq!(datagram.data, b"abc");
            (datagram.arrived, datagram.arrived.is_some_and(|arrived| arrived <= lying))
        }
    }

    #[test]
    fn the_kernel_says_when_it_came() {
        let (pair, before) = (Pair::new(), SystemTime::now());
        receive_times(pair.1.as_fd()).unwrap();
        // The kernel begins with it a little later, and until then tells the time of taking.
        for _ in 0..1000 {
            let (arrived, is_earlier) = pair.passed();
            assert!(arrived.unwrap() >= before);
            if is_earlier {
                return;
            }
            thread::sleep(Duration::from_millis(1));
        }
        panic!("it is told when they were taken");
    }

    #[test]
    fn unasked_it_says_nothing() {
        assert_eq!(Pair::new().passed().0, None);
    }

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
