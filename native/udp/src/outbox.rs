//! Sending many datagrams at a time.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use crate::sys::{Outgoing, SendSlots, send_to};

/// What every kernel with UDP_SEGMENT cuts at most (UDP_MAX_SEGMENTS).
const MAX_SEGMENTS: usize = 64;
/// A little less than the longest UDP payload of either family.
const MAX_TRAIN_BYTES: usize = 65_000;

/// Datagrams to one destination that may leave together: of one size, the last one maybe shorter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Train {
    /// Where they go.
    pub to: SocketAddr,
    /// How many.
    pub count: usize,
    segment: usize,
    bytes: usize,
    is_closed: bool,
}

impl Train {
    /// One datagram of `size` bytes.
    pub fn new(to: SocketAddr, size: usize) -> Self {
        Self { to, count: 1, segment: size, bytes: size, is_closed: size == 0 }
    }

    /// Add a datagram to the same destination; false where it must be in another train.
    pub fn admit(&mut self, size: usize, coalescing: &Coalescing) -> bool {
        if self.is_closed
            || size == 0
            || size > self.segment
            || self.segment >= coalescing.below.load(Relaxed)
            || self.count >= MAX_SEGMENTS
            || self.bytes.saturating_add(size) > MAX_TRAIN_BYTES
        {
            return false;
        }
        self.is_closed = size < self.segment;
        self.count += 1;
        self.bytes += size;
        true
    }

    fn segment_option(&self) -> u16 {
        if self.count > 1 { u16::try_from(self.segment).unwrap_or_default() } else { 0 }
    }
}

/// What a socket is known to refuse of UDP_SEGMENT.
#[derive(Debug)]
pub struct Coalescing {
    below: AtomicUsize,
}

impl Default for Coalescing {
    fn default() -> Self {
        Self { below: AtomicUsize::new(usize::MAX) }
    }
}

impl Coalescing {
    /// Segments of this size, or any, are not to be had.
    fn refused(&self, error: &io::Error, segment: usize) {
        match error.raw_os_error() {
            // Longer than a packet on the way may be: shorter ones can still go together.
            Some(libc::EINVAL | libc::EMSGSIZE) => {
                self.below.fetch_min(segment, Relaxed);
            }
            Some(libc::EIO | libc::EOPNOTSUPP | libc::ENOPROTOOPT) => self.below.store(0, Relaxed),
            _ => {}
        }
    }
}

/// Whether a datagram did not leave because of its size.
pub fn is_too_long(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::EMSGSIZE)
}

/// A datagram that did not leave.
#[derive(Debug)]
pub struct Lost {
    /// Its place among those given.
    pub datagram: usize,
    /// Why.
    pub error: io::Error,
}

/// Sends, and remembers the room that it took.
#[derive(Default)]
pub struct Outbox {
    slots: SendSlots,
}

impl Outbox {
    /// Send all trains, whose datagrams stand in `datagrams` one after the other, each of P parts.
    ///
    /// A datagram that fails is tried again where `once_more` says so; `lost` takes what failed for
    /// good.
    pub fn send<const P: usize>(
        &mut self,
        socket: BorrowedFd<'_>,
        trains: &[Train],
        datagrams: &[[IoSlice<'_>; P]],
        coalescing: &Coalescing,
        mut once_more: impl FnMut() -> bool,
        lost: &mut Vec<Lost>,
    ) {
        let (mut rest, mut first) = (trains, 0);
        while let Some((train, others)) = rest.split_first() {
            match self.send_trains(socket, rest, datagrams, first) {
                Ok(0) => return, // nothing is refused without an error
                Ok(sent) => {
                    first += rest.iter().take(sent).map(|each| each.count).sum::<usize>();
                    rest = rest.get(sent..).unwrap_or_default();
                }
                Err(error) => {
                    if train.count > 1 {
                        coalescing.refused(&error, train.segment);
                    }
                    for datagram in first..first + train.count {
                        if let Err(error) =
                            self.send_one(socket, train, datagrams, datagram, &mut once_more)
                        {
                            lost.push(Lost { datagram, error });
                        }
                    }
                    first += train.count;
                    rest = others;
                }
            }
        }
    }

    fn send_trains<const P: usize>(
        &mut self,
        socket: BorrowedFd<'_>,
        trains: &[Train],
        datagrams: &[[IoSlice<'_>; P]],
        first: usize,
    ) -> io::Result<usize> {
        if let ([train], Some([part])) = (trains, datagrams.get(first).map(<[_; P]>::as_slice)) {
            if train.count == 1 {
                // A message header is a tenth of what it costs.
                return send_to(socket, part, &train.to).map(|()| 1);
            }
        }
        let mut at = first;
        let messages = trains.iter().map(|train| {
            let parts = datagrams.get(at..at + train.count).unwrap_or_default();
            at += train.count;
            Outgoing { to: &train.to, parts: parts.as_flattened(), segment: train.segment_option() }
        });
        self.slots.send(socket, messages)
    }

    fn send_one<const P: usize>(
        &mut self,
        socket: BorrowedFd<'_>,
        train: &Train,
        datagrams: &[[IoSlice<'_>; P]],
        datagram: usize,
        once_more: &mut impl FnMut() -> bool,
    ) -> io::Result<()> {
        let alone = [Train::new(train.to, 0)];
        match self.send_trains(socket, &alone, datagrams, datagram) {
            Err(_) if once_more() => self.send_trains(socket, &alone, datagrams, datagram)?,
            other => other?,
        };
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Coalescing, Outbox, Train};
    use crate::{Inbox, receive_coalesced};
    use std::io::IoSlice;
    use std::net::{SocketAddr, UdpSocket};
    use std::os::fd::AsFd;

    fn nowhere() -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], 9))
    }

    #[test]
    fn trains_are_of_one_size_and_end_with_a_shorter_one() {
        let coalescing = Coalescing::default();
        let mut train = Train::new(nowhere(), 10);
        assert!(train.admit(10, &coalescing));
        assert!(!train.admit(11, &coalescing));
        assert!(!train.admit(0, &coalescing));
        assert!(train.admit(9, &coalescing));
        assert!(!train.admit(9, &coalescing));
        assert!(!Train::new(nowhere(), 0).admit(0, &coalescing));
    }

    #[test]
    fn trains_are_bounded() {
        let coalescing = Coalescing::default();
        let mut many = Train::new(nowhere(), 1);
        while many.admit(1, &coalescing) {}
        assert_eq!(many.count, 64);
        let mut long = Train::new(nowhere(), 1400);
        while long.admit(1400, &coalescing) {}
        assert_eq!(long.count, 46);
    }

    fn sent(sizes: &[usize], gathers: bool) -> Vec<Vec<u8>> {
        let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
        if gathers {
            receive_coalesced(receiver.as_fd()).unwrap();
        }
        let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
        let to = receiver.local_addr().unwrap();
        let coalescing = Coalescing::default();
        let data: Vec<Vec<u8>> = sizes
            .iter()
            .enumerate()
            .map(|(at, size)| vec![u8::try_from(at).unwrap(); *size])
            .collect();
        let mut trains: Vec<Train> = Vec::new();
        for each in &data {
            let joined = trains.last_mut().is_some_and(|last| last.admit(each.len(), &coalescing));
            if !joined {
                trains.push(Train::new(to, each.len()));
            }
        }
        let parts: Vec<[IoSlice<'_>; 2]> = data
            .iter()
            .map(|each| {
                let (one, two) = each.split_at(each.len() / 2);
                [IoSlice::new(one), IoSlice::new(two)]
            })
            .collect();
        let mut lost = Vec::new();
        Outbox::default().send(sender.as_fd(), &trains, &parts, &coalescing, || false, &mut lost);
        assert!(lost.is_empty(), "{lost:?}");
        let mut inbox = Inbox::new(4);
        let mut received = Vec::new();
        while received.len() < data.len() {
            inbox.clear();
            if inbox.receive(receiver.as_fd(), 4).is_err() {
                std::thread::yield_now();
                continue;
            }
            for message in 0..inbox.len() {
                received.extend(inbox.datagrams(message).map(|each| each.data.to_vec()));
            }
        }
        assert_eq!(received, data);
        received
    }

    #[test]
    fn what_is_sent_arrives_as_it_was() {
        for gathers in [false, true] {
            sent(&[160; 8], gathers);
            sent(&[100, 100, 7, 100, 0, 0, 5, 6], gathers);
            sent(&[30_000, 30_000, 10], gathers); // the kernel refuses segments above the MTU
        }
    }

    #[test]
    fn what_the_kernel_refuses_to_cut_goes_alone_from_then_on() {
        let coalescing = Coalescing::default();
        assert!(Train::new(nowhere(), 1400).admit(1400, &coalescing));
        coalescing.refused(&std::io::Error::from_raw_os_error(libc::EMSGSIZE), 1300);
        assert!(!Train::new(nowhere(), 1300).admit(1300, &coalescing));
        assert!(Train::new(nowhere(), 1299).admit(1299, &coalescing));
        coalescing.refused(&std::io::Error::from_raw_os_error(libc::EIO), 100);
        assert!(!Train::new(nowhere(), 1).admit(1, &coalescing));
    }

    #[test]
    fn what_is_too_long_is_lost_and_the_rest_arrives() {
        let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
        let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
        let to = receiver.local_addr().unwrap();
        let long = vec![0u8; 65_535];
        let parts = [[IoSlice::new(&long)], [IoSlice::new(b"short")]];
        let trains = [Train::new(to, long.len()), Train::new(to, 5)];
        let (mut lost, mut asked) = (Vec::new(), 0);
        let once_more = || {
            asked += 1;
            true
        };
        let coalescing = Coalescing::default();
        Outbox::default().send(sender.as_fd(), &trains, &parts, &coalescing, once_more, &mut lost);
        assert_eq!(lost.iter().map(|each| each.datagram).collect::<Vec<_>>(), [0]);
        assert_eq!(lost.first().and_then(|each| each.error.raw_os_error()), Some(libc::EMSGSIZE));
        assert_eq!(asked, 1);
        let mut buffer = [0; 16];
        assert_eq!(receiver.recv(&mut buffer).unwrap(), 5);
    }
}
