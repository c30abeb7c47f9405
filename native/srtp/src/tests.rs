//! Protection and opening, against vectors, one another and damage.

use proptest::prelude::*;

use crate::cipher::{Cipher, Identity};
use crate::keys::SessionKeys;
use crate::{Error, Inbound, MAX_OVERHEAD, Outbound, Profile};

pub(crate) fn cases() -> ProptestConfig {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|n| n.parse().ok());
    ProptestConfig {
        cases: cases.unwrap_or(300),
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

pub(crate) fn hex(text: &str) -> Vec<u8> {
    let digits: String = text.split_whitespace().collect();
    (0..digits.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap())
        .collect()
}

/// Both sides of a profile under the same keys.
fn pair(profile: Profile) -> (Outbound, Inbound) {
    let key: Vec<u8> = (1..).take(profile.key_length()).collect();
    let salt: Vec<u8> = (101..).take(profile.salt_length()).collect();
    let outbound = Outbound::new(profile, &key, &salt).unwrap();
    (outbound, Inbound::new(profile, &key, &salt).unwrap())
}

fn header(sequence: u16, ssrc: u32) -> Vec<u8> {
    let mut header = vec![0x90, 0x60];
    header.extend(sequence.to_be_bytes());
    header.extend(7u32.to_be_bytes());
    header.extend(ssrc.to_be_bytes());
    header.extend([0xBE, 0xDE, 0, 1, 0x31, 0, 1, 0]);
    header
}

fn sealed(outbound: &mut Outbound, sequence: u16, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![0; 28 + payload.len() + MAX_OVERHEAD];
    let length = outbound.protect_rtp_parts(&header(sequence, 9), &[payload], &mut out).unwrap();
    out.truncate(length);
    out
}

fn report(ssrc: u32, body: &[u8]) -> Vec<u8> {
    let mut report = vec![0x80, 201, 0, 1];
    report.extend(ssrc.to_be_bytes());
    report.extend(body);
    report
}

fn sealed_rtcp(outbound: &mut Outbound, report: &[u8]) -> Vec<u8> {
    let mut out = report.to_vec();
    out.resize(report.len() + MAX_OVERHEAD, 0);
    let length = outbound.protect_rtcp(&mut out, report.len()).unwrap();
    out.truncate(length);
    out
}

/// RFC 7714 sections 16 and 17: the profile, the RTP and the RTCP packet.
fn vectors() -> [(Profile, &'static str, &'static str); 2] {
    [
        (
            Profile::AeadAes128Gcm,
            "8040f17b 8041f8d3 5501a0b2 f24de3a3 fb34de6c acba861c 9d7e4bca be633bd5
             0d294e6f 42a5f47a 51c7d19b 36de3adf 8833899d 7f27beb1 6a9152cf 765ee439 0cce",
            "81c8000d 4d617273 63e94885 dcdab67c a727d766 2f6b7e99 7ff5c0f7 6c06f32d
             c676a5f1 730d6fda 4ce09b46 86303ded 0bb9275b c84aa458 96cf4d2f c5abf872
             45d9eade 800005d4",
        ),
        (
            Profile::AeadAes256Gcm,
            "8040f17b 8041f8d3 5501a0b2 32b1de78 a822fe12 ef9f78fa 332e33aa b1801238
             9a58e2f3 b50b2a02 76ffae0f 1ba63799 b87b7aa3 db36dfff d6b0f9bb 7878d7a7 6c13",
            "81c8000d 4d617273 d50ae4d1 f5ce5d30 4ba297e4 7d470c28 2c3ece5d bffe0a50
             a2eaa5c1 110555be 8415f658 c61de047 6f1b6fad 1d1eb30c 4446839f 57ff6f6c
             b26ac3be 800005d4",
        ),
    ]
}

#[test]
fn packets_of_rfc_7714_are_made_and_opened() {
    let plain =
        [&hex("8040f17b 8041f8d3 5501a0b2"), &b"Gallia est omnis divisa in partes tres"[..]]
            .concat();
    let plain_rtcp = hex("81c8000d 4d617273 4e545031 4e545032 52545020 0000042a 0000e930 4c756e61
         deadbeef deadbeef deadbeef deadbeef deadbeef");
    let mut salt = [0; 14];
    salt[..12].copy_from_slice(b"Quid pro quo");
    let encryption = std::array::from_fn(|at| at as u8);
    let keys = SessionKeys { encryption, authentication: [0; 20], salt };
    for (profile, rtp, rtcp) in vectors() {
        let cipher = Cipher::new(profile, &keys, 16).unwrap();
        let identity = Identity { ssrc: 0x5501_a0b2, index: 0xf17b };
        let (clear, payload) = plain.split_at(12);
        let (mut body, mut tag) = (payload.to_vec(), [0; 16]);
        cipher.seal_rtp(identity, clear, &mut body, &mut tag).unwrap();
        let mut whole = [clear, &body, &tag].concat();
        assert_eq!(whole, hex(rtp));
        assert_eq!(cipher.open_rtp(identity, clear, &mut whole[12..]), Ok(payload.len()));
        assert_eq!(whole[..plain.len()], plain);

        let identity = Identity { ssrc: 0x4d61_7273, index: 0x5d4 };
        let mut whole = plain_rtcp.clone();
        whole.resize(plain_rtcp.len() + 20, 0);
        assert_eq!(
            cipher.seal_rtcp(identity, &mut whole, plain_rtcp.len()),
            Ok(plain_rtcp.len() + 20)
        );
        assert_eq!(whole, hex(rtcp));
        assert_eq!(cipher.rtcp_index(&whole), Ok(0x5d4));
        assert_eq!(cipher.open_rtcp(identity, &mut whole), Ok(plain_rtcp.len()));
        assert_eq!(whole[..plain_rtcp.len()], plain_rtcp);
    }
}

/// Packets that libsrtp's own tests check it with, through the derivation of keys.
#[test]
fn packets_of_libsrtp_are_opened() {
    let key = hex("e1f97a0d3e018be0d64fa32c06de4139");
    let salt = hex("0ec675ad498afeebb6960b3aabe6");
    let mut inbound = Inbound::new(Profile::Aes128CmSha1_80, &key, &salt).unwrap();
    let mut packet = hex(
        "800f1234 decafbad cafebabe 4e55dc4c e79978d8 8ca4d215 949d2402 b78d6acc 99ea179b 8dbb",
    );
    assert_eq!(inbound.unprotect_rtp(&mut packet), Ok(28));
    assert_eq!(packet[12..28], [0xab; 16]);
    let mut packet = hex(
        "81c8000b cafebabe 7128035b e487b9bd bef89041 f977a5a8 80000001 993e08cd 54d6c123 0798",
    );
    assert_eq!(inbound.unprotect_rtcp(&mut packet), Ok(24));
    assert_eq!(packet[8..24], [0xab; 16]);

    let key: Vec<u8> = (0..16).collect();
    let salt: Vec<u8> = (0xa0..0xac).collect();
    let mut inbound = Inbound::new(Profile::AeadAes128Gcm, &key, &salt).unwrap();
    let mut packet =
        hex("800f1234 decafbad cafebabe c5002ede 04cfdd2e b91159e0 880aa06e d2976826 f796b201
         df3131a1 27e8a392");
    assert_eq!(inbound.unprotect_rtp(&mut packet), Ok(28));
    assert_eq!(packet[12..28], [0xab; 16]);
    let mut packet =
        hex("81c8000b cafebabe c98b8b5d f0392a55 852b6c21 ac8e7025 c52c6fbe a2b3b446 ea31123b
         a88ce61e 80000001");
    assert_eq!(inbound.unprotect_rtcp(&mut packet), Ok(24));
    assert_eq!(packet[8..24], [0xab; 16]);
}

fn profile() -> impl Strategy<Value = Profile> {
    prop::sample::select(&Profile::ALL[..])
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn what_is_protected_is_opened(
        profile in profile(),
        sequence: u16,
        parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..400), 0..4),
    ) {
        let (mut outbound, mut inbound) = pair(profile);
        let head = header(sequence, 9);
        let plain = [head.clone(), parts.concat()].concat();
        let pieces: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
        let end = plain.len() + profile.rtp_overhead();
        let mut joined = vec![0; end];
        prop_assert_eq!(outbound.protect_rtp_parts(&head, &pieces, &mut joined), Ok(end));
        prop_assert_eq!(&joined[..head.len()], &head);
        let mut in_place = plain.clone();
        in_place.resize(end, 0);
        prop_assert_eq!(outbound.protect_rtp(&mut in_place, plain.len()), Ok(end));
        prop_assert_eq!(&in_place, &joined);
        prop_assert_eq!(outbound.protect_rtp(&mut joined[..end - 1], plain.len()), Err(Error::NoRoom));
        prop_assert_eq!(inbound.unprotect_rtp(&mut in_place), Ok(plain.len()));
        prop_assert_eq!(&in_place[..plain.len()], &plain);
    }

    #[test]
    fn a_report_that_is_protected_is_opened(
        profile in profile(),
        bodies in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 1..5),
    ) {
        let (mut outbound, mut inbound) = pair(profile);
        for body in bodies {
            let plain = report(3, &body);
            let mut whole = sealed_rtcp(&mut outbound, &plain);
            prop_assert_eq!(whole.len(), plain.len() + profile.rtcp_overhead());
            let mut again = whole.clone();
            prop_assert_eq!(inbound.unprotect_rtcp(&mut whole), Ok(plain.len()));
            prop_assert_eq!(&whole[..plain.len()], &plain);
            prop_assert_eq!(inbound.unprotect_rtcp(&mut again), Err(Error::Replayed));
        }
    }

    #[test]
    fn any_bit_that_is_another_is_noticed(
        profile in profile(),
        payload in prop::collection::vec(any::<u8>(), 0..60),
        at: prop::sample::Index,
    ) {
        let (mut outbound, mut inbound) = pair(profile);
        let whole = sealed(&mut outbound, 5, &payload);
        let bit = at.index(8 * whole.len());
        let mut damaged = whole.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        prop_assert!(inbound.unprotect_rtp(&mut damaged).is_err());
        prop_assert!(inbound.unprotect_rtp(&mut whole.clone()).is_ok(), "the genuine one still counts");

        let whole = sealed_rtcp(&mut outbound, &report(3, &payload));
        let bit = at.index(8 * whole.len());
        let mut damaged = whole.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        prop_assert!(inbound.unprotect_rtcp(&mut damaged).is_err());
        prop_assert!(inbound.unprotect_rtcp(&mut whole.clone()).is_ok());
    }

    #[test]
    fn any_bytes_are_refused_without_a_panic(
        profile in profile(),
        mut data in prop::collection::vec(any::<u8>(), 0..200),
        length in 0..220usize,
    ) {
        let (mut outbound, mut inbound) = pair(profile);
        prop_assert!(inbound.unprotect_rtp(&mut data.clone()).is_err());
        prop_assert!(inbound.unprotect_rtcp(&mut data.clone()).is_err());
        let _ = outbound.protect_rtp_parts(&data.clone(), &[&[0; 9]], &mut vec![0; length]);
        let _ = outbound.protect_rtcp(&mut data.clone(), length);
        let _ = outbound.protect_rtp(&mut data, length);
    }

    #[test]
    fn packets_are_opened_once_whatever_is_lost_or_late(
        profile in profile(),
        first: u16,
        gaps in prop::collection::vec(1..6000u64, 1..100),
        order in prop::collection::vec(0..4usize, 100),
    ) {
        let (mut outbound, mut inbound) = pair(profile);
        let mut index = u64::from(first);
        let mut packets = Vec::new();
        for gap in gaps {
            packets.push((index, sealed(&mut outbound, index as u16, &index.to_be_bytes())));
            index += gap;
        }
        let mut newest = None; // the first to be received is of the first cycle
        while !packets.is_empty() {
            let at = newest.map_or(0, |_| order[packets.len() % order.len()]);
            let (index, packet) = packets.remove(at.min(packets.len() - 1));
            let mut opened = packet.clone();
            let result = inbound.unprotect_rtp(&mut opened);
            if newest.is_none_or(|newest| index + 1024 > newest) {
                prop_assert_eq!(result, Ok(28));
                prop_assert_eq!(&opened[20..28], &index.to_be_bytes());
                newest = newest.max(Some(index));
                prop_assert_eq!(inbound.unprotect_rtp(&mut packet.clone()), Err(Error::Replayed));
            } else {
                prop_assert!(result.is_err());
            }
        }
    }
}

#[test]
fn a_sender_repeats_only_what_is_recent() {
    let (mut outbound, _) = pair(Profile::AeadAes128Gcm);
    let first = sealed(&mut outbound, 65_000, b"a");
    for step in 1..1024u16 {
        sealed(&mut outbound, 65_000u16.wrapping_add(step), b"b");
    }
    assert_eq!(sealed(&mut outbound, 65_000, b"a"), first);
    sealed(&mut outbound, 65_000u16.wrapping_add(1024), b"c");
    let old = outbound.protect_rtp_parts(&header(65_000, 9), &[], &mut [0; 100]);
    assert_eq!(old, Err(Error::TooOld));
}

#[test]
fn streams_have_numbers_of_their_own_and_are_bounded() {
    let (mut outbound, mut inbound) = pair(Profile::AeadAes256Gcm);
    let mut out = [0; 100];
    for ssrc in 0..Outbound::MAX_STREAMS as u32 {
        let length = outbound.protect_rtp_parts(&header(7, ssrc), &[b"x"], &mut out).unwrap();
        let opened = inbound.unprotect_rtp(&mut out[..length]);
        let known = (ssrc as usize) < Inbound::MAX_STREAMS;
        assert_eq!(opened, if known { Ok(21) } else { Err(Error::TooManyStreams) });
    }
    let other = header(7, u32::MAX);
    assert_eq!(outbound.protect_rtp_parts(&other, &[], &mut out), Err(Error::TooManyStreams));
    outbound.forget(5);
    assert!(outbound.protect_rtp_parts(&other, &[], &mut out).is_ok());
}

#[test]
fn a_forged_packet_begins_no_stream() {
    let (mut outbound, mut inbound) = pair(Profile::Aes128CmSha1_80);
    for ssrc in 0..2 * Inbound::MAX_STREAMS as u32 {
        let mut forged = [header(1, ssrc), vec![0; 40]].concat();
        assert_eq!(inbound.unprotect_rtp(&mut forged), Err(Error::Forged));
    }
    assert!(inbound.unprotect_rtp(&mut sealed(&mut outbound, 1, b"x")).is_ok());
}

#[test]
fn a_report_in_clear_is_refused() {
    for profile in Profile::ALL {
        let (mut outbound, mut inbound) = pair(profile);
        let mut whole = sealed_rtcp(&mut outbound, &report(3, b"body"));
        let tag_behind = if profile.salt_length() == 14 { 10 } else { 0 };
        let word = whole.len() - tag_behind - 4;
        whole[word] &= 0x7F;
        assert_eq!(inbound.unprotect_rtcp(&mut whole), Err(Error::Unencrypted));
    }
}

#[test]
fn profiles_are_known_by_their_dtls_names() {
    for profile in Profile::ALL {
        assert_eq!(Profile::from_name(profile.name()), Some(profile));
    }
    assert_eq!(Profile::from_name("SRTP_NULL_SHA1_80"), None);
}
