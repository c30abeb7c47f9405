//! What is read of a packet.

use callfleet_media::codecs::{self, Codec, Mark, Marks, Shift, red};
use callfleet_media::rtcp::{self, Packet, ReceiverInfo};
use callfleet_media::transport_feedback::{self, TransportFeedback};
use callfleet_media::{Malformed, rtp};

use crate::text::{bits, bytes, hex, identifiers, joined, number, or_refused, shown};

/// The answer to a question about one packet.
pub fn answer(words: &[&str]) -> Option<String> {
    Some(match *words {
        ["payload_offset", data] => {
            or_refused(rtp::payload_offset(&bytes(data)?).map(|at| at.to_string()))
        }
        ["elements", data] => or_refused(elements(&bytes(data)?)),
        ["extension", data, id] => or_refused(extension(&bytes(data)?, number(id)?)),
        ["renumber", data, ids] => {
            let mut data = bytes(data)?;
            let done = rtp::renumber_extensions(&mut data, &identifiers(ids)?);
            or_refused(done.map(|()| hex(&data)))
        }
        ["codec", name, data] => {
            or_refused(Codec::from_mime(name)?.read(&bytes(data)?).map(payload))
        }
        ["shift", name, data, picture, base, key] => {
            let data = bytes(data)?;
            let shift = shift(picture, base, key)?;
            or_refused(
                Codec::from_mime(name)?.read(&data).map(|found| shifted(&data, found.marks, shift)),
            )
        }
        ["following", name, new, last, picture, base, key] => {
            let codec = Codec::from_mime(name)?;
            let shift = shift(picture, base, key)?;
            let both = codec
                .read(&bytes(new)?)
                .and_then(|new| Ok((new, codec.read(&bytes(last).unwrap_or_default())?)));
            or_refused(both.map(|(new, last)| match (new.marks, last.marks) {
                (Some(new), Some(last)) => {
                    let next = codecs::following(&new, &last, shift);
                    format!("{} {} {}", next.picture & 0x7FFF, next.base, next.key & 0x1F)
                }
                _ => "-".into(),
            }))
        }
        ["red_primary", data] => or_refused(red::primary(&bytes(data)?).map(hex)),
        ["red_type", data, payload_type] => {
            let mut data = bytes(data)?;
            let done = red::set_payload_type(&mut data, number(payload_type)?);
            or_refused(done.map(|()| hex(&data)))
        }
        ["feedback", data] => {
            or_refused(transport_feedback::parse(&bytes(data)?).map(|m| feedback(&m)))
        }
        ["rtcp", data] => {
            let data = bytes(data)?;
            or_refused(rtcp::parse(&data).map(|packets| {
                let shown: Vec<String> = packets.iter().map(packet).collect();
                shown.join(" / ")
            }))
        }
        _ => return None,
    })
}

fn elements(data: &[u8]) -> Result<String, Malformed> {
    let mut found = Vec::new();
    for element in rtp::elements(data)? {
        let element = element?;
        found.push(format!("{}={}", element.identifier, hex(element.value)));
    }
    Ok(joined(found))
}

fn extension(data: &[u8], identifier: u8) -> Result<String, Malformed> {
    let value = rtp::extension(data, identifier)?;
    let place = rtp::find_extension(data, identifier)?;
    let placed = place.and_then(|place| data.get(place));
    Ok(if placed == value { shown(value.map(hex)) } else { "two answers".into() })
}

fn shift(picture: &str, base: &str, key: &str) -> Option<Shift> {
    let wide = |word| number::<i64>(word);
    Some(Shift { picture: wide(picture)? as u16, base: wide(base)? as u8, key: wide(key)? as u8 })
}

fn mark<N: std::fmt::Display>(mark: Option<Mark<N>>) -> String {
    mark.map_or_else(|| "-".into(), |mark| format!("{}@{}", mark.number, mark.at))
}

fn payload(found: codecs::Payload) -> String {
    let marks = found.marks.map(|marks| {
        let (picture, base, key) = (mark(marks.picture), mark(marks.base), mark(marks.key));
        format!("{picture} {} {base} {key}", if marks.long_picture { 15 } else { 7 })
    });
    format!("{} {}", found.starts, shown(marks))
}

/// With the bytes behind the extent of the marks left alone.
fn shifted(data: &[u8], marks: Option<Marks>, shift: Shift) -> String {
    let Some(marks) = marks else {
        return "-".into();
    };
    let mut changed = data.to_vec();
    if let Some(descriptor) = changed.get_mut(..marks.extent()) {
        codecs::shift(descriptor, &marks, shift);
    }
    hex(&changed)
}

/// A message of transport-wide feedback.
pub fn feedback(message: &TransportFeedback) -> String {
    let arrivals = joined(message.arrivals.iter().map(|arrival| shown(*arrival)));
    format!("{} {} {} {arrivals}", message.base_sequence, message.reference_time, message.count)
}

fn reports(reports: &[ReceiverInfo]) -> String {
    joined(reports.iter().map(|r| {
        format!(
            "{};{};{};{};{};{};{}",
            r.ssrc, r.fraction_lost, r.packets_lost, r.highest_sequence, r.jitter, r.lsr, r.dlsr
        )
    }))
}

fn packet(packet: &Packet<'_>) -> String {
    match packet {
        Packet::SenderReport { ssrc, info: i, reports: r } => format!(
            "sr {ssrc} {} {} {} {} {}",
            i.ntp_timestamp,
            i.rtp_timestamp,
            i.packet_count,
            i.octet_count,
            reports(r)
        ),
        Packet::ReceiverReport { ssrc, reports: r } => format!("rr {ssrc} {}", reports(r)),
        Packet::SourceDescription { ssrcs } => format!("sdes {}", joined(ssrcs)),
        Packet::Bye { ssrcs } => format!("bye {}", joined(ssrcs)),
        Packet::TransportLayer { format, ssrc, media_ssrc, lost } => {
            format!("rtpfb {format} {ssrc} {media_ssrc} {}", joined(lost))
        }
        Packet::PayloadSpecific { format, ssrc, media_ssrc, fci } => format!(
            "psfb {format} {ssrc} {media_ssrc} {} {} {}",
            hex(fci),
            shown(rtcp::remb(*format, fci).map(bits)),
            joined(rtcp::keyframe_ssrcs(*format, *media_ssrc, fci))
        ),
        Packet::TransportFeedback(message) => format!("transport {}", feedback(message)),
    }
}
