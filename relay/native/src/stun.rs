//! The two STUN messages that are relayed: Send and Data indications (RFC 8656 sections 11.3, 11.4).

use std::net::SocketAddr;

use callfleet_stun::{
    COOKIE, FINGERPRINT, FIRST_OPTIONAL, Message, Transaction, XorAddress, read_xor_address,
};

const SEND_INDICATION: u16 = 0x0016;
const DATA_INDICATION: u16 = 0x0017;
const XOR_PEER_ADDRESS: u16 = 0x0012;
const DATA: u16 = 0x0013;

/// The longest header: that of a Data indication from an IPv6 peer.
pub(crate) const MAX_HEADER: usize = 48;

/// A Send indication with nothing out of the ordinary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Send<'a> {
    pub(crate) peer: SocketAddr,
    pub(crate) data: &'a [u8],
}

/// Read a datagram as a Send indication; `None` for anything else, and for one with attributes
/// that change what is to be done: the protocol core judges those.
pub(crate) fn parse_send(data: &[u8]) -> Option<Send<'_>> {
    let message = Message::read(data).filter(|message| message.kind == SEND_INDICATION)?;
    let (mut peer, mut payload) = (None, None);
    for attribute in message.attributes() {
        let attribute = attribute.ok()?;
        match attribute.kind {
            XOR_PEER_ADDRESS if peer.is_none() => {
                peer = Some(read_xor_address(attribute.value, &message.transaction)?);
            }
            DATA if payload.is_none() => payload = Some(attribute.value),
            FINGERPRINT => return None,
            FIRST_OPTIONAL.. => {}
            _ => return None,
        }
    }
    Some(Send { peer: peer?, data: payload? })
}

/// What stands before a payload on its way to the client.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Header {
    bytes: [u8; MAX_HEADER],
    length: usize,
    /// Zero bytes that follow the payload.
    pub(crate) padding: usize,
}

impl Header {
    fn new() -> Self {
        Self { bytes: [0; MAX_HEADER], length: 0, padding: 0 }
    }

    fn put(&mut self, bytes: &[u8]) {
        let end = self.length + bytes.len();
        if let Some(place) = self.bytes.get_mut(self.length..end) {
            place.copy_from_slice(bytes);
            self.length = end;
        }
    }

    fn put_u16(&mut self, value: u16) {
        self.put(&value.to_be_bytes());
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }

    /// Of a ChannelData message over UDP, which is not padded.
    pub(crate) fn channel_data(number: u16, size: u16) -> Self {
        let mut header = Self::new();
        header.put_u16(number);
        header.put_u16(size);
        header
    }

    /// Of a Data indication; `None` for a payload that its length fields cannot tell.
    pub(crate) fn data_indication(
        peer: &SocketAddr,
        size: usize,
        transaction: Transaction,
    ) -> Option<Self> {
        let address = XorAddress::new(peer, &transaction);
        let address_length = address.bytes().len();
        let padded = size.next_multiple_of(4);
        let body = u16::try_from(4 + address_length + 4 + padded).ok()?;
        let mut header = Self::new();
        header.put_u16(DATA_INDICATION);
        header.put_u16(body);
        header.put(&COOKIE.to_be_bytes());
        header.put(&transaction);
        header.put_u16(XOR_PEER_ADDRESS);
        header.put_u16(u16::try_from(address_length).ok()?);
        header.put(address.bytes());
        header.put_u16(DATA);
        header.put_u16(u16::try_from(size).ok()?);
        header.padding = padded - size;
        Some(header)
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use callfleet_stun::HEADER;
    use proptest::prelude::*;

    use super::*;

    fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
        let mut made = kind.to_be_bytes().to_vec();
        made.extend(u16::try_from(value.len()).unwrap().to_be_bytes());
        made.extend(value);
        made.resize(made.len().next_multiple_of(4), 0);
        made
    }

    fn message(kind: u16, attributes: &[Vec<u8>]) -> Vec<u8> {
        let body = attributes.concat();
        let mut made = kind.to_be_bytes().to_vec();
        made.extend(u16::try_from(body.len()).unwrap().to_be_bytes());
        made.extend(COOKIE.to_be_bytes());
        made.extend([7; 12]);
        made.extend(body);
        made
    }

    fn address(peer: SocketAddr) -> Vec<u8> {
        let header = Header::data_indication(&peer, 0, [7; 12]).unwrap();
        let length = if peer.is_ipv6() { 20 } else { 8 };
        attribute(XOR_PEER_ADDRESS, &header.bytes()[24..24 + length])
    }

    fn peer() -> impl Strategy<Value = SocketAddr> {
        (any::<IpAddr>(), any::<u16>()).prop_map(|(ip, port)| SocketAddr::new(ip, port))
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            cases: std::env::var("PROPTEST_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(2000),
            failure_persistence: None,
            ..ProptestConfig::default()
        })]

        #[test]
        fn any_bytes_are_read_without_a_panic(data in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse_send(&data);
        }

        #[test]
        fn a_damaged_indication_is_read_without_a_panic(
            peer in peer(),
            data in proptest::collection::vec(any::<u8>(), 0..50),
            at in any::<prop::sample::Index>(),
            byte in any::<u8>(),
            cut in any::<prop::sample::Index>(),
        ) {
            let mut whole = message(SEND_INDICATION, &[address(peer), attribute(DATA, &data)]);
            let place = at.index(whole.len());
            whole[place] = byte;
            let _ = parse_send(&whole[..cut.index(whole.len() + 1)]);
        }

        #[test]
        fn what_was_written_is_read(
            peer in peer(),
            data in proptest::collection::vec(any::<u8>(), 0..50),
        ) {
            let software = attribute(0x8022, b"test");
            let parts = [software, attribute(DATA, &data), address(peer)];
            let whole = message(SEND_INDICATION, &parts);
            prop_assert_eq!(parse_send(&whole), Some(Send { peer, data: &data }));
        }

        #[test]
        fn a_data_indication_says_its_own_length(peer in peer(), size in 0usize..70_000) {
            match Header::data_indication(&peer, size, [1; 12]) {
                Some(header) => {
                    let body = usize::from(u16::from_be_bytes([header.bytes()[2], header.bytes()[3]]));
                    prop_assert_eq!(body + HEADER, header.bytes().len() + size + header.padding);
                    prop_assert_eq!(body % 4, 0);
                }
                None => prop_assert!(size > 65_000),
            }
        }
    }

    #[test]
    fn whatever_changes_what_is_done_is_handed_over() {
        let to = SocketAddr::from(([192, 0, 2, 1], 5000));
        let usual = [address(to), attribute(DATA, b"x")];
        assert!(parse_send(&message(SEND_INDICATION, &usual)).is_some());
        assert!(parse_send(&message(DATA_INDICATION, &usual)).is_none());
        for other in [
            attribute(0x001A, b""),          // DONT-FRAGMENT
            attribute(FINGERPRINT, &[0; 4]), // to be checked
            attribute(0x0008, &[0; 20]),     // MESSAGE-INTEGRITY
            attribute(0x7777, b""),          // not understood
            attribute(DATA, b"second"),
            address(to),
        ] {
            let parts = [usual[0].clone(), usual[1].clone(), other];
            assert!(parse_send(&message(SEND_INDICATION, &parts)).is_none());
        }
        assert!(parse_send(&message(SEND_INDICATION, &usual[..1])).is_none());
        assert!(parse_send(&message(SEND_INDICATION, &usual[1..])).is_none());
        let many = vec![attribute(0x8022, b""); 64];
        let parts = [&usual[..], &many[..]].concat();
        assert!(parse_send(&message(SEND_INDICATION, &parts)).is_none());
    }
}
