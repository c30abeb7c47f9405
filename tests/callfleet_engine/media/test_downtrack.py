"""What a subscriber sees is one stream, whatever happens upstream."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

from aiortc.rtp import RtcpPacket, RtcpReceiverInfo, RtcpSenderInfo, RtcpSrPacket, RtpPacket
from hypothesis import given
from hypothesis import strategies as st

from callfleet_engine.media.downtrack import RETRANSMISSIONS_PER_TICK, DownTrack
from callfleet_engine.media.packet import GENERATION_PACKETS, GENERATIONS
from callfleet_engine.media.published import PublishedTrack
from callfleet_engine.media.rtp import HEADER, without_number
from callfleet_engine.media.totals import Totals

PUBLISHED, SUBSCRIBED = 120, 97


@dataclass
class Wire:
    """What went out, and whether the transport is up."""

    up: bool = True
    packets: list[RtpPacket] = field(default_factory=list)
    rtcp: list[bytes] = field(default_factory=list)

    def send(self, head: bytes, tail: bytes, _: float = 0.0) -> bool:
        if self.up:
            self.packets.append(RtpPacket.parse(without_number(head, tail)))
        return self.up

    def send_rtcp(self, data: bytes) -> bool:
        if self.up:
            self.rtcp.append(data)
        return self.up

    @property
    def numbers(self) -> list[int]:
        return [p.sequence_number for p in self.packets]


class Setup:
    def __init__(self) -> None:
        self.totals = Totals()
        self.wire = Wire()
        self.upstream = Wire()
        self.down = DownTrack(77, self.wire.send, self.wire.send, self.wire.send_rtcp, self.totals)
        self.track = self.published("alice", 1)
        self.now = 100.0

    def published(self, name: str, ssrc: int) -> PublishedTrack:
        track = PublishedTrack(
            participant=name,
            source="camera",
            reporter_ssrc=9,
            send_rtcp=self.upstream.send_rtcp,
            totals=self.totals,
            max_bitrate=1_000_000,
        )
        track.use_ssrc(ssrc)
        return track

    def attach(self, track: PublishedTrack | None = None) -> None:
        self.down.attach(track or self.track, {PUBLISHED: SUBSCRIBED})

    def publish(
        self,
        sequence: int,
        *,
        timestamp: int | None = None,
        payload_type: int = PUBLISHED,
        track: PublishedTrack | None = None,
    ) -> None:
        self.now += 0.01
        stamp = sequence * 900 if timestamp is None else timestamp
        header = HEADER.pack(0x80, payload_type, sequence & 0xFFFF, stamp & 0xFFFFFFFF, 1)
        to = track or self.track
        to.receive(to.layers[0], header + b"payload %d" % sequence, self.now)


def steps(numbers: list[int]) -> list[int]:
    return [(b - a + 0x8000 & 0xFFFF) - 0x8000 for a, b in pairwise(numbers)]


def test_header_is_the_subscribers_and_payload_the_publishers() -> None:
    s = Setup()
    s.attach()
    s.publish(5)
    packet = s.wire.packets[0]
    assert (packet.ssrc, packet.payload_type, packet.payload) == (77, SUBSCRIBED, b"payload 5")
    assert s.totals.snapshot().forwarded_packets == 1


@given(
    st.integers(0, 0xFFFF),
    st.lists(
        st.sampled_from(["packet", "gap", "mute", "unmute", "other publisher", "new ssrc"]),
        max_size=80,
    ),
)
def test_numbers_are_continuous_but_for_real_gaps(first: int, happenings: list[str]) -> None:
    s = Setup()
    s.attach()
    sequence, gaps, ssrc = first, 0, 1
    s.publish(sequence)
    for happening in happenings:
        match happening:
            case "packet":
                sequence += 1
                s.publish(sequence)
            case "gap":
                if s.track.sending:
                    gaps += 1
                sequence += 2
                s.publish(sequence)
            case "mute":
                s.track.set_sending(False)
            case "unmute" if not s.track.sending:
                s.track.set_sending(True)
                sequence += 1
                s.publish(sequence)
            case "other publisher":
                sequence += 20_000
                s.track = s.published("bob", 9999)
                s.attach()
                s.publish(sequence)
            case "new ssrc":
                ssrc += 1
                sequence += 33_333
                s.track.use_ssrc(ssrc)
                s.publish(sequence)
    found = steps(s.wire.numbers)
    assert set(found) <= {1, 2}
    assert found.count(2) == gaps
    assert all(step > 0 for step in steps_of_time(s.wire.packets))


def steps_of_time(packets: list[RtpPacket]) -> list[int]:
    return [
        (b.timestamp - a.timestamp + 0x80000000 & 0xFFFFFFFF) - 0x80000000
        for a, b in pairwise(packets)
    ]


def test_a_packet_sent_before_a_pause_is_not_forwarded_after_it() -> None:
    s = Setup()
    s.attach()
    s.publish(10)
    s.track.set_sending(False)
    s.publish(12)
    s.track.set_sending(True)
    s.publish(13)
    s.publish(11)
    assert [p.payload for p in s.wire.packets] == [b"payload 10", b"payload 13"]


def test_reordered_packets_keep_their_place() -> None:
    s = Setup()
    s.attach()
    for sequence in (1, 3, 2, 4):
        s.publish(sequence)
    assert steps(s.wire.numbers) == [2, -1, 2]


def test_a_codec_the_subscriber_lacks_is_left_out() -> None:
    s = Setup()
    s.attach()
    s.publish(1, payload_type=99)
    assert s.wire.packets == []
    assert s.totals.snapshot().forwarded_packets == 0


def test_nack_is_answered_with_the_same_packet() -> None:
    s = Setup()
    s.attach()
    for sequence in range(20):
        s.publish(sequence)
    sent = s.wire.packets[3]
    s.down.retransmit([sent.sequence_number])
    again = s.wire.packets[-1]
    assert (again.payload, again.sequence_number, again.timestamp) == (
        sent.payload,
        sent.sequence_number,
        sent.timestamp,
    )
    assert s.down.retransmitted == 1


def test_nack_for_what_is_gone_or_never_was_is_not_answered() -> None:
    s = Setup()
    s.attach()
    for sequence in range(GENERATIONS * GENERATION_PACKETS + 50):
        s.publish(sequence)
    numbers = s.wire.numbers
    s.down.retransmit([numbers[0], (numbers[-1] + 5) & 0xFFFF])
    assert len(s.wire.packets) == len(numbers)


def test_nacks_are_bounded_between_ticks() -> None:
    s = Setup()
    s.attach()
    for sequence in range(100):
        s.publish(sequence)
    s.down.retransmit(s.wire.numbers)
    s.down.retransmit(s.wire.numbers[:5])
    assert s.down.retransmitted == RETRANSMISSIONS_PER_TICK
    s.down.refill()
    s.down.retransmit(s.wire.numbers[:5])
    assert s.down.retransmitted == RETRANSMISSIONS_PER_TICK + 5


def test_sender_report_speaks_in_the_subscribers_timestamps() -> None:
    s = Setup()
    s.attach()
    s.publish(1, timestamp=5000)
    info = RtcpSenderInfo(ntp_timestamp=7 << 32, rtp_timestamp=5900, packet_count=1, octet_count=1)
    s.track.layers[0].sender_report(info, s.now)
    report, names = RtcpPacket.parse(s.wire.rtcp[0])
    assert isinstance(report, RtcpSrPacket)
    assert report.ssrc == 77
    assert report.sender_info.ntp_timestamp == 7 << 32
    assert report.sender_info.rtp_timestamp == (s.wire.packets[0].timestamp + 900) & 0xFFFFFFFF
    assert b"alice" in bytes(names)


def test_no_report_of_a_stream_before_its_first_packet() -> None:
    s = Setup()
    s.attach()
    info = RtcpSenderInfo(ntp_timestamp=7 << 32, rtp_timestamp=5900, packet_count=1, octet_count=1)
    s.track.layers[0].sender_report(info, s.now)
    assert s.wire.rtcp == []


def test_receiver_report_gives_loss_and_round_trip() -> None:
    s = Setup()
    s.attach()
    s.publish(1)
    ntp = 0x0001_8000_0000_0000
    s.track.layers[0].sender_report(
        RtcpSenderInfo(ntp_timestamp=ntp, rtp_timestamp=0, packet_count=0, octet_count=0), s.now
    )
    report = RtcpReceiverInfo(
        ssrc=77,
        fraction_lost=0,
        packets_lost=3,
        highest_sequence=0,
        jitter=90,
        lsr=(ntp >> 16) & 0xFFFFFFFF,
        dlsr=65536 // 2,
    )
    s.down.report_received(report, s.now + 0.75)
    s.down.report_received(report, s.now + 0.75)
    assert s.down.round_trip_time is not None
    assert abs(s.down.round_trip_time - 0.25) < 1e-6
    assert s.totals.snapshot().lost_packets_out == 3


def test_nothing_counts_as_sent_while_the_transport_is_down() -> None:
    s = Setup()
    s.wire.up = False
    s.attach()
    s.publish(1)
    assert (s.down.packets_sent, s.totals.snapshot().forwarded_packets) == (0, 0)
