//! Addresses in attributes, hidden from translators that would rewrite them (RFC 8489 section 14.2).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::{COOKIE, Transaction};

/// The longest: of IPv6.
const MAX_XOR_ADDRESS: usize = 20;
const PORT_MASK: u16 = (COOKIE >> 16) as u16;

/// XOR the address with cookie and transaction ID, in either direction.
fn mask<const N: usize>(mut address: [u8; N], transaction: &Transaction) -> [u8; N] {
    let cookie = COOKIE.to_be_bytes();
    for (byte, key) in address.iter_mut().zip(cookie.iter().chain(transaction)) {
        *byte ^= key;
    }
    address
}

/// The value of an attribute such as XOR-MAPPED-ADDRESS; `None` where it is malformed.
pub fn read_xor_address(value: &[u8], transaction: &Transaction) -> Option<SocketAddr> {
    let ([_, family, p0, p1], address) = value.split_first_chunk()?;
    let port = u16::from_be_bytes([*p0, *p1]) ^ PORT_MASK;
    let ip: IpAddr = match family {
        1 => Ipv4Addr::from(mask::<4>(address.try_into().ok()?, transaction)).into(),
        2 => Ipv6Addr::from(mask::<16>(address.try_into().ok()?, transaction)).into(),
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

/// The value of such an attribute.
#[derive(Clone, Copy, Debug)]
pub struct XorAddress {
    bytes: [u8; MAX_XOR_ADDRESS],
    length: usize,
}

impl XorAddress {
    /// Of this address in a message of this transaction.
    pub fn new(address: &SocketAddr, transaction: &Transaction) -> Self {
        let mut bytes = [0; MAX_XOR_ADDRESS];
        let [_, family, p0, p1, place @ ..] = &mut bytes;
        [*p0, *p1] = (address.port() ^ PORT_MASK).to_be_bytes();
        let length = match address.ip() {
            IpAddr::V4(ip) => {
                *family = 1;
                if let Some(place) = place.first_chunk_mut() {
                    *place = mask(ip.octets(), transaction);
                }
                8
            }
            IpAddr::V6(ip) => {
                *family = 2;
                *place = mask(ip.octets(), transaction);
                MAX_XOR_ADDRESS
            }
        };
        Self { bytes, length }
    }

    /// What stands in the message.
    pub fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_was_written_is_read(
            ip in any::<IpAddr>(),
            port in any::<u16>(),
            transaction in any::<Transaction>(),
        ) {
            let address = SocketAddr::new(ip, port);
            let written = XorAddress::new(&address, &transaction);
            prop_assert_eq!(read_xor_address(written.bytes(), &transaction), Some(address));
        }

        #[test]
        fn any_value_is_read_without_a_panic(value in proptest::collection::vec(any::<u8>(), 0..30)) {
            let _ = read_xor_address(&value, &[7; 12]);
        }
    }

    #[test]
    fn the_vectors_of_rfc_5769_are_read() {
        let transaction = [0xb7, 0xe7, 0xa7, 0x01, 0xbc, 0x34, 0xd6, 0x86, 0xfa, 0x87, 0xdf, 0xae];
        let four = [0, 1, 0xa1, 0x47, 0xe1, 0x12, 0xa6, 0x43];
        let six = [
            0, 2, 0xa1, 0x47, 0x01, 0x13, 0xa9, 0xfa, 0xa5, 0xd3, 0xf1, 0x79, 0xbc, 0x25, 0xf4,
            0xb5, 0xbe, 0xd2, 0xb9, 0xd9,
        ];
        let address = "192.0.2.1:32853".parse().unwrap();
        assert_eq!(read_xor_address(&four, &transaction), Some(address));
        assert_eq!(XorAddress::new(&address, &transaction).bytes(), four);
        let address = "[2001:db8:1234:5678:11:2233:4455:6677]:32853".parse().unwrap();
        assert_eq!(read_xor_address(&six, &transaction), Some(address));
        assert_eq!(XorAddress::new(&address, &transaction).bytes(), six);
    }
}
