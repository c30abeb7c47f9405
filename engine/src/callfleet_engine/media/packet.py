"""A packet on its way from a publisher to subscribers, and the last ones of a stream. No I/O."""

from __future__ import annotations

from typing import NamedTuple

from callfleet_engine.media.codecs.payload import Marks

RING_PACKETS = 256


class Packet(NamedTuple):
    """A packet as every subscriber gets it but for its header's numbers.

    `extended` is the publisher's extended sequence number, `tail` what follows the first twelve
    bytes, `first` the header's first byte. The payload begins at `payload_at` of `tail`; `marks`
    are the numbers of its descriptor.
    """

    extended: int
    first: int
    marker_and_type: int
    timestamp: int
    tail: bytes
    payload_at: int
    marks: Marks | None


class PacketRing:
    """The last packets of a stream by extended sequence number."""

    __slots__ = ("_slots",)

    def __init__(self, size: int = RING_PACKETS) -> None:
        self._slots: list[Packet | None] = [None] * size

    def store(self, packet: Packet) -> None:
        """Keep it until as many others came."""
        self._slots[packet.extended % len(self._slots)] = packet

    def find(self, extended: int) -> Packet | None:
        """The packet of that number, None if it is gone or never came."""
        packet = self._slots[extended % len(self._slots)]
        return packet if packet is not None and packet.extended == extended else None
