//! Compound packets as they come.

use super::{
    BYE, COUNT, FIR, PADDING, PAYLOAD, PLI, Packet, RECEIVER_REPORT, REMB, REMB_NAME, ReceiverInfo,
    SENDER_REPORT, SOURCE_DESCRIPTION, SenderInfo, TRANSPORT, VERSION,
};
use crate::{Malformed, transport_feedback};

/// The most packets that are read of a compound one.
pub const MAX_PACKETS: usize = 64;

/// Reads big-endian numbers from the front.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn chunk<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (chunk, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*chunk)
    }

    fn u32(&mut self) -> Option<u32> {
        self.chunk().map(u32::from_be_bytes)
    }

    fn receiver_info(&mut self) -> Option<ReceiverInfo> {
        let ssrc = self.u32()?;
        let [fraction_lost, l0, l1, l2] = self.chunk()?;
        Some(ReceiverInfo {
            ssrc,
            fraction_lost,
            packets_lost: i64::from(i32::from_be_bytes([l0, l1, l2, 0]) >> 8),
            highest_sequence: self.u32()?,
            jitter: self.u32()?,
            lsr: self.u32()?,
            dlsr: self.u32()?,
        })
    }

    fn sender_info(&mut self) -> Option<SenderInfo> {
        Some(SenderInfo {
            ntp_timestamp: u64::from_be_bytes(self.chunk()?),
            rtp_timestamp: self.u32()?,
            packet_count: self.u32()?,
            octet_count: self.u32()?,
        })
    }

    /// So many, with nothing behind them.
    fn reports(&mut self, count: u8) -> Option<Vec<ReceiverInfo>> {
        let reports = (0..count).map(|_| self.receiver_info()).collect::<Option<_>>()?;
        self.0.is_empty().then_some(reports)
    }

    fn ssrcs(&mut self, count: u8) -> Option<Vec<u32>> {
        (0..count).map(|_| self.u32()).collect()
    }

    fn source_description(&mut self, count: u8) -> Option<Vec<u32>> {
        (0..count)
            .map(|_| {
                let ssrc = self.u32()?;
                while self.0.len() > 1 {
                    let [kind, length] = self.chunk()?;
                    self.0 = self.0.get(usize::from(length)..)?;
                    if kind == 0 {
                        break;
                    }
                }
                Some(ssrc)
            })
            .collect()
    }

    fn lost(&mut self) -> Option<Vec<u16>> {
        let mut lost = Vec::new();
        while !self.0.is_empty() {
            let [p0, p1, b0, b1] = self.chunk()?;
            let (number, following) = (u16::from_be_bytes([p0, p1]), u16::from_be_bytes([b0, b1]));
            lost.push(number);
            lost.extend(
                (0..16)
                    .filter(|bit| following >> bit & 1 != 0)
                    .map(|bit| number.wrapping_add(bit + 1)),
            );
        }
        Some(lost)
    }
}

/// The packets of a compound one, at most 64; types that nobody here uses are left out.
///
/// Malformed if any of them is.
pub fn parse(data: &[u8]) -> Result<Vec<Packet<'_>>, Malformed> {
    let mut packets = Vec::new();
    let mut rest = data;
    while !rest.is_empty() && packets.len() < MAX_PACKETS {
        let Some((&[first, kind, w0, w1], after)) = rest.split_first_chunk() else {
            return Err(Malformed("RTCP header is truncated"));
        };
        let words = usize::from(u16::from_be_bytes([w0, w1]));
        let body = after.split_at_checked(4 * words).filter(|_| first >> 6 == VERSION);
        let (mut body, after) =
            body.ok_or(Malformed("RTCP packet is truncated or of another version"))?;
        rest = after;
        if first & PADDING != 0 {
            let padding = body.last().map_or(0, |last| usize::from(*last));
            let end = body.len().checked_sub(padding).filter(|_| padding > 0);
            let unpadded = end.and_then(|end| body.get(..end));
            body = unpadded.ok_or(Malformed("RTCP padding is malformed"))?;
        }
        packets.extend(parse_one(kind, first & COUNT, body)?);
    }
    Ok(packets)
}

fn parse_one(kind: u8, count: u8, body: &[u8]) -> Result<Option<Packet<'_>>, Malformed> {
    let packet = match kind {
        SENDER_REPORT => sender_report(body, count).ok_or("RTCP sender report is malformed"),
        RECEIVER_REPORT => receiver_report(body, count).ok_or("RTCP receiver report is malformed"),
        SOURCE_DESCRIPTION => Reader(body)
            .source_description(count)
            .map(|ssrcs| Packet::SourceDescription { ssrcs })
            .ok_or("RTCP source description is truncated"),
        BYE => Reader(body)
            .ssrcs(count)
            .map(|ssrcs| Packet::Bye { ssrcs })
            .ok_or("RTCP bye is truncated"),
        TRANSPORT if count == transport_feedback::FORMAT => {
            let fci = body.get(8..).unwrap_or_default();
            return Ok(Some(Packet::TransportFeedback(transport_feedback::parse(fci)?)));
        }
        TRANSPORT => transport_layer(body, count).ok_or("RTCP feedback is truncated"),
        PAYLOAD => payload_specific(body, count).ok_or("RTCP feedback is truncated"),
        _ => return Ok(None),
    };
    packet.map(Some).map_err(Malformed)
}

fn sender_report(body: &[u8], count: u8) -> Option<Packet<'_>> {
    let mut body = Reader(body);
    let (ssrc, info) = (body.u32()?, body.sender_info()?);
    Some(Packet::SenderReport { ssrc, info, reports: body.reports(count)? })
}

fn receiver_report(body: &[u8], count: u8) -> Option<Packet<'_>> {
    let mut body = Reader(body);
    Some(Packet::ReceiverReport { ssrc: body.u32()?, reports: body.reports(count)? })
}

fn transport_layer(body: &[u8], format: u8) -> Option<Packet<'_>> {
    let mut body = Reader(body);
    let (ssrc, media_ssrc) = (body.u32()?, body.u32()?);
    Some(Packet::TransportLayer { format, ssrc, media_ssrc, lost: body.lost()? })
}

fn payload_specific(body: &[u8], format: u8) -> Option<Packet<'_>> {
    let mut body = Reader(body);
    let (ssrc, media_ssrc) = (body.u32()?, body.u32()?);
    Some(Packet::PayloadSpecific { format, ssrc, media_ssrc, fci: body.0 })
}

/// The bit rate of a REMB; `None` of any other message, of another application's, or truncated.
pub fn remb(format: u8, fci: &[u8]) -> Option<f64> {
    let (&[r, e, m, b, count, high, middle, low], ssrcs) = fci.split_first_chunk()?;
    if format != REMB || [r, e, m, b] != REMB_NAME || ssrcs.len() < 4 * usize::from(count) {
        return None;
    }
    let mantissa = u32::from_be_bytes([0, high & 0x03, middle, low]);
    Some(f64::from(mantissa) * f64::powi(2.0, i32::from(high >> 2)))
}

/// Whom a PLI or FIR means; nobody with any other message.
pub fn keyframe_ssrcs(format: u8, media_ssrc: u32, fci: &[u8]) -> Vec<u32> {
    match format {
        PLI => vec![media_ssrc],
        FIR => fci
            .chunks_exact(8)
            .filter_map(|entry| entry.first_chunk())
            .map(|ssrc| u32::from_be_bytes(*ssrc))
            .collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::{cases, damaged, recorded};

    proptest! {
        #![proptest_config(cases())]

        #[test]
        fn any_bytes_are_read_without_a_panic(
            kind in 199..208u8,
            count: u8,
            data in prop::collection::vec(any::<u8>(), 0..120),
        ) {
            let _ = parse(&data);
            let words = u8::try_from(data.len() / 4).unwrap();
            let _ = parse(&[&[0x80 | count, kind, 0, words], &data[..]].concat());
            let _ = (remb(REMB, &data), keyframe_ssrcs(FIR, 1, &data));
        }

        #[test]
        fn any_damaged_packets_are_read_without_a_panic(
            parts in prop::collection::vec(damaged("rtcp"), 1..4),
        ) {
            let _ = parse(&parts.concat());
        }
    }

    #[test]
    fn compound_packets_are_read_one_by_one() {
        let packets = recorded("rtcp");
        let each: usize = packets.iter().map(|packet| parse(packet).unwrap().len()).sum();
        assert!(each >= packets.len());
        assert_eq!(parse(&packets.concat()).unwrap().len(), each);
        let bye = [0x80, 203, 0, 0];
        assert_eq!(parse(&bye.repeat(100)).unwrap().len(), MAX_PACKETS);
        assert_eq!(parse(&[0x80, 204, 0, 0]).unwrap(), [], "of an application");
    }

    #[test]
    fn malformed_ones_are_refused() {
        for data in [
            &[0x80][..],
            &[0x40, 201, 0, 0],
            &[0x80, 201, 0, 1],
            &[0xA0, 201, 0, 1, 0, 0, 0, 0],
            &[0x81, 201, 0, 1, 0, 0, 0, 0],
            &[0x81, 205, 0, 1, 0, 0, 0, 0],
            &[0x81, 202, 0, 2, 0, 0, 0, 1, 1, 9, 0, 0],
        ] {
            assert!(parse(data).is_err(), "{data:02x?}");
        }
    }
}
