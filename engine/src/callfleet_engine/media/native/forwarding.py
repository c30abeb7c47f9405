"""Packets moved by the extension."""

from __future__ import annotations

from typing import TYPE_CHECKING

from callfleet_engine.media.link import Link
from callfleet_engine.media.native.port import NativePort
from callfleet_engine.media.native.publishing import NativePublishing
from callfleet_engine.media.native.subscribing import NativeTransport

if TYPE_CHECKING:
    from callfleet_engine import _native


class NativeForwarding:
    """See `Forwarding`. One call a tick tells all halves what concerns them."""

    def __init__(self, port: NativePort, max_bitrate: int) -> None:
        self._port = port
        self._max_bitrate = max_bitrate
        self._links: dict[int, Link] = {}
        self._publishers: dict[int, NativePublishing] = {}
        self._subscribers: dict[int, NativeTransport] = {}
        port.on_end = self._ended

    def publishing(self, participant: str) -> NativePublishing:
        """Of a new participant."""
        return NativePublishing(self, participant, self._max_bitrate)

    def publisher(self, link: Link, publishing: NativePublishing) -> tuple[_native.Plane, int]:
        """What the extension calls a publisher's link."""
        number = self._port.number_of(link.connection, publishes=True)
        self._publishers[number] = publishing
        self._links[number] = link
        return self._port.plane, number

    def subscribing(self, link: Link) -> NativeTransport:
        """Of a new link."""
        number = self._port.number_of(link.connection, publishes=False)
        made = self._subscribers[number] = NativeTransport(self._port.plane, number)
        self._links[number] = link
        return made

    def _ended(self, number: int) -> None:
        self._links.pop(number, None)
        self._publishers.pop(number, None)
        self._subscribers.pop(number, None)

    def tick(self, now: float) -> None:
        """Ten times a second, before the sessions' ticks."""
        tracks, noted, reports, downs = self._port.plane.tick(now)
        for number in {told[0] for each in (tracks, noted, reports) for told in each}:
            if link := self._links.get(number):
                link.active()
        for number, track, layers, payload_type, loudest in tracks:
            self._publishers[number].told(track, layers, payload_type, loudest)
        for number, outcomes in noted:
            self._publishers[number].noted(outcomes, now)
        for number, size, told in reports:
            self._subscribers[number].reported(size, told)
        for number, down, changed in downs:
            self._subscribers[number].down_told(down, changed)
