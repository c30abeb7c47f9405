//! What is known of a stream, packet by packet.

use callfleet_media::inbound::InboundStream;
use callfleet_media::layers::RateMeter;
use callfleet_media::numbering::Numbering;
use callfleet_media::packet::{Packet, PacketRing};
use callfleet_media::retransmission::RetransmissionBudget;
use callfleet_media::transport_feedback::ArrivalRecorder;

use crate::reading::feedback;
use crate::text::{bits, bytes, hex, joined, number, shown};

/// One of each; a question that ends with "new" begins another.
pub struct Streams {
    inbound: InboundStream,
    numbering: Numbering,
    ring: PacketRing,
    budget: RetransmissionBudget,
    recorder: ArrivalRecorder,
    rate: RateMeter,
}

impl Default for Streams {
    fn default() -> Self {
        Self {
            inbound: InboundStream::new(90_000),
            numbering: Numbering::new(0),
            ring: PacketRing::default(),
            budget: RetransmissionBudget::default(),
            recorder: ArrivalRecorder::default(),
            rate: RateMeter::default(),
        }
    }
}

impl Streams {
    /// The answer to a question about a stream.
    pub fn answer(&mut self, words: &[&str]) -> Option<String> {
        match words {
            ["inbound", rest @ ..] => self.inbound_answer(rest),
            ["numbering", rest @ ..] => self.numbering_answer(rest),
            ["ring", rest @ ..] => self.ring_answer(rest),
            ["budget", rest @ ..] => self.budget_answer(rest),
            ["recorder", rest @ ..] => self.recorder_answer(rest),
            ["rate", rest @ ..] => self.rate_answer(rest),
            _ => None,
        }
    }

    fn inbound_answer(&mut self, words: &[&str]) -> Option<String> {
        let stream = &mut self.inbound;
        Some(match *words {
            ["new", rate] => {
                *stream = InboundStream::new(number(rate)?);
                "new".into()
            }
            ["add", sequence, timestamp, arrival, length] => stream
                .add(number(sequence)?, number(timestamp)?, number(arrival)?, number(length)?)
                .to_string(),
            ["recover", sequence, arrival] => {
                shown(stream.recover(number(sequence)?, number(arrival)?))
            }
            ["nack", now] => {
                let mut due = Vec::new();
                stream.nack(number(now)?, &mut due);
                joined(due)
            }
            ["report"] => format!(
                "{} {} {} {} {} {} {} {} {} {}",
                stream.highest(),
                stream.packets_received(),
                stream.bytes_received(),
                stream.packets_expected(),
                stream.packets_lost(),
                stream.has_missing(),
                stream.jitter_units(),
                bits(stream.jitter_seconds()),
                stream.fraction_lost(),
                stream.newly_lost(),
            ),
            _ => return None,
        })
    }

    fn numbering_answer(&mut self, words: &[&str]) -> Option<String> {
        let numbering = &mut self.numbering;
        Some(match *words {
            ["new", before_first] => {
                *numbering = Numbering::new(number(before_first)?);
                "new".into()
            }
            ["begin", extended] => {
                numbering.begin(number(extended)?);
                numbering.sent().to_string()
            }
            ["number", extended] => {
                let given = numbering.number(number(extended)?);
                format!(
                    "{} {}",
                    shown(given.map(|(number, _)| number)),
                    given.is_some_and(|(_, newest)| newest)
                )
            }
            ["skip", extended] => numbering.skip(number(extended)?).to_string(),
            ["source", of] => shown(numbering.source(number(of)?)),
            _ => return None,
        })
    }

    fn ring_answer(&mut self, words: &[&str]) -> Option<String> {
        Some(match *words {
            ["new"] => {
                self.ring = PacketRing::default();
                "new".into()
            }
            ["store", extended, timestamp, block, payload, repeated] => {
                let (block, payload) = (bytes(block)?, bytes(payload)?.repeat(number(repeated)?));
                self.ring.store(&Packet {
                    extended: number(extended)?,
                    first: 0x90,
                    marker_and_type: 97,
                    timestamp: number(timestamp)?,
                    block: &block,
                    payload: &payload,
                    marks: None,
                });
                "stored".into()
            }
            ["tick"] => {
                self.ring.tick();
                "ticked".into()
            }
            ["find", extended] => shown(self.ring.find(number(extended)?).map(|packet| {
                let digest = packet.payload.iter().map(|&byte| usize::from(byte)).sum::<usize>();
                format!(
                    "{} {} {} {digest}",
                    packet.timestamp,
                    hex(packet.block),
                    packet.payload.len()
                )
            })),
            _ => return None,
        })
    }

    fn budget_answer(&mut self, words: &[&str]) -> Option<String> {
        Some(match *words {
            ["new"] => {
                self.budget = RetransmissionBudget::default();
                "new".into()
            }
            ["earn", size] => {
                self.budget.earn(number(size)?);
                "earned".into()
            }
            ["tick"] => {
                self.budget.tick();
                "ticked".into()
            }
            ["take", ssrc, sequence, size, round_trip, now] => self
                .budget
                .take(
                    number(ssrc)?,
                    number(sequence)?,
                    number(size)?,
                    number(round_trip)?,
                    number(now)?,
                )
                .to_string(),
            _ => return None,
        })
    }

    fn recorder_answer(&mut self, words: &[&str]) -> Option<String> {
        Some(match *words {
            ["new"] => {
                self.recorder = ArrivalRecorder::default();
                "new".into()
            }
            ["record", sequence, now] => {
                self.recorder.record(number(sequence)?, number(now)?);
                "recorded".into()
            }
            ["messages"] => {
                let told: Vec<String> = self.recorder.messages().iter().map(feedback).collect();
                told.join(" / ")
            }
            _ => return None,
        })
    }

    fn rate_answer(&mut self, words: &[&str]) -> Option<String> {
        Some(match *words {
            ["new"] => {
                self.rate = RateMeter::default();
                "new".into()
            }
            ["sample", now, total] => {
                self.rate.sample(number(now)?, number(total)?);
                bits(self.rate.bitrate())
            }
            _ => return None,
        })
    }
}
