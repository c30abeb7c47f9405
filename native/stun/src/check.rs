//! Connectivity checks with nothing out of the ordinary, and their answers (RFC 8445 section 7.3).
//!
//! A client that is connected sends one every few seconds (RFC 7675), and nothing but the answer
//! follows from most. All others are for who knows the whole of ICE.

use std::net::SocketAddr;

use hmac::digest::KeyInit;
use hmac::{Hmac, Mac};
use sha1::Sha1;

use crate::XorAddress;
use crate::message::{COOKIE, FINGERPRINT, FIRST_OPTIONAL, HEADER, Message, Transaction};

const BINDING_REQUEST: u16 = 0x0001;
const BINDING_SUCCESS: u16 = 0x0101;
const USERNAME: u16 = 0x0006;
const MESSAGE_INTEGRITY: u16 = 0x0008;
const XOR_MAPPED_ADDRESS: u16 = 0x0020;
const PRIORITY: u16 = 0x0024;
const USE_CANDIDATE: u16 = 0x0025;
const SOFTWARE: u16 = 0x8022;
const ICE_CONTROLLED: u16 = 0x8029;
const ICE_CONTROLLING: u16 = 0x802A;
const RESPONSE_ORIGIN: u16 = 0x802B;
const OTHER_ADDRESS: u16 = 0x802C;

const TAG: usize = 20;
const FINGERPRINT_MASK: u32 = 0x5354_554E;
/// As many as the reference reads (`media/stun_check.py`).
const MAX_ATTRIBUTES: usize = 31;

/// The longest answer: with an IPv6 address.
pub const MAX_ANSWER: usize = HEADER + (4 + 20) + (4 + TAG) + 8;

/// The key of both sides' MESSAGE-INTEGRITY: a password of the short-term mechanism (RFC 8489
/// section 9.1).
#[derive(Clone)]
pub struct Password(Hmac<Sha1>);

impl std::fmt::Debug for Password {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        to.write_str("Password")
    }
}

impl Password {
    /// `None` for one that cannot be a key, of which there is none.
    pub fn new(password: &[u8]) -> Option<Self> {
        Hmac::new_from_slice(password).ok().map(Self)
    }

    /// Over what is before the attribute, as if the message ended with it.
    fn over(&self, before: &[u8]) -> Hmac<Sha1> {
        let mut mac = self.0.clone();
        if let Some((begin, length, rest)) = with_length(before, 4 + TAG) {
            mac.update(begin);
            mac.update(&length);
            mac.update(rest);
        }
        mac
    }
}

/// A message's type, the length that it would have with an attribute of so many bytes, and the rest.
fn with_length(before: &[u8], attribute: usize) -> Option<(&[u8], [u8; 2], &[u8])> {
    let (begin, rest) = before.split_at_checked(2)?;
    let length = u16::try_from((before.len() + attribute).checked_sub(HEADER)?).ok()?;
    Some((begin, length.to_be_bytes(), rest.get(2..)?))
}

/// The value of FINGERPRINT behind this (RFC 8489 section 14.7).
fn fingerprint(before: &[u8]) -> Option<[u8; 4]> {
    let (begin, length, rest) = with_length(before, 8)?;
    let mut crc = crc32fast::Hasher::new();
    crc.update(begin);
    crc.update(&length);
    crc.update(rest);
    Some((crc.finalize() ^ FINGERPRINT_MASK).to_be_bytes())
}

/// A Binding request of a controlling agent, whose password is still to be verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Check<'a> {
    /// Its transaction.
    pub transaction: Transaction,
    /// Whom it is for: USERNAME before the colon.
    pub ufrag: &'a [u8],
    /// What MESSAGE-INTEGRITY is of.
    signed: &'a [u8],
    tag: &'a [u8],
}

impl<'a> Check<'a> {
    /// `None` for anything else, and for a check with a thing that asks for more than an answer, or
    /// that an agent of the whole protocol would refuse. USE-CANDIDATE may be there.
    pub fn read(data: &'a [u8]) -> Option<Self> {
        let message = Message::read(data)?;
        if message.kind != BINDING_REQUEST {
            return None;
        }
        let (mut username, mut tag) = (None, None);
        let (mut priority, mut nominates, mut controls) = (None, None, None);
        let mut is_ended = false;
        for (number, attribute) in message.attributes().enumerate() {
            let attribute = attribute.ok()?;
            let value = attribute.value;
            let is_authenticated = tag.is_none();
            if is_ended || number >= MAX_ATTRIBUTES {
                return None;
            }
            let known = match attribute.kind {
                FINGERPRINT => {
                    is_ended = fingerprint(data.get(..attribute.at)?)? == *value;
                    if !is_ended {
                        return None;
                    }
                    continue;
                }
                _ if !is_authenticated => return None,
                USERNAME => &mut username,
                MESSAGE_INTEGRITY if value.len() == TAG => {
                    tag = Some((data.get(..attribute.at)?, value));
                    continue;
                }
                PRIORITY if value.len() == 4 => &mut priority,
                USE_CANDIDATE => &mut nominates,
                ICE_CONTROLLING if value.len() == 8 => &mut controls,
                SOFTWARE if std::str::from_utf8(value).is_ok() => continue,
                SOFTWARE | ICE_CONTROLLED | ICE_CONTROLLING | RESPONSE_ORIGIN | OTHER_ADDRESS => {
                    return None;
                }
                FIRST_OPTIONAL.. => continue,
                _ => return None,
            };
            if known.replace(value).is_some() {
                return None;
            }
        }
        let (ufrag, _) = std::str::from_utf8(username?).ok()?.split_once(':')?;
        let (signed, tag) = tag.filter(|_| is_ended && controls.is_some())?;
        Some(Self { transaction: message.transaction, ufrag: ufrag.as_bytes(), signed, tag })
    }

    /// Whether its sender has the password.
    pub fn is_of(&self, password: &Password) -> bool {
        password.over(self.signed).verify_slice(self.tag).is_ok()
    }

    /// Write the answer, which tells the client its own address; its length.
    pub fn answer(
        &self,
        source: &SocketAddr,
        password: &Password,
        out: &mut [u8; MAX_ANSWER],
    ) -> Option<usize> {
        let mapped = XorAddress::new(source, &self.transaction);
        let mut writing = Writing { out, length: 0 };
        writing.put(&BINDING_SUCCESS.to_be_bytes())?;
        writing.put(&u16::try_from(4 + mapped.bytes().len() + 4 + TAG + 8).ok()?.to_be_bytes())?;
        writing.put(&COOKIE.to_be_bytes())?;
        writing.put(&self.transaction)?;
        writing.attribute(XOR_MAPPED_ADDRESS, mapped.bytes())?;
        let tag = password.over(writing.written()).finalize().into_bytes();
        writing.attribute(MESSAGE_INTEGRITY, &tag)?;
        let checksum = fingerprint(writing.written())?;
        writing.attribute(FINGERPRINT, &checksum)?;
        Some(writing.length)
    }
}

struct Writing<'a> {
    out: &'a mut [u8; MAX_ANSWER],
    length: usize,
}

impl Writing<'_> {
    fn put(&mut self, bytes: &[u8]) -> Option<()> {
        let end = self.length + bytes.len();
        self.out.get_mut(self.length..end)?.copy_from_slice(bytes);
        self.length = end;
        Some(())
    }

    /// One whose value needs no padding.
    fn attribute(&mut self, kind: u16, value: &[u8]) -> Option<()> {
        self.put(&kind.to_be_bytes())?;
        self.put(&u16::try_from(value.len()).ok()?.to_be_bytes())?;
        self.put(value)
    }

    fn written(&self) -> &[u8] {
        self.out.get(..self.length).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::read_xor_address;
    use crate::testing::{attribute, cases, message};

    const PASSWORD: &[u8] = b"a password of 24 letters";
    const USUAL: [(u16, &[u8]); 4] = [
        (USERNAME, b"serving1:peer"),
        (PRIORITY, &[0, 1, 2, 3]),
        (ICE_CONTROLLING, &[9; 8]),
        (0xC057, &[0, 1, 0, 50]), // Chromium's GOOG-NETWORK-INFO
    ];

    fn password() -> Password {
        Password::new(PASSWORD).unwrap()
    }

    /// A Binding request with these attributes, signed.
    fn signed(attributes: &[(u16, &[u8])]) -> Vec<u8> {
        let attributes: Vec<_> = attributes.iter().map(|(kind, v)| attribute(*kind, v)).collect();
        let mut data = message(BINDING_REQUEST, &attributes);
        let tag = password().over(&data).finalize().into_bytes();
        data.extend(attribute(MESSAGE_INTEGRITY, &tag));
        let checksum = fingerprint(&data).unwrap();
        data.extend(attribute(FINGERPRINT, &checksum));
        let length = u16::try_from(data.len() - HEADER).unwrap();
        data[2..4].copy_from_slice(&length.to_be_bytes());
        data
    }

    fn with(other: (u16, &[u8])) -> Vec<u8> {
        signed(&[&USUAL[..], &[other]].concat())
    }

    #[test]
    fn a_usual_check_is_read_and_answered() {
        for data in [signed(&USUAL), with((USE_CANDIDATE, b"")), with((SOFTWARE, b"libnice"))] {
            let check = Check::read(&data).unwrap();
            assert_eq!(check.ufrag, b"serving1");
            assert!(check.is_of(&password()));
            assert!(!check.is_of(&Password::new(b"another").unwrap()));
            for source in ["192.0.2.9:4000", "[2001:db8::9]:4000"] {
                let source = source.parse().unwrap();
                let mut out = [0; MAX_ANSWER];
                let length = check.answer(&source, &password(), &mut out).unwrap();
                let answer = Message::read(&out[..length]).unwrap();
                assert_eq!((answer.kind, answer.transaction), (BINDING_SUCCESS, check.transaction));
                let parts: Vec<_> = answer.attributes().map(Result::unwrap).collect();
                let kinds: Vec<_> = parts.iter().map(|part| part.kind).collect();
                assert_eq!(kinds, [XOR_MAPPED_ADDRESS, MESSAGE_INTEGRITY, FINGERPRINT]);
                let mapped = read_xor_address(parts[0].value, &answer.transaction);
                assert_eq!(mapped, Some(source));
                let before = |part: &crate::Attribute<'_>| out[..part.at].to_vec();
                assert!(password().over(&before(&parts[1])).verify_slice(parts[1].value).is_ok());
                assert_eq!(fingerprint(&before(&parts[2])).unwrap(), parts[2].value);
            }
        }
    }

    #[test]
    fn whatever_asks_for_more_than_an_answer_is_handed_over() {
        for other in [
            (ICE_CONTROLLED, [9; 8].as_slice()), // a conflict of roles
            (USERNAME, b"serving1:peer"),
            (PRIORITY, &[0; 4]),
            (ICE_CONTROLLING, &[9; 8]),
            (0x7777, b""), // not understood
            (SOFTWARE, &[0xFF]),
            (RESPONSE_ORIGIN, b""),
            (OTHER_ADDRESS, b""),
            (MESSAGE_INTEGRITY, &[0; 20]),
            (FINGERPRINT, &[0; 4]),
        ] {
            assert_eq!(Check::read(&with(other)), None, "{other:?}");
        }
        for missing in [0, 2] {
            let mut parts = USUAL.to_vec();
            parts.remove(missing);
            assert_eq!(Check::read(&signed(&parts)), None);
        }
        for wrong in [
            (USERNAME, b"no colon".as_slice()),
            (USERNAME, &[b':', 0xFF]),
            (PRIORITY, &[0; 3]),
            (ICE_CONTROLLING, &[0; 4]),
        ] {
            let parts =
                USUAL.map(|(kind, value)| if kind == wrong.0 { wrong } else { (kind, value) });
            assert_eq!(Check::read(&signed(&parts)), None, "{wrong:?}");
        }
        let many = [&USUAL[..], &[(0x9000, b"".as_slice()); 28]].concat();
        assert_eq!(Check::read(&signed(&many)), None);
        let mut unsigned = message(BINDING_REQUEST, &USUAL.map(|(kind, v)| attribute(kind, v)));
        assert_eq!(Check::read(&unsigned), None);
        unsigned[1] = 0x11; // an indication
        assert_eq!(Check::read(&unsigned), None);
    }

    #[test]
    fn nothing_follows_the_fingerprint() {
        let mut data = signed(&USUAL);
        data.extend(attribute(0x9000, b""));
        let length = u16::try_from(data.len() - HEADER).unwrap();
        data[2..4].copy_from_slice(&length.to_be_bytes());
        assert_eq!(Check::read(&data), None);
    }

    /// RFC 5769 section 2.2, up to FINGERPRINT.
    #[test]
    fn the_response_of_rfc_5769_is_signed_so() {
        let data = [
            &[0x01, 0x01, 0x00, 0x3c, 0x21, 0x12, 0xa4, 0x42, 0xb7, 0xe7, 0xa7, 0x01][..],
            &[0xbc, 0x34, 0xd6, 0x86, 0xfa, 0x87, 0xdf, 0xae, 0x80, 0x22, 0x00, 0x0b],
            b"test vector ",
            &[0x00, 0x20, 0x00, 0x08, 0x00, 0x01, 0xa1, 0x47, 0xe1, 0x12, 0xa6, 0x43],
        ]
        .concat();
        let tag = [
            0x2b, 0x91, 0xf5, 0x99, 0xfd, 0x9e, 0x90, 0xc3, 0x8c, 0x74, 0x89, 0xf9, 0x2a, 0xf9,
            0xba, 0x53, 0xf0, 0x6b, 0xe7, 0xd7,
        ];
        let password = Password::new(b"VOkJxbRl1RmTxUk/WvJxBt").unwrap();
        assert!(password.over(&data).verify_slice(&tag).is_ok());
        let whole = [data, attribute(MESSAGE_INTEGRITY, &tag)].concat();
        assert_eq!(fingerprint(&whole), Some([0xc0, 0x7d, 0x4c, 0x96]));
    }

    proptest! {
        #![proptest_config(cases())]

        #[test]
        fn any_bytes_are_read_without_a_panic(data in vec(any::<u8>(), 0..200)) {
            let _ = Check::read(&data);
        }

        #[test]
        fn any_attributes_are_read_without_a_panic(
            parts in vec((any::<u16>(), vec(any::<u8>(), 0..24)), 0..6),
        ) {
            let parts: Vec<_> = parts.iter().map(|(kind, value)| (*kind, &value[..])).collect();
            if let Some(check) = Check::read(&signed(&parts)) {
                prop_assert!(check.is_of(&password()));
            }
        }

        #[test]
        fn a_damaged_check_is_not_taken(
            at in any::<prop::sample::Index>(),
            other in 1u8..,
            cut in any::<prop::sample::Index>(),
        ) {
            let mut data = signed(&USUAL);
            let place = at.index(data.len());
            data[place] ^= other;
            prop_assert_eq!(Check::read(&data), None); // FINGERPRINT finds each changed byte
            let _ = Check::read(&data[..cut.index(data.len())]);
        }
    }
}
