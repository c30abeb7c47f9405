"""A packet on its way from a publisher to subscribers, and the last ones of a stream. No I/O."""

from __future__ import annotations

from collections import OrderedDict
from typing import NamedTuple

from callfleet_engine.media.codecs.payload import Marks

RING_PACKETS = 512
RING_BYTES = 512 * 1024


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
    """The last packets of a stream by extended sequence number, bounded in number and bytes."""

    __slots__ = ("_bytes", "_packets")

    def __init__(self) -> None:
        self._packets: OrderedDict[int, Packet] = OrderedDict()
        self._bytes = 0

    def store(self, packet: Packet) -> None:
        """Keep it until enough others came."""
        replaced = self._packets.pop(packet.extended, None)
        if replaced is not None:
            self._bytes -= len(replaced.tail)
        self._packets[packet.extended] = packet
        self._bytes += len(packet.tail)
        while len(self._packets) > RING_PACKETS or self._bytes > RING_BYTES:
            self._bytes -= len(self._packets.popitem(last=False)[1].tail)

    def find(self, extended: int) -> Packet | None:
        """The packet of that number, None if it is gone or never came."""
        return self._packets.get(extended)
