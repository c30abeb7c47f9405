"""What a subscriber is told of the layers that it gets."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

from callfleet_engine.media.downtrack import DownTrack
from callfleet_engine.media.interface import OutboundStats, Source
from callfleet_engine.media.link import Link
from callfleet_engine.media.python_forwarding import PythonForwarding, PythonTransport
from callfleet_engine.media.subscribing import Subscribing
from callfleet_engine.media.totals import Totals
from tests.callfleet_engine.media.simulcast import Reference

TICK_FRAMES = 3
PACKETS = {0: 1, 1: 4, 2: 12}
"""A frame of each layer, so that rates differ."""


class Setup(Reference):
    """A subscriber whose client says by REMB what it can take."""

    def __init__(self) -> None:
        super().__init__()
        line = SimpleNamespace(ssrc=77, rtx_ssrc=78, mid="1", kind="video")
        link = SimpleNamespace(
            connected=True,
            send_rtp=lambda _: True,
            send_rtcp=lambda _: True,
            pc=SimpleNamespace(add_line=lambda _: line),
        )
        self.wishes: dict[tuple[str, Source], int | None] = {}
        forwarding = PythonForwarding(Totals(), 1_000_000, lambda: self.now)
        self.subscribing = Subscribing(cast("Link", link), forwarding, self.wishes)
        self.down = cast("DownTrack", self.subscribing._new_line("camera").downtrack)
        self.attach()

    def tick(self, remb: float | None = None) -> OutboundStats:
        for _ in range(TICK_FRAMES):
            self.now += 1 / 30
            for index, encoder in enumerate(self.encoders):
                encoder.key = encoder.key or encoder.ssrc in self.asked
                for data in encoder.encode(PACKETS[index]):
                    self.deliver(index, data + bytes(900))
            self.asked.clear()
        if remb is not None:
            cast("PythonTransport", self.subscribing._transport).remb(remb, self.now)
        self.tenth()
        self.subscribing.tick(self.now, None)
        [stats] = self.subscribing.stats()
        return stats

    def seconds(self, count: int, remb: float | None = None) -> OutboundStats:
        for _ in range(10 * count - 1):
            self.tick(remb)
        return self.tick(remb)


def rate(s: Setup, layer: int) -> float:
    return s.track.states[layer].bitrate


def test_a_lower_layer_in_time_is_counted_once() -> None:
    s = Setup()
    found = s.seconds(4)
    assert (found.layer, found.rid, found.freezes_avoided) == (2, "f", 0)
    remb = (rate(s, 0) + rate(s, 1)) / 2
    s.tick(remb)
    found = s.tick(remb)
    assert (s.down.target, found.freezes_avoided) == (0, 1)


def test_a_pause_is_no_freeze_avoided() -> None:
    s = Setup()
    s.seconds(4)
    found = s.seconds(4, remb=30e3)
    assert (found.layer, found.rid, found.freezes_avoided) == (None, "", 0)


def test_what_the_client_asks_for_is_none() -> None:
    s = Setup()
    s.seconds(4)
    s.wishes["alice", "camera"] = 0
    found = s.seconds(2)
    assert (found.layer, found.freezes_avoided) == (0, 0)
