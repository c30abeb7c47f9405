"""The port whose sockets belong to the extension: STUN and DTLS come up, addresses go down.

Checks that change nothing stay in the extension, which says once a sweep who was heard.
"""

from __future__ import annotations

import asyncio
import functools
import socket
import time
from collections.abc import Callable, Sequence

from callfleet_engine import _native
from callfleet_engine.media.advertised import Advertised
from callfleet_engine.media.ice_lite import LiteConnection, Side
from callfleet_engine.media.interface import Dropped
from callfleet_engine.media.native.totals import read_totals
from callfleet_engine.media.port import SOCKETS, MediaPort, free_port
from callfleet_engine.media.srtp_keys import SrtpKeys
from callfleet_engine.media.stun_check import Address
from callfleet_engine.media.udp import bound

TAKEN = 8
"""Things taken from the extension before others get their turn. Most are of handshakes, which take
the time of several messages each: who waits for an answer to an offer comes between them."""


class NativeSide:
    """One socket of the extension's, by its number."""

    def __init__(self, plane: _native.Plane, number: int) -> None:
        self.number = number
        self._plane = plane

    def sendto(self, data: bytes | memoryview, address: Address) -> None:
        """Send at once or drop."""
        self._plane.send(self.number, address, bytes(data))


class NativePort(MediaPort):
    """See `MediaPort`. `plane` is there once the port is bound."""

    plane: _native.Plane

    def __init__(
        self, advertised: Callable[[], Sequence[Advertised]], *, consent_seconds: float
    ) -> None:
        super().__init__(advertised, consent_seconds=consent_seconds)
        self._numbers: dict[LiteConnection, int] = {}
        self._by_number: dict[int, LiteConnection] = {}
        self._made = 0
        self._of_extension: list[NativeSide] = []
        self._number = 0
        self._descriptor: int | None = None
        self.on_end: Callable[[int], None] = lambda _: None
        """Told the number of a connection that has ended."""
        self._told: dict[str, Callable[..., None]] = {
            "stun": self._stun,
            "dtls": self._dtls,
            "elsewhere": self._elsewhere,
        }

    def _bind(self, addresses: Sequence[str], port: int) -> None:
        sockets: list[socket.socket] = []
        try:
            for address in addresses:
                port = free_port(address, port)
                sockets += [bound(address, port, shared=True) for _ in range(SOCKETS)]
            self.open([each.fileno() for each in sockets])
        finally:
            for each in sockets:  # the extension has its own
                each.close()
        self._number = port
        asyncio.get_running_loop().add_reader(self.plane.descriptor(), self._take)

    def open(self, descriptors: list[int]) -> None:
        """Make the extension's plane; without sockets it does no I/O."""
        self.plane = _native.Plane(descriptors, time.monotonic())
        self._descriptor = self.plane.descriptor()
        self._of_extension = [NativeSide(self.plane, n) for n in range(max(len(descriptors), 1))]

    def cpu_seconds(self) -> float:
        """CPU time of the bound port's thread."""
        return time.clock_gettime(time.pthread_getcpuclockid(self.plane.thread()))

    @property
    def number(self) -> int:
        """The port's number; 0 while it is not bound."""
        return self._number

    async def close(self) -> None:
        """End all connections and free the port."""
        await super().close()
        if self._descriptor is not None:
            asyncio.get_running_loop().remove_reader(self._descriptor)
            self._descriptor = None
            self.plane.stop()
            self._of_extension = []
            self._number = 0

    def dropped(self) -> dict[Dropped, int]:
        """Datagrams that were not taken or not sent, by cause."""
        dropped = super().dropped()
        if self._descriptor is not None:
            for cause, count in read_totals(self.plane).dropped:
                dropped[cause] += count
        return dropped

    # what connections use

    def number_of(self, connection: LiteConnection, *, publishes: bool) -> int:
        """By what the extension knows a connection, which is made known with the first call."""
        number = self._numbers.get(connection)
        if number is None:
            self._made += 1
            number = self._numbers[connection] = self._made
            self._by_number[number] = connection
            self.plane.open(number, publishes)
        return number

    def claim(self, address: Address, connection: LiteConnection) -> bool:
        """Give an address to a connection that authenticated itself from it."""
        claimed = super().claim(address, connection)
        if claimed:
            self.plane.claim(address, self._numbers[connection])
        return claimed

    def release(self, address: Address) -> None:
        """The address is nobody's."""
        super().release(address)
        self.plane.release(address)

    def route(self, connection: LiteConnection, address: Address | None, side: Side) -> None:
        """The connection sends to this address from now on, from that socket; None: to nobody."""
        if isinstance(side, NativeSide):
            self.plane.select(self._numbers[connection], side.number, address)

    def serves(self, connection: LiteConnection, ufrag: bytes, password: bytes) -> None:
        """Checks with these come from a connected client: the extension answers most of them."""
        self.plane.serve(self._numbers[connection], ufrag, password)

    def keys_for(self, connection: LiteConnection) -> Callable[[SrtpKeys], None] | None:
        """Tells the extension."""
        return functools.partial(self._keyed, connection)

    def _keyed(self, connection: LiteConnection, keys: SrtpKeys) -> None:
        number = self._numbers.get(connection)
        if number is not None:
            now = asyncio.get_running_loop().time()
            self.plane.set_keys(number, keys.profile, keys.inbound, keys.outbound, now)

    def left(self, connection: LiteConnection) -> None:
        """The connection has ended."""
        super().left(connection)
        number = self._numbers.pop(connection, None)
        if number is not None:
            del self._by_number[number]
            self.plane.end(number)
            self.on_end(number)

    # what the extension tells

    def _take(self) -> None:
        for kind, *told in self.plane.take(TAKEN):
            self._told[kind](*told)

    def _stun(self, side: int, source: Address, data: bytes) -> None:
        self.stun_received(data, source, self._of_extension[side])

    def _dtls(self, number: int, source: Address, data: bytes) -> None:
        connection = self._by_number.get(number)
        if connection is not None:
            connection.datagram_received(data, source)

    def _elsewhere(self, number: int, source: Address) -> None:
        connection = self._by_number.get(number)
        if connection is not None and self.by_address.get(source) is connection:
            connection.media_elsewhere(source)

    def sweep(self) -> None:
        """The coarse clock goes on; those whose checks stayed in the extension were heard."""
        for number in self.plane.take_heard():
            self._by_number[number].selected_heard()
        super().sweep()
