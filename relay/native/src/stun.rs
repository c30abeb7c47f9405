//! The two STUN messages that are relayed: Send and Data indications (RFC 8656 sections 11.3, 11.4).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

const HEADER: usize = 20;
const COOKIE: u32 = 0x2112_A442;
const SEND_INDICATION: u16 = 0x0016;
const DATA_INDICATION: u16 = 0x0017;
const XOR_PEER_ADDRESS: u16 = 0x0012;
const DATA: u16 = 0x0013;
const FINGERPRINT: u16 = 0x8028;
const FIRST_OPTIONAL: u16 = 0x8000;
const MAX_ATTRIBUTES: usize = 64;

/// The longest header: that of a Data indication from an IPv6 peer.
pub(crate) const MAX_HEADER: usize = 48;

/// A Send indication with nothing out of the ordinary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Send<'a> {
    pub(crate) peer: SocketAddr,
    pub(crate) data: &'a [u8],
}

fn read_u16(data: &[u8], at: usize) -> Option<u16> {
    let bytes = data.get(at..at.checked_add(2)?)?;
    Some(u16::from_be_bytes(bytes.try_into().ok()?))
}

fn read_u32(data: &[u8], at: usize) -> Option<u32> {
    let bytes = data.get(at..at.checked_add(4)?)?;
    Some(u32::from_be_bytes(bytes.try_into().ok()?))
}

/// Read a datagram as a Send indication; `None` for anything else, and for one with attributes
/// that change what is to be done: the protocol core judges those.
pub(crate) fn parse_send(data: &[u8]) -> Option<Send<'_>> {
    let length = usize::from(read_u16(data, 2)?);
    if read_u16(data, 0)? != SEND_INDICATION
        || read_u32(data, 4)? != COOKIE
        || length % 4 != 0
        || data.len() != HEADER + length
    {
        return None;
    }
    let transaction = data.get(8..HEADER)?;
    let (mut peer, mut payload) = (None, None);
    let mut rest = data.get(HEADER..)?;
    for _ in 0..MAX_ATTRIBUTES {
        if rest.is_empty() {
            break;
        }
        let kind = read_u16(rest, 0)?;
        let size = usize::from(read_u16(rest, 2)?);
        let value = rest.get(4..4 + size)?;
        rest = rest.get(4 + size.next_multiple_of(4)..)?;
        match kind {
            XOR_PEER_ADDRESS if peer.is_none() => peer = Some(read_address(value, transaction)?),
            DATA if payload.is_none() => payload = Some(value),
            FINGERPRINT => return None,
            FIRST_OPTIONAL.. => {}
            _ => return None,
        }
    }
    if !rest.is_empty() {
        return None;
    }
    Some(Send { peer: peer?, data: payload? })
}

/// XOR the address with cookie and transaction ID, in either direction (RFC 8489 section 14.2).
fn mask<const N: usize>(mut address: [u8; N], transaction: &[u8]) -> [u8; N] {
    let cookie = COOKIE.to_be_bytes();
    for (byte, key) in address.iter_mut().zip(cookie.iter().chain(transaction)) {
        *byte ^= key;
    }
    address
}

fn read_address(value: &[u8], transaction: &[u8]) -> Option<SocketAddr> {
    let port = read_u16(value, 2)? ^ (COOKIE >> 16) as u16;
    let address = value.get(4..)?;
    let ip: IpAddr = match value.get(1)? {
        1 => Ipv4Addr::from(mask::<4>(address.try_into().ok()?, transaction)).into(),
        2 => Ipv6Addr::from(mask::<16>(address.try_into().ok()?, transaction)).into(),
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
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
        transaction: [u8; 12],
    ) -> Option<Self> {
        let address_length: u16 = if peer.is_ipv6() { 20 } else { 8 };
        let padded = size.next_multiple_of(4);
        let body = u16::try_from(4 + usize::from(address_length) + 4 + padded).ok()?;
        let mut header = Self::new();
        header.put_u16(DATA_INDICATION);
        header.put_u16(body);
        header.put(&COOKIE.to_be_bytes());
        header.put(&transaction);
        header.put_u16(XOR_PEER_ADDRESS);
        header.put_u16(address_length);
        header.put(&[0, if peer.is_ipv6() { 2 } else { 1 }]);
        header.put_u16(peer.port() ^ (COOKIE >> 16) as u16);
        match peer.ip() {
            IpAddr::V4(ip) => header.put(&mask(ip.octets(), &transaction)),
            IpAddr::V6(ip) => header.put(&mask(ip.octets(), &transaction)),
        }
        header.put_u16(DATA);
        header.put_u16(u16::try_from(size).ok()?);
        header.padding = padded - size;
        Some(header)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

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
                    let body = usize::from(read_u16(header.bytes(), 2).unwrap());
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
        let many = vec![attribute(0x8022, b""); MAX_ATTRIBUTES];
        let parts = [&usual[..], &many[..]].concat();
        assert!(parse_send(&message(SEND_INDICATION, &parts)).is_none());
    }
}
