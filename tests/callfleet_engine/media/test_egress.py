"""All that goes to one subscriber is numbered once, sent again by RTX, and measured."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from aiortc.rtcrtpparameters import RTCRtpHeaderExtensionParameters, RTCRtpParameters
from aiortc.rtp import HeaderExtensionsMap, RtpPacket
from hypothesis import given
from hypothesis import strategies as st

from callfleet_engine.media import rtp
from callfleet_engine.media.egress import Egress
from callfleet_engine.media.retransmission import RtxStream
from callfleet_engine.media.transport_feedback import ArrivalRecorder, TransportFeedback
from tests.callfleet_engine.media.paths import Path

MEDIA, RTX = 77, 88
PT, RTX_PT = 97, 98
NUMBER_ID = 4


def extensions() -> HeaderExtensionsMap:
    found = HeaderExtensionsMap()
    found.configure(
        RTCRtpParameters(
            headerExtensions=[
                RTCRtpHeaderExtensionParameters(id=NUMBER_ID, uri=rtp.TRANSPORT_NUMBER_URI),
                RTCRtpHeaderExtensionParameters(id=3, uri=rtp.ABS_SEND_TIME_URI),
            ]
        )
    )
    return found


@dataclass
class Setup:
    """An egress, its clock, and what a receiver got."""

    up: bool = True
    now: float = 100.0
    packets: list[RtpPacket] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.egress = Egress(self.send, lambda: self.now)
        self.egress.negotiated(NUMBER_ID)
        self.egress.rtx[MEDIA] = RtxStream(RTX, {PT: RTX_PT}, 0)

    def send(self, data: bytes) -> bool:
        if self.up:
            self.packets.append(RtpPacket.parse(data, extensions()))
            self.sizes.append(len(data))
        return self.up

    @property
    def numbers(self) -> list[int | None]:
        return [p.extensions.transport_sequence_number for p in self.packets]


def media(sequence: int, size: int = 1000, ssrc: int = MEDIA) -> tuple[bytes, bytes]:
    """What stands before and behind the transport-wide number."""
    number = NUMBER_ID << 4 | 1
    head = rtp.HEAD.pack(0x90, PT, sequence & 0xFFFF, sequence * 90, ssrc, rtp.ONE_BYTE, 2, number)
    return head, b"\0" + rtp.abs_send_time_element(3, 1.0) + bytes(size)


def test_packets_of_all_streams_are_numbered_in_a_row() -> None:
    s = Setup()
    for sequence in range(3):
        assert s.egress.send(*media(sequence), s.now)
        assert s.egress.send(*media(sequence, ssrc=99), s.now)
    assert s.egress.send_again(*media(1))
    assert s.numbers == list(range(7))
    assert all(p.extensions.abs_send_time for p in s.packets)
    assert s.packets[-1].ssrc == RTX


def test_what_was_not_sent_takes_no_number() -> None:
    s = Setup()
    s.up = False
    assert not s.egress.send(*media(0), s.now)
    s.up = True
    s.egress.send(*media(0), s.now)
    assert s.numbers == [0]


def test_without_negotiation_packets_stay_as_they_are() -> None:
    s = Setup()
    s.egress.negotiated(None)
    s.egress.rtx.clear()
    s.egress.send(*media(1), s.now)
    s.egress.send_again(*media(1))
    assert s.numbers == [None, None]
    assert [p.ssrc for p in s.packets] == [MEDIA, MEDIA]
    assert [p.sequence_number for p in s.packets] == [1, 1]


def test_a_number_never_goes_twice_under_one_nonce() -> None:
    s = Setup()
    s.egress.rtx = {}
    s.egress.send(*media(1), s.now)
    assert not s.egress.send_again(*media(1))
    assert len(s.packets) == 1


def test_a_packet_is_not_sent_again_at_once() -> None:
    s = Setup()
    s.egress.send(*media(1), s.now)
    assert s.egress.send_again(*media(1))
    assert not s.egress.send_again(*media(1))
    s.now += 0.2
    assert s.egress.send_again(*media(1))


def test_a_flood_of_requests_costs_a_share_of_what_was_sent() -> None:
    s = Setup()
    for sequence in range(400):
        s.egress.send(*media(sequence), s.now)
    first = sum(s.sizes)
    for sequence in range(400):
        s.egress.send_again(*media(sequence))
        s.now += 0.001
    assert sum(s.sizes) - first < 0.6 * first


def talk(s: Setup, path: Path, seconds: float, *, size: int, next_step: float | None) -> float:
    """Video at 30 frames a second over a path with feedback; the seconds that padding flowed."""
    recorder, padded, sent = ArrivalRecorder(), 0, len(s.packets)
    coming: list[tuple[float, int]] = []
    frames = int(seconds * 30)
    for frame in range(frames):
        before = s.egress.padding_sent
        s.egress.send(*media(frame, size), s.now)
        padded += s.egress.padding_sent > before
        for packet, length in zip(s.packets[sent:], s.sizes[sent:], strict=True):
            number = packet.extensions.transport_sequence_number
            arrived = path.arrival(s.now, length)
            if arrived is not None and number is not None:
                coming.append((arrived, number))
        sent = len(s.packets)
        if frame % 3 == 0:
            for arrived, number in sorted(c for c in coming if c[0] <= s.now):
                recorder.record(number, arrived)
            coming = [c for c in coming if c[0] > s.now]
            for message in recorder.messages():
                s.egress.feedback(message, s.now)
            s.egress.tick(next_step=next_step, now=s.now)
        s.now += 1 / 30
    return padded / 30


def test_a_slow_path_is_found_by_feedback() -> None:
    s = Setup()
    talk(s, Path(capacity=300e3), 4, size=5000, next_step=None)
    estimate = s.egress.estimator.estimate
    assert estimate is not None
    assert 150e3 < estimate < 330e3


def test_padding_finds_that_a_path_carries_more_again() -> None:
    s = Setup()
    path = Path(capacity=300e3)
    talk(s, path, 4, size=5000, next_step=None)
    path.capacity = 5e6
    talk(s, path, 30, size=625, next_step=600e3)
    assert s.egress.padding_sent > 0
    estimate = s.egress.estimator.estimate
    assert estimate is not None
    assert estimate > 290e3
    before = s.egress.padding_sent
    talk(s, path, 2, size=625, next_step=None)
    assert s.egress.padding_sent == before


def test_padding_does_not_spoil_a_path_that_carries_no_more() -> None:
    s = Setup()
    path = Path(capacity=200e3)
    talk(s, path, 4, size=5000, next_step=None)
    seconds = talk(s, path, 60, size=625, next_step=600e3)
    estimate = s.egress.estimator.estimate
    assert estimate is not None
    assert 100e3 < estimate < 240e3
    assert seconds < 20


def test_without_rtx_nothing_is_padded() -> None:
    s = Setup()
    s.egress.rtx.clear()
    path = Path(capacity=300e3)
    talk(s, path, 4, size=5000, next_step=None)
    path.capacity = 5e6
    talk(s, path, 10, size=625, next_step=600e3)
    assert s.egress.padding_sent == 0


def test_loss_in_receiver_reports_counts_without_feedback_of_packets() -> None:
    s = Setup()
    s.egress.estimator.remb(1e6, s.now)
    s.egress.fraction_lost(0.9, s.now)
    assert s.egress.estimator.estimate == 1e6


@given(
    st.lists(
        st.builds(
            TransportFeedback,
            st.integers(0, 0xFFFF),
            st.integers(-(1 << 23), (1 << 23) - 1),
            st.integers(0, 255),
            st.lists(st.one_of(st.none(), st.integers(-(1 << 20), 1 << 20)), max_size=40).map(
                tuple
            ),
        ),
        max_size=10,
    )
)
def test_whatever_a_subscriber_reports_does_no_harm(messages: list[TransportFeedback]) -> None:
    s = Setup()
    for sequence in range(50):
        s.egress.send(*media(sequence, 100), s.now)
        s.now += 0.01
    for message in messages:
        s.egress.feedback(message, s.now)
        s.now += 0.1
    assert s.egress.send(*media(51), s.now)


def test_feedback_of_what_nobody_sent_is_left_out() -> None:
    s = Setup()
    s.egress.feedback(TransportFeedback(5, 0, 0, (1, 2, 3)), s.now)
    assert s.egress.estimator.delivered is None


@pytest.mark.parametrize("profile", [0xBEDE, 0x1000])
def test_the_number_stands_in_either_form_of_extension(profile: int) -> None:
    if profile == 0xBEDE:
        block = b"\xbe\xde\0\1" + rtp.abs_send_time_element(3, 1.0)
    else:
        block = b"\x10\x00\x00\x02" + b"\x03\x03abc" + bytes(3)
    packet = rtp.HEADER.pack(0x90, PT, 1, 2, 3) + block + b"payload"
    changed = rtp.with_short_element(packet, NUMBER_ID, 0xABCD)
    parsed = RtpPacket.parse(changed, extensions())
    assert parsed.extensions.transport_sequence_number == 0xABCD
    assert parsed.extensions.abs_send_time is not None
    assert parsed.payload == b"payload"
    bare = rtp.HEADER.pack(0x81, PT, 1, 2, 3) + b"CSRCpayload"
    parsed = RtpPacket.parse(rtp.with_short_element(bare, NUMBER_ID, 7), extensions())
    assert (parsed.extensions.transport_sequence_number, parsed.payload) == (7, b"payload")
    with pytest.raises(ValueError, match="truncated"):
        rtp.with_short_element(packet[:13], NUMBER_ID, 7)
