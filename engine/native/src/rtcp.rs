//! Compound RTCP packets (RFC 3550 section 6.1), as far as the plane needs them.

use crate::Malformed;
use crate::transport_feedback::{self, TransportFeedback};

/// The most packets that are read of a compound one.
pub const MAX_PACKETS: usize = 64;
/// FMT of a generic NACK among transport-layer feedback (RFC 4585 section 6.2.1).
pub const NACK: u8 = 1;
/// FMT of a PLI among payload-specific feedback (RFC 4585 section 6.3.1).
pub const PLI: u8 = 1;
/// FMT of a FIR among payload-specific feedback (RFC 5104 section 4.3.1).
pub const FIR: u8 = 4;
/// FMT of a REMB among payload-specific feedback (draft-alvestrand-rmcat-remb-03).
pub const REMB: u8 = 15;

const SENDER_REPORT: u8 = 200;
const RECEIVER_REPORT: u8 = 201;
const SOURCE_DESCRIPTION: u8 = 202;
const BYE: u8 = 203;
const TRANSPORT: u8 = 205;
const PAYLOAD: u8 = 206;
const VERSION: u8 = 2;
const PADDING: u8 = 0x20;
const COUNT: u8 = 0x1F;
const CNAME: u8 = 1;
const REMB_NAME: [u8; 4] = *b"REMB";
const MAX_COUNT: usize = 31;

/// What a sender says of its clock and its packets (RFC 3550 section 6.4.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SenderInfo {
    /// 32.32 bits of seconds.
    pub ntp_timestamp: u64,
    /// The same moment on the stream's clock.
    pub rtp_timestamp: u32,
    /// Modulo 2^32.
    pub packet_count: u32,
    /// Modulo 2^32.
    pub octet_count: u32,
}

/// How one stream is received (RFC 3550 section 6.4.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReceiverInfo {
    /// Whose.
    pub ssrc: u32,
    /// Since the last report, in 1/256.
    pub fraction_lost: u8,
    /// In all, of 24 bits with a sign; clamped when written.
    pub packets_lost: i64,
    /// Extended.
    pub highest_sequence: u32,
    /// In units of the timestamp.
    pub jitter: u32,
    /// The middle 32 bits of the last sender report's NTP time, 0 without one.
    pub lsr: u32,
    /// Since that report came, in 1/65536 s.
    pub dlsr: u32,
}

/// One packet of a compound one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Packet<'a> {
    /// SR.
    SenderReport {
        /// Of the sender.
        ssrc: u32,
        /// Of the sender.
        info: SenderInfo,
        /// What it receives.
        reports: Vec<ReceiverInfo>,
    },
    /// RR.
    ReceiverReport {
        /// Of the receiver.
        ssrc: u32,
        /// What it receives.
        reports: Vec<ReceiverInfo>,
    },
    /// SDES, of which the items are checked and left out.
    SourceDescription {
        /// Of its chunks.
        ssrcs: Vec<u32>,
    },
    /// BYE.
    Bye {
        /// Who is leaving.
        ssrcs: Vec<u32>,
    },
    /// RTPFB but for transport-wide feedback.
    TransportLayer {
        /// FMT.
        format: u8,
        /// Of who sends it.
        ssrc: u32,
        /// Of whom it is meant for.
        media_ssrc: u32,
        /// Sequence numbers, as a generic NACK names them.
        lost: Vec<u16>,
    },
    /// PSFB.
    PayloadSpecific {
        /// FMT.
        format: u8,
        /// Of who sends it.
        ssrc: u32,
        /// Of whom it is meant for.
        media_ssrc: u32,
        /// Feedback control information.
        fci: &'a [u8],
    },
    /// Transport-wide feedback.
    TransportFeedback(TransportFeedback),
}

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
