"""What a data plane tells of TCP connections with peers, as calls of the protocol core."""

from __future__ import annotations

from collections.abc import Callable

from callfleet_relay.auth import Instant
from callfleet_relay.events import Event
from callfleet_relay.message import Address
from callfleet_relay.tcp_relay import TcpRelay


class PeerReports:
    """See `PeerReceiver`."""

    def __init__(
        self,
        core: Callable[[], TcpRelay],
        run: Callable[[list[Event]], None],
        now: Callable[[], Instant],
    ) -> None:
        """`run` makes happen what the core answers."""
        self._core = core
        self._run = run
        self._now = now

    def connected(self, number: int) -> None:
        self._run(self._core().connected(number, self._now()))

    def failed(self, number: int) -> None:
        self._run(self._core().failed(number))

    def accepted(self, session: int, peer: Address) -> None:
        self._run(self._core().accepted(session, peer, self._now()))

    def closed(self, number: int) -> None:
        self._core().closed(number)
