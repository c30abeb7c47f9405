"""Permissions and channel bindings of one allocation (RFC 8656 sections 9 to 12).

A channel carries data only while its peer's permission lives: a ChannelBind renews both, but a
channel lives twice as long.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from callfleet_relay.message import Address
from callfleet_relay.peers import Ports

PERMISSION_LIFETIME = 300.0
CHANNEL_LIFETIME = 600.0
MAX_PERMISSIONS = 256
MAX_CHANNELS = 256


@dataclass(slots=True)
class Channel:
    """A channel number's peer."""

    peer: Address
    expires: float


@dataclass(slots=True)
class Permissions:
    """What one allocation may exchange datagrams with. Times are monotonic seconds."""

    hosts: dict[str, float] = field(default_factory=dict)
    """When the permission of each address ends."""
    channels: dict[int, Channel] = field(default_factory=dict)
    numbers: dict[Address, int] = field(default_factory=dict)
    """The channel of each peer."""

    def has_room(self, hosts: set[str]) -> bool:
        """Whether these addresses can be permitted within the bound."""
        return len(self.hosts.keys() | hosts) <= MAX_PERMISSIONS

    def permits(self, host: str, now: float) -> bool:
        """Whether an address has a permission at `now`."""
        return self.hosts.get(host, -math.inf) > now

    def permit(self, host: str, now: float) -> None:
        """Install or renew a permission."""
        self.hosts[host] = now + PERMISSION_LIFETIME

    def can_bind(self, number: int, peer: Address) -> bool:
        """Whether neither is bound to something else (RFC 8656 section 12.2)."""
        channel = self.channels.get(number)
        return self.numbers.get(peer, number) == number and (
            channel is None or channel.peer == peer
        )

    def has_channel_room(self, number: int) -> bool:
        """Whether this channel can be bound within the bound."""
        return number in self.channels or len(self.channels) < MAX_CHANNELS

    def bind(self, number: int, peer: Address, now: float) -> None:
        """Bind or renew a channel."""
        self.channels[number] = Channel(peer, now + CHANNEL_LIFETIME)
        self.numbers[peer] = number

    def unbind(self, number: int) -> Address:
        """Forget a channel; its peer comes back."""
        peer = self.channels.pop(number).peer
        del self.numbers[peer]
        return peer

    def forbid(self, host: str) -> None:
        """End the permission of an address; its channels stay bound, without effect."""
        del self.hosts[host]

    def channels_of(self, host: str) -> Iterator[tuple[int, Address]]:
        """Channels whose peers have this address."""
        return (
            (number, channel.peer)
            for number, channel in self.channels.items()
            if channel.peer[0] == host
        )

    def expired(self, now: float) -> tuple[list[str], list[int]]:
        """What has ended by `now`: addresses and channel numbers."""
        hosts = [host for host, expires in self.hosts.items() if expires <= now]
        numbers = [number for number, c in self.channels.items() if c.expires <= now]
        return hosts, numbers

    def next_expiry(self) -> float:
        """When the next of them ends; infinity without any."""
        ends = (*self.hosts.values(), *(c.expires for c in self.channels.values()))
        return min(ends, default=math.inf)

    def denied(
        self, ports: Callable[[str], Ports], allows: Callable[[Address], bool]
    ) -> tuple[list[str], list[int]]:
        """What the peer policy does not open (any more): addresses and channel numbers."""
        hosts = [host for host in self.hosts if ports(host) == frozenset()]
        numbers = [n for n, channel in self.channels.items() if not allows(channel.peer)]
        return hosts, numbers
