"""A subscriber sees one stream whatever layers it is given."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import pytest
from aiortc.rtp import RtcpPacket, RtcpSrPacket
from hypothesis import given
from hypothesis import strategies as st

from callfleet_engine.media import rtp
from callfleet_engine.media.publishing import SILENT_SECONDS
from tests.callfleet_engine.media.native.stages import NativeStage, PythonStage
from tests.callfleet_engine.media.simulcast import FRAME_TICKS, Seen, Simulcast

PLANES = [PythonStage, NativeStage]
BEGIN = 1000.0
"""In seconds."""


@pytest.fixture(params=PLANES)
def s(request: pytest.FixtureRequest) -> Simulcast:
    """On each of the two planes."""
    return Simulcast(request.param(BEGIN))


def step(before: int, after: int, bits: int) -> int:
    """How far a counter went, which wraps."""
    half = 1 << bits - 1
    return (after - before + half) % (1 << bits) - half


def in_order(seen: Sequence[Seen]) -> list[Seen]:
    """As a receiver puts them: by sequence number."""
    at, positions = 0, []
    for before, packet in zip([seen[0], *seen], seen, strict=False):
        at += step(before.sequence, packet.sequence, 16)
        positions.append(at)
    assert len(set(positions)) == len(positions), "a number was used twice"
    return [packet for _, packet in sorted(zip(positions, seen, strict=True), key=lambda p: p[0])]


def check_one_stream(seen: Sequence[Seen], *, lost: int = 0, fillers: Sequence[int] = ()) -> None:
    """`lost`: packets of any layer that never came; `fillers`: numbers of padding sent on."""
    if not seen:
        return
    assert (seen[0].key, seen[0].index) == (True, 0)
    missing = 0
    for a, b in pairwise(in_order(seen)):
        ahead = step(a.sequence, b.sequence, 16)
        ahead -= sum(0 < step(a.sequence, filler, 16) < ahead for filler in fillers)
        missing += ahead - 1
        same_frame = (a.rid, a.frame) == (b.rid, b.frame)
        frames = 0 if same_frame else b.frame - a.frame
        ticks = step(a.timestamp, b.timestamp, 32)
        pictures = step(a.picture, b.picture, 15)
        if a.rid != b.rid:
            assert (b.key, b.index) == (True, 0)
            assert ticks > 0
            assert (pictures, step(a.base, b.base, 8), ahead) == (1, 1, 1)
        elif same_frame:
            assert (ticks, pictures) == (0, 0)
        else:
            assert ticks > 0
            assert pictures >= 1
            assert lost or pictures == 1
            assert pictures <= frames
    assert missing <= lost


def test_it_starts_with_a_keyframe_of_the_best_layer_there_is(s: Simulcast) -> None:
    s.attach()
    s.frame()
    s.frame()
    seen = s.seen()
    check_one_stream(seen)
    assert [p.rid for p in seen] == ["q", "q", "h", "h", "f", "f", "f", "f"]
    s.tenth()
    assert (s.down.layer, s.down.target) == (2, 2)


def test_a_latecomer_waits_for_a_keyframe_which_is_asked_for(s: Simulcast) -> None:
    s.frame()
    s.attach()
    s.frame()
    assert s.seen() == []
    s.tenth()
    assert s.asked == [33]
    s.encoders[2].key = True
    s.frame()
    check_one_stream(s.seen())
    assert {p.rid for p in s.seen()} == {"f"}


def test_the_old_layer_goes_on_until_the_keyframe_of_the_new_one(s: Simulcast) -> None:
    s.attach()
    s.frame()
    s.wire.clear()
    s.down.choose(0)
    s.frame()
    s.tenth()
    assert (s.down.layer, s.down.target) == (2, 0)
    assert s.asked == [11]
    s.encoders[0].key = True
    s.frame()
    assert [p.rid for p in s.seen()] == ["f", "f", "q", "q"]
    s.tenth()
    assert (s.down.layer, s.down.target) == (0, 0)
    check_one_stream([p for p in s.seen() if p.key or p.rid == "q"])


def test_a_change_of_mind_leaves_no_trace(s: Simulcast) -> None:
    s.attach()
    s.frame()
    s.down.choose(0)
    s.down.choose(2)
    for encoder in s.encoders:
        encoder.key = True
    s.frame()
    assert {p.rid for p in s.seen()[6:]} == {"f"}
    s.tenth()
    assert (s.down.layer, s.down.target) == (2, 2)
    assert s.asked == []


def test_a_pause_sends_nothing_and_ends_with_a_keyframe(s: Simulcast) -> None:
    s.attach()
    s.frame()
    before = len(s.wire)
    s.down.choose(None)
    s.frame()
    s.tenth()
    assert (len(s.wire), s.down.layer, s.down.target) == (before, None, None)
    s.down.choose(1)
    s.frame()
    assert len(s.wire) == before
    s.encoders[1].key = True
    s.frame()
    seen = s.seen()
    assert [p.rid for p in seen[before:]] == ["h", "h"]
    assert (seen[before].key, step(seen[before - 1].sequence, seen[before].sequence, 16)) == (
        True,
        1,
    )
    assert step(seen[before - 1].timestamp, seen[before].timestamp, 32) == 3 * FRAME_TICKS


def test_a_keyframe_whose_begin_comes_late_is_taken_whole(s: Simulcast) -> None:
    s.attach()
    s.frame()
    s.down.choose(0)
    s.encoders[0].key = True
    first, *others = s.encoders[0].encode(4)
    for data in [*others, first]:
        s.deliver(0, data)
    last = s.seen()[-4:]
    assert [(p.rid, p.index) for p in last] == [("q", index) for index in range(4)]
    check_one_stream(last)


def test_reports_keep_the_layers_on_one_timeline(s: Simulcast) -> None:
    s.attach()
    s.frame()
    for index in range(3):
        s.report(index)
    for target in (0, 2, 1, 0, 2):
        s.down.choose(target)
        s.encoders[target].key = True
        s.now += 0.011  # the network holds this one up
        s.frame()
        s.frame()
    seen = in_order(s.seen())
    by_frame = {p.frame: p.timestamp for p in seen}
    first = min(by_frame)
    for frame, timestamp in by_frame.items():
        ticks = step(by_frame[first], timestamp, 32) - (frame - first) * FRAME_TICKS
        # The same picture may have been sent in another size just before.
        assert abs(ticks) <= 2


def test_a_sender_report_is_told_in_the_timestamps_of_the_layer_that_is_sent(s: Simulcast) -> None:
    s.attach()
    s.frame()
    s.report(0)
    assert s.reports == []
    s.report(2)
    [report] = [p for p in RtcpPacket.parse(s.reports[0]) if isinstance(p, RtcpSrPacket)]
    ahead = step(s.seen()[-1].timestamp, report.sender_info.rtp_timestamp, 32)
    assert ahead == FRAME_TICKS


def test_nack_finds_the_packets_of_the_layer_that_is_sent(s: Simulcast) -> None:
    s.attach()
    s.frame()
    s.down.choose(0)
    s.encoders[0].key = True
    s.frame()
    wanted = s.seen()[-2]
    assert wanted.rid == "q"
    s.nack(wanted.sequence)
    assert s.repaired == [wanted]
    s.nack(s.seen()[0].sequence)
    assert s.repaired == [wanted]


def test_padding_is_left_out(s: Simulcast) -> None:
    s.attach()
    s.frame()
    for _ in range(5):
        s.deliver(2, s.encoders[2].padding())
    s.frame()
    check_one_stream(s.seen())
    assert len(s.wire) == len(s.seen())


def test_padding_that_comes_late_is_one_byte(s: Simulcast) -> None:
    s.attach()
    s.frame()
    padding = s.encoders[2].padding()
    s.frame()
    s.deliver(2, padding)
    [late] = [data for data in s.wire if data[0] & rtp.PADDING]
    assert late[12:] == b"\x01"


def test_an_encoding_that_begins_anew_is_followed(s: Simulcast) -> None:
    s.attach()
    s.frame()
    s.now += SILENT_SECONDS
    s.encoders[2].ssrc = 44
    s.encoders[2].sequence += 20_000
    s.encoders[2].timestamp += 1_000_000_000
    s.frame()
    assert s.seen()[-1].frame == 0
    s.encoders[2].key = True
    s.frame()
    seen = s.seen()
    assert (seen[-1].rid, seen[-1].frame) == ("f", 2)
    assert step(seen[-3].sequence, seen[-2].sequence, 16) == 1
    assert (
        0
        < step(seen[-3].timestamp, seen[-2].timestamp, 32)
        <= SILENT_SECONDS * 90_000 + 4 * FRAME_TICKS
    )


HAPPENINGS = st.one_of(
    st.tuples(st.just("choose"), st.sampled_from([0, 1, 2, None])),
    st.tuples(st.just("frame"), st.integers(1, 3)),
    st.tuples(st.just("frame"), st.integers(1, 3)),
    st.tuples(st.just("report"), st.integers(0, 2)),
    st.tuples(st.just("padding"), st.integers(0, 2)),
    st.tuples(st.just("mute"), st.integers(1, 3)),
)


class Network:
    """Loses, shuffles and holds back; `lost` counts what is lost or may come too late."""

    def __init__(self, s: Simulcast, data: st.DataObject) -> None:
        self.lost = 0
        self._s = s
        self._data = data
        self._held: list[tuple[int, bytes]] = []

    def frame(self, packets: int) -> None:
        """A frame of each layer, perhaps a keyframe, perhaps with padding in front."""
        held, self._held = self._held, []
        for index, encoder in enumerate(self._s.encoders):
            encoder.key = encoder.key or self._one_in(4)
            padding = [encoder.padding()] if self._one_in(5) else []
            for packet in self._data.draw(st.permutations(padding + encoder.encode(packets))):
                self._deliver(index, packet)
        for index, packet in held:
            self._s.deliver(index, packet)

    def _deliver(self, index: int, packet: bytes) -> None:
        fate = self._data.draw(st.integers(0, 20)) if self._s.wire else 9
        self.lost += fate < 2
        if fate == 1:
            self._held.append((index, packet))
        elif fate > 1:
            self._s.deliver(index, packet)

    def _one_in(self, count: int) -> bool:
        return self._data.draw(st.integers(1, count)) == count


@pytest.mark.parametrize("plane", PLANES)
@given(happenings=st.lists(HAPPENINGS, max_size=40), data=st.data())
def test_whatever_happens_it_is_one_stream(
    plane: type[PythonStage | NativeStage],
    happenings: list[tuple[str, int | None]],
    data: st.DataObject,
) -> None:
    """Any schedule of choices, keyframes, losses and reordering, mutes, padding and reports."""
    s = Simulcast(plane(BEGIN))
    s.attach()
    network = Network(s, data)
    for happening, value in [("frame", 2), *happenings]:
        s.now += 1 / 30
        match happening, value:
            case "choose", _:
                s.down.choose(value)
            case "report", int():
                s.report(value, skew=data.draw(st.sampled_from([0.0, 0.02, -0.02, 50.0])))
            case "padding", int():
                s.deliver(value, s.encoders[value].padding())
            case "mute", int():
                s.set_sending(False)
                for _ in range(value):
                    s.frame()
                s.set_sending(True)
            case "frame", int():
                network.frame(value)
    fillers = [rtp.HEADER.unpack_from(data)[2] for data in s.wire if data[0] & rtp.PADDING]
    check_one_stream(s.seen(), lost=network.lost, fillers=fillers)
