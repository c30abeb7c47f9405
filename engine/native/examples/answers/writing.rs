//! What is written.

use callfleet_media::retransmission::{self, PADDING_PAYLOAD, RtxStream};
use callfleet_media::rtcp::{self, ReceiverInfo, SenderInfo};
use callfleet_media::rtp::{self, Block, Header, ShortElement};
use callfleet_media::timeline::{SenderClock, continued, same_moments};
use callfleet_media::transport_feedback::TransportFeedback;

use crate::text::{bytes, hex, identifiers, list, number, optional, or_refused, pairs, shown};

/// The answer to a question about what is sent.
pub fn answer(words: &[&str]) -> Option<String> {
    rtp_answer(words)
        .or_else(|| rtx_answer(words))
        .or_else(|| rtcp_answer(words))
        .or_else(|| timeline_answer(words))
}

fn rtp_answer(words: &[&str]) -> Option<String> {
    Some(match *words {
        ["mapped", data, ids] => {
            let mut block = Block::default();
            let done = block.push_mapped(&bytes(data)?, &identifiers(ids)?);
            or_refused(done.map(|()| hex(block.elements())))
        }
        ["send_time_block", id, seconds, data, ids] => {
            let mut block = Block::default();
            block.push_abs_send_time(number(id)?, number(seconds)?);
            let done = block.push_mapped(&bytes(data)?, &identifiers(ids)?);
            or_refused(done.map(|()| hex(block.finish())))
        }
        ["level_block", id, level] => {
            let mut block = Block::default();
            block.push(number(id)?, &[number(level)?]);
            hex(block.finish())
        }
        ["numbered", data, id, value] => {
            let data = bytes(data)?;
            let header = Header::read(&data).ok()?;
            let element = ShortElement { identifier: number(id)?, value: number(value)? };
            let (head, payload) = data.split_at_checked(rtp::payload_offset(&data).ok()?)?;
            let mut out = [0; 1500];
            let length = rtp::write_header(&mut out, header, Some(element), head.get(12..)?)?;
            let plain = rtp::write_header(&mut [0; 1500], header, None, head.get(12..)?)?;
            if plain != head.len() {
                return None;
            }
            hex(&[out.get(..length)?, payload].concat())
        }
        _ => return None,
    })
}

fn rtx_answer(words: &[&str]) -> Option<String> {
    Some(match *words {
        ["wrap", ssrc, types, sequence, data] => {
            let mut stream = RtxStream::new(number(ssrc)?, pairs(types)?, number(sequence)?);
            let mut out = [0; 2000];
            let length = stream.wrap(&bytes(data)?, &mut out);
            shown(length.and_then(|length| out.get(..length)).map(hex))
        }
        ["padding", ssrc, types, sequence, timestamp] => {
            let mut stream = RtxStream::new(number(ssrc)?, pairs(types)?, number(sequence)?);
            let header = stream.padding_header(number(timestamp)?)?.to_bytes();
            hex(&[&header[..], &PADDING_PAYLOAD].concat())
        }
        ["unwrap", data, payload_type, ssrc] => {
            let mut data = bytes(data)?;
            let place = retransmission::unwrap(&mut data, number(payload_type)?, number(ssrc)?);
            or_refused(place.map(|place| shown(place.and_then(|place| data.get(place)).map(hex))))
        }
        _ => return None,
    })
}

fn rtcp_answer(words: &[&str]) -> Option<String> {
    let mut out = Vec::new();
    match *words {
        ["write_sr", ssrc, ntp, rtp, packets, octets, name] => {
            let info = SenderInfo {
                ntp_timestamp: number(ntp)?,
                rtp_timestamp: number(rtp)?,
                packet_count: number(packets)?,
                octet_count: number(octets)?,
            };
            rtcp::write_sender_report(&mut out, number(ssrc)?, &info);
            rtcp::write_cname(&mut out, number(ssrc)?, name);
        }
        ["write_rr", ssrc, count, numbers] => {
            let [of, fraction, lost, highest, jitter, lsr, dlsr] =
                *list::<i64>(numbers)?.first_chunk()?;
            let report = ReceiverInfo {
                ssrc: of as u32,
                fraction_lost: fraction as u8,
                packets_lost: lost,
                highest_sequence: highest as u32,
                jitter: jitter as u32,
                lsr: lsr as u32,
                dlsr: dlsr as u32,
            };
            rtcp::write_receiver_report(&mut out, number(ssrc)?, &vec![report; number(count)?]);
        }
        ["write_nack", ssrc, of, lost] => {
            rtcp::write_nack(&mut out, number(ssrc)?, number(of)?, &mut list(lost)?);
        }
        ["write_pli", ssrc, of] => rtcp::write_pli(&mut out, number(ssrc)?, number(of)?),
        ["write_fir", ssrc, of, count] => {
            rtcp::write_fir(&mut out, number(ssrc)?, number(of)?, number(count)?);
        }
        ["write_remb", ssrc, bitrate, ssrcs] => {
            rtcp::write_remb(&mut out, number(ssrc)?, number(bitrate)?, &list::<u32>(ssrcs)?);
        }
        ["write_feedback", base, reference, count, arrivals] => {
            let arrivals = arrivals.split(',').map(optional).collect::<Option<_>>()?;
            let message = TransportFeedback {
                base_sequence: number(base)?,
                reference_time: number(reference)?,
                count: number(count)?,
                arrivals,
            };
            if !rtcp::write_transport_feedback(&mut out, 1, 2, &message) {
                return Some("refused".into());
            }
        }
        _ => return None,
    }
    Some(hex(&out))
}

fn timeline_answer(words: &[&str]) -> Option<String> {
    Some(match *words {
        ["same_moments", base_ntp, base_rtp, ntp, rtp, rate] => {
            let base = SenderClock { ntp: number(base_ntp)?, rtp: number(base_rtp)? };
            let clock = SenderClock { ntp: number(ntp)?, rtp: number(rtp)? };
            same_moments(base, clock, number(rate)?).to_string()
        }
        ["continued", timestamp, last, ticks, rate, wished] => continued(
            number(timestamp)?,
            number(last)?,
            number(ticks)?,
            number(rate)?,
            optional(wished)?,
        )
        .to_string(),
        _ => return None,
    })
}
