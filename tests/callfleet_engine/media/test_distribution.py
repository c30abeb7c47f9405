"""A budget chooses layers of real down tracks, and a subscriber's way back up."""

from __future__ import annotations

from itertools import pairwise

from aiortc.rtp import RtcpPacket, RtcpSrPacket
from hypothesis import given
from hypothesis import strategies as st

from callfleet_engine.media.allocation import Allocation
from callfleet_engine.media.distribution import distribute, start
from callfleet_engine.media.layers import LayerState
from callfleet_engine.media.published import PublishedTrack
from callfleet_engine.media.retransmission import RtxStream, unwrap
from callfleet_engine.media.totals import Totals
from tests.callfleet_engine.media.simulcast import VP8, Reference

TICK_FRAMES = 3
PACKETS = {0: 1, 1: 4, 2: 12}
"""A frame of each layer, so that rates differ."""


class Setup(Reference):
    """The time goes on by ticks of a tenth of a second, in which the subscriber has a budget."""

    def __init__(self) -> None:
        super().__init__()
        self.attach()
        self.budget: float | None = None

    def tick(self, live: tuple[int, ...] = (0, 1, 2)) -> Allocation | None:
        for _ in range(TICK_FRAMES):
            self.now += 1 / 30
            for index in live:
                encoder = self.encoders[index]
                encoder.key = encoder.key or encoder.ssrc in self.asked
                for data in encoder.encode(PACKETS[index]):
                    self.deliver(index, data + bytes(900))
            self.asked.clear()
        self.tenth()
        return distribute([self.down], self.budget, None)

    def ticks(self, count: int, live: tuple[int, ...] = (0, 1, 2)) -> Allocation | None:
        found = self.tick(live)
        for _ in range(count - 1):
            found = self.tick(live)
        return found


def test_without_a_known_limit_the_best_is_sent() -> None:
    s = Setup()
    found = s.ticks(20)
    assert (s.down.layer, found) == (2, None)
    s.down.most = 1
    s.ticks(10)
    assert s.down.layer == 1
    s.down.most = None
    s.tick()
    assert s.down.target is None


@given(
    st.lists(st.tuples(st.booleans(), st.sampled_from([0.0, 100e3])), max_size=3),
    st.sampled_from([None, 0, 1, 2]),
)
def test_no_known_limit_is_the_same_as_a_wide_one(
    layers: list[tuple[bool, float]], most: int | None
) -> None:
    s = Setup()
    for index in range(len(layers)):
        s.layer(index)
    s.track.states = tuple(
        LayerState(index, "", live, rate) for index, (live, rate) in enumerate(layers)
    )
    targets = []
    for budget in (None, 1e12):
        s.down.most = most
        distribute([s.down], budget, None)
        targets.append(s.down.target)
    assert targets[0] == targets[1]


def test_a_budget_lowers_pauses_and_raises() -> None:
    s = Setup()
    s.ticks(40)
    low, middle, high = (layer.bitrate for layer in s.track.states)
    s.budget = (low + middle) / 2
    found = s.ticks(10)
    assert s.down.layer == 0
    assert found is not None
    assert found.next_step is not None
    s.budget = low / 2
    s.ticks(10)
    assert s.down.target is None
    s.budget = 1.3 * middle
    s.ticks(10)
    assert s.down.layer == 1
    s.budget = 1.3 * high
    s.ticks(10)
    assert s.down.layer == 2


def test_nothing_swings_while_rates_wander_a_little() -> None:
    s = Setup()
    s.ticks(40)
    s.budget = 1.02 * s.track.states[1].bitrate * 1.04
    chosen = [found.layers[0] for _ in range(60) if (found := s.tick()) is not None]
    assert len(chosen) == 60
    assert None not in chosen
    assert sum(a != b for a, b in pairwise(chosen)) <= 1


def test_a_layer_that_ends_gives_way_to_one_that_lives() -> None:
    s = Setup()
    s.ticks(20)
    s.ticks(20, live=(0, 1))
    assert s.down.layer == 1


def test_a_first_choice_is_the_lowest_where_a_limit_is_known() -> None:
    s = Setup()
    s.ticks(20)
    start(s.down, None)
    assert s.down.target == 2
    start(s.down, 300e3)
    assert s.down.target == 0
    s.down.most = None
    start(s.down, None)
    assert s.down.target is None


def test_audio_is_never_held_back() -> None:
    track = PublishedTrack(
        participant="alice",
        source="microphone",
        reporter_ssrc=9,
        send_rtcp=lambda _: True,
        totals=Totals(),
        max_bitrate=1_000_000,
    )
    s = Reference()
    s.down.attach(track, {111: 96}, {})
    track.use_ssrc(5)
    distribute([s.down], 0.0, None)
    assert s.down.target == 0


def test_a_new_taker_is_told_at_once_what_its_timestamps_mean() -> None:
    s = Reference()
    s.frame()
    s.report(0)
    s.now += 3
    s.attach()
    s.down.choose(0)
    s.encoders[0].timestamp += 3 * 90000
    s.encoders[0].key = True
    s.frame()
    [sent] = [
        p for data in s.reports for p in RtcpPacket.parse(data) if isinstance(p, RtcpSrPacket)
    ]
    info, seen = sent.sender_info, s.seen()[0]
    assert abs(info.ntp_timestamp / 2**32 - s.now) < 0.01
    assert abs(info.rtp_timestamp - seen.timestamp) < 90 * 40


def test_what_came_again_goes_where_it_belongs() -> None:
    s = Reference()
    s.attach()
    s.frame()
    lost, kept = s.encoders[2].encode(2)
    s.now += 0.03
    s.deliver(2, kept)
    wrapped = RtxStream(99, {VP8: 97}, 1).wrap(lost)
    assert wrapped is not None
    data = unwrap(wrapped, payload_type=VP8, ssrc=33)
    assert data is not None
    for _ in range(2):  # the second has been answered already
        s.again(2, data)
    *_, before, late, repaired = s.seen()
    assert (before.index, late.index, repaired.index) == (1, 1, 0)
    assert (late.sequence - before.sequence, repaired.sequence - before.sequence) == (2, 1)
    assert s.layer(2).stream.packets_lost == 1
