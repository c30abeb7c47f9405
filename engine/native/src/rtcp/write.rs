//! Packets as they are sent; each is added to those before it.

use super::{
    COUNT, FIR, NACK, PAYLOAD, PLI, RECEIVER_REPORT, REMB, REMB_NAME, ReceiverInfo, SENDER_REPORT,
    SOURCE_DESCRIPTION, SenderInfo, TRANSPORT, VERSION,
};
use crate::transport_feedback::{self, TransportFeedback};

const CNAME: u8 = 1;
const MAX_COUNT: usize = 31;

/// Add a packet to `out`; what `write` adds is filled up to whole words.
fn packet(out: &mut Vec<u8>, kind: u8, count: u8, write: impl FnOnce(&mut Vec<u8>)) {
    let begin = out.len();
    out.extend([VERSION << 6 | count & COUNT, kind, 0, 0]);
    write(out);
    out.resize(begin + (out.len() - begin).next_multiple_of(4), 0);
    let words = (out.len() - begin) / 4 - 1;
    if let Some(place) = out.get_mut(begin + 2..).and_then(<[u8]>::first_chunk_mut) {
        *place = (words as u16).to_be_bytes();
    }
}

fn put(out: &mut Vec<u8>, words: impl IntoIterator<Item = u32>) {
    out.extend(words.into_iter().flat_map(u32::to_be_bytes));
}

fn put_reports(out: &mut Vec<u8>, reports: &[ReceiverInfo]) {
    for info in reports {
        let lost = info.packets_lost.clamp(-(1 << 23), (1 << 23) - 1) as u32 & 0xFF_FFFF;
        let loss = u32::from(info.fraction_lost) << 24 | lost;
        put(out, [info.ssrc, loss, info.highest_sequence, info.jitter, info.lsr, info.dlsr]);
    }
}

/// Add a sender report without reception reports.
pub fn write_sender_report(out: &mut Vec<u8>, ssrc: u32, info: &SenderInfo) {
    packet(out, SENDER_REPORT, 0, |out| {
        put(out, [ssrc]);
        out.extend(info.ntp_timestamp.to_be_bytes());
        put(out, [info.rtp_timestamp, info.packet_count, info.octet_count]);
    });
}

/// Add a receiver report of at most 31 streams.
pub fn write_receiver_report(out: &mut Vec<u8>, ssrc: u32, reports: &[ReceiverInfo]) {
    let reports = reports.get(..MAX_COUNT).unwrap_or(reports);
    packet(out, RECEIVER_REPORT, reports.len() as u8, |out| {
        put(out, [ssrc]);
        put_reports(out, reports);
    });
}

/// Add a source description with a CNAME of at most 255 bytes.
pub fn write_cname(out: &mut Vec<u8>, ssrc: u32, name: &str) {
    let name = name.as_bytes();
    let name = name.get(..255).unwrap_or(name);
    packet(out, SOURCE_DESCRIPTION, 1, |out| {
        put(out, [ssrc]);
        out.extend([CNAME, name.len() as u8]);
        out.extend(name);
        out.extend([0, 0]);
    });
}

/// Add a generic NACK of these sequence numbers, which it sorts (RFC 4585 section 6.2.1).
pub fn write_nack(out: &mut Vec<u8>, ssrc: u32, media_ssrc: u32, lost: &mut [u16]) {
    lost.sort_unstable();
    packet(out, TRANSPORT, NACK, |out| {
        put(out, [ssrc, media_ssrc]);
        let mut rest = &*lost;
        while let Some((&number, after)) = rest.split_first() {
            let near = after.iter().take_while(|&&each| each - number <= 16).count();
            let (near, after) = after.split_at_checked(near).unwrap_or((after, &[]));
            let bits = near.iter().filter(|&&each| each > number);
            let following = bits.fold(0, |bits, each| bits | 1 << (each - number - 1));
            put(out, [u32::from(number) << 16 | following]);
            rest = after;
        }
    });
}

/// Add a PLI (RFC 4585 section 6.3.1).
pub fn write_pli(out: &mut Vec<u8>, ssrc: u32, media_ssrc: u32) {
    packet(out, PAYLOAD, PLI, |out| put(out, [ssrc, media_ssrc]));
}

/// Add a FIR, whose number is another for each new request (RFC 5104 section 4.3.1).
pub fn write_fir(out: &mut Vec<u8>, ssrc: u32, media_ssrc: u32, number: u8) {
    packet(out, PAYLOAD, FIR, |out| put(out, [ssrc, 0, media_ssrc, u32::from(number) << 24]));
}

/// Add a REMB of at most 255 streams; `bitrate` in bit/s (draft-alvestrand-rmcat-remb-03).
pub fn write_remb(out: &mut Vec<u8>, ssrc: u32, bitrate: u64, media_ssrcs: &[u32]) {
    let media_ssrcs = media_ssrcs.get(..255).unwrap_or(media_ssrcs);
    let exponent = (u64::BITS - bitrate.leading_zeros()).saturating_sub(18);
    let mantissa = (bitrate >> exponent) as u32;
    packet(out, PAYLOAD, REMB, |out| {
        put(out, [ssrc, 0]);
        out.extend(REMB_NAME);
        put(out, [(media_ssrcs.len() as u32) << 24 | exponent << 18 | mantissa]);
        put(out, media_ssrcs.iter().copied());
    });
}

/// Add transport-wide feedback; false, and nothing added, if it cannot be written.
pub fn write_transport_feedback(
    out: &mut Vec<u8>,
    ssrc: u32,
    media_ssrc: u32,
    feedback: &TransportFeedback,
) -> bool {
    let begin = out.len();
    let mut written = false;
    packet(out, TRANSPORT, transport_feedback::FORMAT, |out| {
        put(out, [ssrc, media_ssrc]);
        written = transport_feedback::write(feedback, out);
    });
    if !written {
        out.truncate(begin);
    }
    written
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::rtcp::{Packet, keyframe_ssrcs, parse, remb};
    use crate::testing::cases;

    proptest! {
        #![proptest_config(cases())]

        #[test]
        fn a_nack_names_what_is_lost(lost in prop::collection::btree_set(any::<u16>(), 1..60)) {
            let mut out = Vec::new();
            let mut numbers: Vec<u16> = lost.iter().rev().copied().collect();
            write_nack(&mut out, 1, 2, &mut numbers);
            let numbers = lost.into_iter().collect();
            let expected = Packet::TransportLayer { format: NACK, ssrc: 1, media_ssrc: 2, lost: numbers };
            prop_assert_eq!(parse(&out).unwrap(), [expected]);
        }

        #[test]
        fn a_remb_tells_the_rate_to_a_few_bits(bitrate: u64) {
            let mut out = Vec::new();
            write_remb(&mut out, 1, bitrate, &[5, 6]);
            let packets = parse(&out).unwrap();
            let [Packet::PayloadSpecific { format, fci, .. }] = packets.as_slice() else {
                panic!("another packet");
            };
            let (told, meant) = (remb(*format, fci).unwrap(), bitrate as f64);
            prop_assert!(told <= meant && meant - told <= meant / 131_072.0);
        }
    }

    #[test]
    fn reports_are_read_as_they_were_written() {
        let info = SenderInfo {
            ntp_timestamp: 1 << 63,
            rtp_timestamp: 2,
            packet_count: 3,
            octet_count: 4,
        };
        let report = ReceiverInfo {
            ssrc: 5,
            fraction_lost: 6,
            packets_lost: -7,
            highest_sequence: 8,
            jitter: 9,
            lsr: 10,
            dlsr: 11,
        };
        let mut out = Vec::new();
        write_sender_report(&mut out, 1, &info);
        write_cname(&mut out, 1, "alice");
        write_receiver_report(&mut out, 1, &[report; 40]);
        let expected = [
            Packet::SenderReport { ssrc: 1, info, reports: Vec::new() },
            Packet::SourceDescription { ssrcs: vec![1] },
            Packet::ReceiverReport { ssrc: 1, reports: vec![report; MAX_COUNT] },
        ];
        assert_eq!(parse(&out).unwrap(), expected);
    }

    #[test]
    fn requests_for_keyframes_name_whom_they_mean() {
        let mut out = Vec::new();
        write_pli(&mut out, 1, 2);
        write_fir(&mut out, 1, 3, 4);
        let wanted: Vec<u32> = parse(&out)
            .unwrap()
            .iter()
            .flat_map(|packet| match packet {
                Packet::PayloadSpecific { format, media_ssrc, fci, .. } => {
                    keyframe_ssrcs(*format, *media_ssrc, fci)
                }
                _ => Vec::new(),
            })
            .collect();
        assert_eq!(wanted, [2, 3]);
    }

    #[test]
    fn feedback_that_cannot_be_written_leaves_nothing() {
        let arrivals = vec![Some(0), Some(1 << 20)];
        let feedback =
            TransportFeedback { base_sequence: 0, reference_time: 0, count: 0, arrivals };
        let mut out = vec![1];
        assert!(!write_transport_feedback(&mut out, 1, 2, &feedback));
        assert_eq!(out, [1]);
    }
}
