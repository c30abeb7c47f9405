"""What a data plane does: it owns the sockets and relays for the sessions it is told of.

Everything that is not ChannelData of a known session it hands to its receiver, the protocol core.
Its tables follow the core's events one by one. All calls come from one thread.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol, Self

from callfleet_relay.events import (
    BindChannel,
    CloseRelay,
    Drop,
    ExpectClient,
    FiveTuple,
    Forbid,
    MoveClient,
    OpenRelay,
    Permit,
    Reply,
    SendToPeer,
    UnbindChannel,
)
from callfleet_relay.message import Address, IcmpError

Receiver = Callable[[bytes, FiveTuple], None]
ArrivalReceiver = Callable[[int, FiveTuple], None]
"""Told of the first ChannelData from the 5-tuple that a session's client was expected from."""
IcmpReceiver = Callable[[int, IcmpError], None]
"""Told of the session whose datagram an ICMP error is about."""


def nobody_arrives(session: int, five_tuple: FiveTuple) -> None:
    """The `ArrivalReceiver` where no client moves."""


@dataclass(slots=True)
class Traffic:
    """What was relayed; bytes are those of the payload, without any header."""

    packets_from_client: int = 0
    bytes_from_client: int = 0
    packets_to_client: int = 0
    bytes_to_client: int = 0

    def __iadd__(self, other: Traffic) -> Self:
        self.packets_from_client += other.packets_from_client
        self.bytes_from_client += other.bytes_from_client
        self.packets_to_client += other.packets_to_client
        self.bytes_to_client += other.bytes_to_client
        return self

    @property
    def packets(self) -> int:
        """Both directions."""
        return self.packets_from_client + self.packets_to_client


@dataclass(slots=True)
class Figures:
    """Totals since the start, sessions under way included."""

    traffic: Traffic = field(default_factory=Traffic)
    drops: dict[Drop, int] = field(default_factory=lambda: dict.fromkeys(Drop, 0))


class DataPlane(Protocol):
    """The interface of the planes."""

    name: str

    @property
    def listening(self) -> list[Address]:
        """Addresses of the listeners, in the order they were asked for."""

    def reply(self, event: Reply) -> None:
        """Send to a client."""

    def open_relay(self, event: OpenRelay) -> bool:
        """Bind the relay sockets of a new session; False where the port is not to be had."""

    def close_relay(self, event: CloseRelay) -> None:
        """See `CloseRelay`."""

    def expect_client(self, event: ExpectClient) -> None:
        """See `ExpectClient`."""

    def move_client(self, event: MoveClient) -> None:
        """See `MoveClient`."""

    def permit(self, event: Permit) -> None:
        """See `Permit`."""

    def forbid(self, event: Forbid) -> None:
        """See `Forbid`."""

    def bind_channel(self, event: BindChannel) -> None:
        """See `BindChannel`."""

    def unbind_channel(self, event: UnbindChannel) -> None:
        """See `UnbindChannel`."""

    def send_to_peer(self, event: SendToPeer) -> None:
        """See `SendToPeer`."""

    def close_session(self, session: int) -> Traffic:
        """Close a session's socket; what it has relayed comes back."""

    def packets_relayed(self) -> int:
        """Both directions, up to now; cheap enough to ask every second."""

    def figures(self) -> Figures:
        """Totals up to now."""

    def close(self) -> None:
        """Close every socket."""
