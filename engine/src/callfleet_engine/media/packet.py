"""A packet on its way from a publisher to subscribers, and the last ones of a stream. No I/O."""

from __future__ import annotations

from typing import NamedTuple

from callfleet_engine.media.codecs.payload import Marks

GENERATION_PACKETS = 128
GENERATION_TICKS = 2
GENERATIONS = 6
"""A packet is kept for five to six generations: a second at least, as libwebrtc keeps what it
sent, or 640 packets of a faster stream."""


class Packet(NamedTuple):
    """A packet as every subscriber gets it but for its header's numbers.

    `extended` is the publisher's extended sequence number, `first` the header's first byte, `words`
    the length of its header extensions, of which the transport-wide number is the first. `tail` is
    what follows that number's 16 bits. The payload begins at `payload_at` of `tail`; `marks` are
    the numbers of its descriptor.
    """

    extended: int
    first: int
    marker_and_type: int
    timestamp: int
    words: int
    tail: bytes
    payload_at: int
    marks: Marks | None


class PacketRing:
    """The last packets of a stream by extended sequence number, bounded in number and age."""

    __slots__ = ("_age", "_newest", "_older")

    def __init__(self) -> None:
        self._newest: dict[int, Packet] = {}
        self._older: tuple[dict[int, Packet], ...] = ()
        self._age = 0

    def store(self, packet: Packet) -> None:
        """Keep it until enough others came, or until it is old."""
        self._newest[packet.extended] = packet
        if len(self._newest) >= GENERATION_PACKETS:
            self._turn()

    def tick(self) -> None:
        """Ten times a second."""
        self._age += 1
        if self._age >= GENERATION_TICKS and (self._newest or self._older):
            self._turn()

    def _turn(self) -> None:
        self._older = (self._newest, *self._older[: GENERATIONS - 2])
        self._newest = {}
        self._age = 0

    def find(self, extended: int) -> Packet | None:
        """The packet of that number, None if it is gone or never came."""
        found = self._newest.get(extended)
        if found is not None:
            return found
        return next((g[extended] for g in self._older if extended in g), None)
