//! Whatever a client sends, with the right keys or none, breaks nothing.

use std::net::SocketAddr;

use callfleet_srtp::Profile;
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::publishing::PublisherSettings;
use crate::{NewDown, RtxSettings, TrackSettings, TransportExtensions, rtcp};

const PUBLISHER: u64 = 1;
const SUBSCRIBER: u64 = 2;
const AUDIO: u32 = 10;
const VIDEO: u32 = 20;
const DOWN: u32 = 77;

fn track(track: u32, is_video: bool, ssrc: u32, codecs: &[(u8, &str)]) -> TrackSettings {
    TrackSettings {
        track,
        mid: track.to_string(),
        is_video,
        clock_rate: if is_video { 90_000 } else { 48_000 },
        declared: Some(ssrc),
        codecs: codecs.iter().map(|(number, name)| (*number, (*name).to_owned())).collect(),
        redundant: Some((63, 96)),
        audio_level: Some((1, 2)),
        abs_send_time: 3,
        forwarded: vec![(7, 5)],
        sending: true,
        ..TrackSettings::default()
    }
}

fn address(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

/// A publisher of audio and video, and somebody who is sent both.
fn call(outgoing: &mut Outgoing) -> Core {
    let mut core = Core::default();
    core.open(PUBLISHER, Half::Publish);
    core.open(SUBSCRIBER, Half::Subscribe);
    let settings = PublisherSettings {
        max_bitrate: 1_000_000,
        extensions: TransportExtensions {
            transport: Some(4),
            send_time: Some(6),
            mid: Some(8),
            repaired_rid: Some(9),
        },
        mid_ids: vec![8],
        rid_ids: vec![10],
        associated: vec![(97, 96)],
        repairs: vec![(21, VIDEO)],
        tracks: vec![
            track(1, false, AUDIO, &[(111, "audio/opus"), (63, "audio/red")]),
            track(
                2,
                true,
                VIDEO,
                &[(96, "video/VP8"), (98, "video/VP9"), (99, "video/H264"), (100, "video/AV1")],
            ),
        ],
        ..PublisherSettings::default()
    };
    core.publish(PUBLISHER, settings);
    let rtx = RtxSettings { of: DOWN + 1, ssrc: 99, payload_types: vec![(97, 98)], sequence: 1 };
    core.subscribe(SUBSCRIBER, Some(4), vec![rtx]);
    let (profile, secret) = (Profile::AeadAes128Gcm, (vec![1; 16], vec![2; 12]));
    let keys = Keys { profile, inbound: secret.clone(), outbound: secret };
    for (down, payload_types) in
        [(0, vec![(111, 96), (63, 111)]), (1, vec![(96, 97), (98, 103), (99, 101), (100, 105)])]
    {
        let made = NewDown { ssrc: DOWN + down, before_first: 0x1_0000, timestamp: 5 };
        core.add_down(SUBSCRIBER, &made);
        let accepted = Accepted { payload_types, unwrapped: Vec::new() };
        core.attach((SUBSCRIBER, down as usize), (PUBLISHER, 1 + down), accepted, "alice");
    }
    for (connection, port) in [(PUBLISHER, 1), (SUBSCRIBER, 2)] {
        core.claim(address(port), connection);
        core.select(connection, Some((0, address(port))));
        core.set_keys(connection, &keys, 0.0, outgoing).unwrap();
        core.serve(connection, Some((format!("ufrag{port}").as_bytes(), b"password")));
    }
    core
}

/// An RTP packet that somebody may take, with anything behind its header.
fn rtp() -> impl Strategy<Value = Vec<u8>> {
    let payload_types = prop::sample::select(vec![96u8, 97, 98, 99, 100, 111, 63, 1]);
    let ssrcs = prop::sample::select(vec![AUDIO, VIDEO, 21, 30]);
    let first = prop::sample::select(vec![0x80u8, 0x90, 0xA0, 0xB0, 0x82]);
    (first, payload_types, 0u16..400, any::<u16>(), ssrcs, vec(any::<u8>(), 0..60)).prop_map(
        |(first, payload_type, sequence, timestamp, ssrc, rest)| {
            let mut packet = vec![first, payload_type];
            packet.extend(sequence.to_be_bytes());
            packet.extend([0, 0]);
            packet.extend(timestamp.to_be_bytes());
            packet.extend(ssrc.to_be_bytes());
            if first & 0x10 != 0 {
                packet.extend([0xBE, 0xDE, 0, 1]);
            }
            packet.extend(rest);
            packet
        },
    )
}

/// RTCP packets of the kinds that are read, with anything in them.
fn rtcp() -> impl Strategy<Value = Vec<u8>> {
    let kinds = prop::sample::select(vec![200u8, 201, 202, 205, 206]);
    let counts = prop::sample::select(vec![0u8, 1, 2, 4, 15]);
    let ssrcs = prop::sample::select(vec![AUDIO, VIDEO, DOWN, DOWN + 1]);
    vec((kinds, counts, ssrcs, vec(any::<u8>(), 0..40)), 1..4).prop_map(|packets| {
        let mut compound = Vec::new();
        for (kind, count, ssrc, mut body) in packets {
            body.resize(body.len().next_multiple_of(4), 0);
            let words = u16::try_from(2 + body.len() / 4).unwrap();
            compound.extend([0x80 | count, kind]);
            compound.extend(words.to_be_bytes());
            compound.extend(1u32.to_be_bytes());
            compound.extend(ssrc.to_be_bytes());
            compound.extend(body);
        }
        compound
    })
}

#[derive(Clone, Debug)]
enum Happening {
    Media(Vec<u8>),
    Report(bool, Vec<u8>),
    Choose(Option<usize>),
    Tick,
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        4 => rtp().prop_map(Happening::Media),
        2 => (any::<bool>(), rtcp()).prop_map(|(to, data)| Happening::Report(to, data)),
        1 => prop::option::of(0usize..3).prop_map(Happening::Choose),
        1 => Just(Happening::Tick),
    ]
}

proptest! {
    #[test]
    fn any_plaintext_is_taken(happenings in vec(happening(), 0..30)) {
        let mut outgoing = Outgoing::default();
        let mut core = call(&mut outgoing);
        for (at, happening) in happenings.into_iter().enumerate() {
            let now = 100.0 + at as f64 / 30.0;
            match happening {
                Happening::Media(mut data) => {
                    let (to, out) = (Half::Publish, &mut outgoing);
                    core.plain_received(PUBLISHER, to, false, &mut data, Times::at(now), out);
                }
                Happening::Report(publishes, mut data) => {
                    let (to, half) = if publishes {
                        (PUBLISHER, Half::Publish)
                    } else {
                        (SUBSCRIBER, Half::Subscribe)
                    };
                    core.plain_received(to, half, true, &mut data, Times::at(now), &mut outgoing);
                }
                Happening::Choose(layer) => {
                    core.choose(SUBSCRIBER, 1, layer);
                }
                Happening::Tick => {
                    core.tick(now, &mut outgoing);
                    core.report(PUBLISHER, None, now, &mut outgoing);
                }
            }
        }
        core.end(PUBLISHER);
        let state = core.state(SUBSCRIBER, 1).unwrap_or_default();
        prop_assert_eq!((state.layer, state.target), (None, None));
        core.end(SUBSCRIBER);
    }

    #[test]
    fn any_datagram_is_taken_or_counted(port in 1u16..4, data in vec(any::<u8>(), 0..1600)) {
        let mut outgoing = Outgoing::default();
        let mut core = call(&mut outgoing);
        core.receive(0, address(port), &data, Times::at(1.0), &mut outgoing);
        let totals = core.totals().clone();
        let told = outgoing.take_events().count() as u64;
        let first = data.first().copied().unwrap_or_default();
        let is_media = (128..192).contains(&first);
        prop_assert_eq!(totals.unknown_source, u64::from(first > 3 && port == 3));
        prop_assert_eq!(totals.srtp, u64::from(is_media && port != 3));
        prop_assert_eq!(told, u64::from(first <= 3 || (20..64).contains(&first) && port != 3));
        prop_assert_eq!(totals.received_packets, 0);
    }
}

#[test]
fn media_waits_for_the_keys_and_is_bounded() {
    let mut outgoing = Outgoing::default();
    let mut core = Core::default();
    core.open(PUBLISHER, Half::Publish);
    core.claim(address(1), PUBLISHER);
    for _ in 0..MAX_HELD + 3 {
        core.receive(0, address(1), &[0x80; 40], Times::at(1.0), &mut outgoing);
    }
    assert_eq!(core.totals().srtp, 3);
    let secret = (vec![1; 16], vec![2; 12]);
    let keys = Keys { profile: Profile::AeadAes128Gcm, inbound: secret.clone(), outbound: secret };
    core.set_keys(PUBLISHER, &keys, 2.0, &mut outgoing).unwrap();
    assert_eq!(core.totals().srtp, 3 + MAX_HELD as u64); // all of them were forged
}

#[test]
fn a_late_thread_is_no_late_packet() {
    let mut outgoing = Outgoing::default();
    let mut core = call(&mut outgoing);
    let times = Times { now: 12.9, arrived: 12.8 }; // the 200th multiple of 64 ms
    let mut packet = vec![0x90, 111, 0, 1, 0, 0, 0, 0];
    packet.extend(AUDIO.to_be_bytes());
    packet.extend([0xBE, 0xDE, 0, 1, 0x41, 0, 7, 0]); // transport-wide number 7
    core.plain_received(PUBLISHER, Half::Publish, false, &mut packet, times, &mut outgoing);
    outgoing.clear();
    core.tick(13.0, &mut outgoing);
    let sent = outgoing.datagrams().iter().find(|each| each.to == address(1)).unwrap();
    let mut data = outgoing.data(sent).to_vec();
    let mut opened = Inbound::new(Profile::AeadAes128Gcm, &[1; 16], &[2; 12]).unwrap();
    let length = opened.unprotect_rtcp(&mut data).unwrap();
    let told = rtcp::parse(&data[..length]).unwrap();
    let Some(rtcp::Packet::TransportFeedback(feedback)) = told.first() else {
        panic!("{told:?}");
    };
    assert_eq!((feedback.base_sequence, feedback.reference_time), (7, 200));
    assert_eq!(feedback.arrivals, [Some(0)]);
}
