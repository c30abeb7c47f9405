"""Answers of the Python plane about streams, packet by packet."""

from __future__ import annotations

from dataclasses import dataclass, field

from callfleet_engine.media.inbound import InboundStream
from callfleet_engine.media.layers import RateMeter
from callfleet_engine.media.numbering import Numbering
from callfleet_engine.media.packet import Packet, PacketRing
from callfleet_engine.media.retransmission import RetransmissionBudget
from callfleet_engine.media.transport_feedback import ArrivalRecorder

from .reference import bits, joined, optional, read, shown, shown_feedback


def truth(value: object) -> str:
    return str(bool(value)).lower()


@dataclass
class Streams:
    """One of each; a question that ends with "new" begins another."""

    stream: InboundStream = field(default_factory=lambda: InboundStream(90_000))
    numbers: Numbering = field(default_factory=lambda: Numbering(0))
    packets: PacketRing = field(default_factory=PacketRing)
    allowed: RetransmissionBudget = field(default_factory=RetransmissionBudget)
    arrivals: ArrivalRecorder = field(default_factory=ArrivalRecorder)
    meter: RateMeter = field(default_factory=RateMeter)

    def answer(self, question: str) -> str:
        """What the Python plane says to it."""
        subject, name, *arguments = question.split(" ")
        answer: str = getattr(self, f"{subject}_{name}")(*arguments)
        return answer

    def inbound_new(self, rate: str) -> str:
        self.stream = InboundStream(int(rate))
        return "new"

    def inbound_add(self, sequence: str, timestamp: str, arrival: str, length: str) -> str:
        return str(self.stream.add(int(sequence), int(timestamp), float(arrival), int(length)))

    def inbound_recover(self, sequence: str, arrival: str) -> str:
        return optional(self.stream.recover(int(sequence), float(arrival)))

    def inbound_nack(self, now: str) -> str:
        return joined(self.stream.nack(float(now)))

    def inbound_report(self) -> str:
        s = self.stream
        return (
            f"{s.highest} {s.packets_received} {s.bytes_received} {s.packets_expected} "
            f"{s.packets_lost} {truth(s.has_missing)} {s.jitter_units} {bits(s.jitter_seconds)} "
            f"{s.fraction_lost()} {s.newly_lost()}"
        )

    def numbering_new(self, before_first: str) -> str:
        self.numbers = Numbering(int(before_first))
        return "new"

    def numbering_begin(self, extended: str) -> str:
        self.numbers.begin(int(extended))
        return str(self.numbers.sent)

    def numbering_number(self, extended: str) -> str:
        """As `DownTrack.forward` does it."""
        number, newest = int(extended), False
        given: int | None
        if number > self.numbers.edge:
            given = number + self.numbers.offset
            if newest := given > self.numbers.sent:
                self.numbers.sent = given
        else:
            given = self.numbers.late(number)
        return f"{optional(given)} {truth(newest)}"

    def numbering_skip(self, extended: str) -> str:
        return truth(self.numbers.skip(int(extended)))

    def numbering_source(self, number: str) -> str:
        return optional(self.numbers.source(int(number)))

    def ring_new(self) -> str:
        self.packets = PacketRing()
        return "new"

    def ring_store(
        self, extended: str, timestamp: str, block: str, payload: str, repeated: str
    ) -> str:
        before = read(block)
        tail = before + read(payload) * int(repeated)
        packet = Packet(int(extended), 0x90, 97, int(timestamp), 1, tail, len(before), None)
        self.packets.store(packet)
        return "stored"

    def ring_tick(self) -> str:
        self.packets.tick()
        return "ticked"

    def ring_find(self, extended: str) -> str:
        packet = self.packets.find(int(extended))
        if packet is None:
            return "-"
        block, payload = packet.tail[: packet.payload_at], packet.tail[packet.payload_at :]
        return f"{packet.timestamp} {shown(block)} {len(payload)} {sum(payload)}"

    def budget_new(self) -> str:
        self.allowed = RetransmissionBudget()
        return "new"

    def budget_earn(self, size: str) -> str:
        self.allowed.earn(int(size))
        return "earned"

    def budget_tick(self) -> str:
        self.allowed.tick()
        return "ticked"

    def budget_take(self, ssrc: str, sequence: str, size: str, round_trip: str, now: str) -> str:
        return truth(
            self.allowed.take(
                int(ssrc), int(sequence), int(size), round_trip=float(round_trip), now=float(now)
            )
        )

    def recorder_new(self) -> str:
        self.arrivals = ArrivalRecorder()
        return "new"

    def recorder_record(self, sequence: str, now: str) -> str:
        self.arrivals.record(int(sequence), float(now))
        return "recorded"

    def recorder_messages(self) -> str:
        return " / ".join(map(shown_feedback, self.arrivals.messages()))

    def rate_new(self) -> str:
        self.meter = RateMeter()
        return "new"

    def rate_sample(self, now: str, total: str) -> str:
        self.meter.sample(float(now), int(total))
        return bits(self.meter.bitrate)
