//! Relay sockets of clients over TCP and TLS. Their connections are Python's; what has been read
//! from one goes to peers from here, many frames at a time, and what peers send comes as frames.
//!
//! It has no thread: who calls it relays.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::ops::Range;
use std::os::fd::{AsFd, OwnedFd};

use ahash::AHashMap;
use callfleet_udp::{Coalescing, Inbox, Lost, Outbox, Train, receive_coalesced};
use parking_lot::Mutex;

use crate::stun::Header;

const CHANNEL_HEADER: usize = 4;
/// Messages read of one relay socket at a time; each may be of several datagrams.
const PER_RELAY: usize = 16;
const NO_PADDING: [u8; 3] = [0; 3];

/// One relayed address of a session, and the channels that lead there.
#[derive(Debug)]
pub struct StreamRelay {
    socket: OwnedFd,
    coalescing: Coalescing,
    channels: AHashMap<u16, SocketAddr>,
    numbers: AHashMap<SocketAddr, u16>,
}

impl StreamRelay {
    /// `socket`: a bound, non-blocking UDP socket, which nobody else reads.
    pub fn new(socket: OwnedFd) -> Self {
        // Without it datagrams come one by one.
        let _ = receive_coalesced(socket.as_fd());
        Self {
            socket,
            coalescing: Coalescing::default(),
            channels: AHashMap::new(),
            numbers: AHashMap::new(),
        }
    }

    /// Carry this peer's datagrams by ChannelData.
    pub fn bind_channel(&mut self, number: u16, peer: SocketAddr) {
        self.channels.insert(number, peer);
        self.numbers.insert(peer, number);
    }

    /// Carry ChannelData of this number no longer.
    pub fn unbind_channel(&mut self, number: u16) {
        if let Some(peer) = self.channels.remove(&number) {
            self.numbers.remove(&peer);
        }
    }
}

/// What came of a run of frames.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Sent {
    /// Where the first frame begins that was not taken.
    pub end: usize,
    /// Payloads that left.
    pub packets: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Payloads that did not leave, and their channel.
    pub failed: Vec<(u16, Range<usize>)>,
}

/// What came from peers.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Received {
    /// ChannelData, padded, one frame after another.
    pub frames: Vec<u8>,
    /// Where each ends, and how long its payload is.
    pub ends: Vec<(usize, usize)>,
    /// Datagrams of peers without a channel.
    pub others: Vec<(SocketAddr, Vec<u8>)>,
}

/// Room that all relay sockets of a plane use by turns.
pub struct StreamBatches {
    inbox: Mutex<Inbox>,
    outbox: Mutex<Outbox>,
}

impl Default for StreamBatches {
    fn default() -> Self {
        Self { inbox: Mutex::new(Inbox::new(PER_RELAY)), outbox: Mutex::default() }
    }
}

struct Frame<'a> {
    channel: u16,
    peer: SocketAddr,
    payload: &'a [u8],
    start: usize,
}

impl StreamBatches {
    /// Relay the frames that `data` begins with, up to one that is no ChannelData, not of a channel
    /// of this relayed address, or not all there.
    pub fn send(&self, relay: &StreamRelay, data: &[u8]) -> Sent {
        let mut sent = Sent::default();
        let (mut frames, mut trains) = (Vec::new(), Vec::<Train>::new());
        while let Some((frame, end)) = frame_at(relay, data, sent.end) {
            let size = frame.payload.len();
            let joined = trains
                .last_mut()
                .is_some_and(|last| last.to == frame.peer && last.admit(size, &relay.coalescing));
            if !joined {
                trains.push(Train::new(frame.peer, size));
            }
            frames.push(frame);
            sent.end = end;
        }
        let parts: Vec<_> = frames.iter().map(|each| [IoSlice::new(each.payload)]).collect();
        let (socket, mut lost) = (relay.socket.as_fd(), Vec::<Lost>::new());
        self.outbox.lock().send(socket, &trains, &parts, &relay.coalescing, || false, &mut lost);
        let mut failed = lost.iter().map(|each| each.datagram).peekable();
        for (at, frame) in frames.iter().enumerate() {
            let size = frame.payload.len();
            if failed.next_if_eq(&at).is_some() {
                sent.failed.push((frame.channel, frame.start..frame.start.saturating_add(size)));
            } else {
                sent.packets += 1;
                sent.bytes += size as u64;
            }
        }
        sent
    }

    /// Take what peers have sent, a batch of it. An error is `WouldBlock` where there is nothing,
    /// and else one that stood in place of a datagram.
    pub fn receive(&self, relay: &StreamRelay) -> io::Result<Received> {
        let mut inbox = self.inbox.lock();
        inbox.clear();
        let count = inbox.receive(relay.socket.as_fd(), PER_RELAY)?;
        let mut received = Received::default();
        for datagram in (0..count).flat_map(|message| inbox.datagrams(message)) {
            let size = datagram.data.len();
            let number = relay.numbers.get(&datagram.source);
            match number.zip(u16::try_from(size).ok()) {
                Some((number, length)) => {
                    let header = Header::channel_data(*number, length);
                    received.frames.extend_from_slice(header.bytes());
                    received.frames.extend_from_slice(datagram.data);
                    let padding = NO_PADDING.get(..size.wrapping_neg() & 3).unwrap_or_default();
                    received.frames.extend_from_slice(padding);
                    received.ends.push((received.frames.len(), size));
                }
                None => received.others.push((datagram.source, datagram.data.to_vec())),
            }
        }
        Ok(received)
    }
}

fn frame_at<'a>(relay: &StreamRelay, data: &'a [u8], start: usize) -> Option<(Frame<'a>, usize)> {
    let (&[one, two, three, four], rest) =
        data.get(start..)?.split_first_chunk::<CHANNEL_HEADER>()?;
    let channel = u16::from_be_bytes([one, two]);
    let peer = *relay.channels.get(&channel)?;
    let length = usize::from(u16::from_be_bytes([three, four]));
    let padded = length.checked_next_multiple_of(4)?;
    let payload = rest.get(..padded)?.get(..length)?;
    let start = start.checked_add(CHANNEL_HEADER)?;
    Some((Frame { channel, peer, payload, start }, start.checked_add(padded)?))
}

#[cfg(test)]
mod tests {
    use super::{Received, StreamBatches, StreamRelay};
    use proptest::prelude::*;
    use std::net::{SocketAddr, UdpSocket};

    fn any_port() -> UdpSocket {
        UdpSocket::bind("127.0.0.1:0").unwrap()
    }

    fn relay() -> (StreamRelay, SocketAddr) {
        let socket = any_port();
        socket.set_nonblocking(true).unwrap();
        let address = socket.local_addr().unwrap();
        (StreamRelay::new(socket.into()), address)
    }

    fn until_received(batches: &StreamBatches, relay: &StreamRelay) -> Received {
        loop {
            match batches.receive(relay) {
                Ok(received) => return received,
                Err(_) => std::thread::yield_now(),
            }
        }
    }

    #[test]
    fn frames_go_to_their_peers_up_to_one_that_is_not_all_there() {
        let (mut relay, from) = relay();
        let (near, far) = (any_port(), any_port());
        relay.bind_channel(0x4000, near.local_addr().unwrap());
        relay.bind_channel(0x4001, far.local_addr().unwrap());
        let data = b"\x40\0\0\x02hi\0\0\x40\0\0\x01!\0\0\0\x40\x01\0\x04four\x40\0\0\x02no";
        let sent = StreamBatches::default().send(&relay, data);
        assert_eq!((sent.end, sent.packets, sent.bytes, sent.failed), (24, 3, 7, vec![]));
        let mut buffer = [0; 8];
        for (peer, payload) in [(&near, &b"hi"[..]), (&near, b"!"), (&far, b"four")] {
            let (size, source) = peer.recv_from(&mut buffer).unwrap();
            assert_eq!((&buffer[..size], source), (payload, from));
        }
    }

    #[test]
    fn what_is_no_data_of_a_channel_of_this_address_is_left() {
        let (mut relay, _) = relay();
        relay.bind_channel(0x4000, any_port().local_addr().unwrap());
        relay.bind_channel(0x4002, any_port().local_addr().unwrap());
        relay.unbind_channel(0x4002);
        for data in [&b"\0\x01\0\0"[..], b"\x40\x01\0\0", b"\x40\x02\0\0", b"\x40\0\0", b""] {
            assert_eq!(StreamBatches::default().send(&relay, data).end, 0, "{data:?}");
        }
    }

    #[test]
    fn what_cannot_leave_is_named() {
        let (mut relay, _) = relay();
        relay.bind_channel(0x4000, any_port().local_addr().unwrap());
        relay.bind_channel(0x4001, "127.0.0.1:0".parse().unwrap());
        let data = b"\x40\0\0\0\x40\x01\0\x01x\0\0\0\x40\0\0\0";
        let sent = StreamBatches::default().send(&relay, data);
        assert_eq!((sent.end, sent.packets, sent.failed), (16, 2, vec![(0x4001, 8..9)]));
    }

    #[test]
    fn what_peers_send_is_framed_if_they_have_a_channel() {
        let (mut relay, to) = relay();
        let (bound, other) = (any_port(), any_port());
        relay.bind_channel(0x4007, bound.local_addr().unwrap());
        let batches = StreamBatches::default();
        assert!(batches.receive(&relay).is_err());
        bound.send_to(b"hello", to).unwrap();
        let received = until_received(&batches, &relay);
        assert_eq!(received.frames, b"\x40\x07\0\x05hello\0\0\0");
        assert_eq!((received.ends, received.others), (vec![(12, 5)], vec![]));
        other.send_to(b"who?", to).unwrap();
        let received = until_received(&batches, &relay);
        assert_eq!(received.others, [(other.local_addr().unwrap(), b"who?".to_vec())]);
        assert_eq!((received.frames, received.ends), (vec![], vec![]));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic_and_never_past_their_end(
            head in proptest::collection::vec(prop_oneof![Just(0x40u8), Just(0), any::<u8>()], 0..6),
            data in proptest::collection::vec(any::<u8>(), 0..50),
        ) {
            let (mut relay, _) = relay();
            relay.bind_channel(0x4000, "127.0.0.1:9".parse().unwrap());
            let bytes = [head, data].concat();
            let sent = StreamBatches::default().send(&relay, &bytes);
            prop_assert!(sent.end <= bytes.len());
        }
    }
}
