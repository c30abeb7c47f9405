"""Which peers a client may reach: permissions, channels, Send (RFC 8656 sections 9 to 12)."""

from __future__ import annotations

from callfleet_relay.allocation import Allocation, AllocationTable
from callfleet_relay.answers import Answers
from callfleet_relay.auth import Authenticated, Instant
from callfleet_relay.errors import RequestError, bad_request, forbidden, no_capacity
from callfleet_relay.events import (
    BindChannel,
    Drop,
    Dropped,
    Outcome,
    PeerDenied,
    SendToPeer,
)
from callfleet_relay.message import Message
from callfleet_relay.peers import PeerPolicy
from callfleet_relay.requests import read_channel, read_peers, read_send

_ANY_FAMILY = frozenset({4, 6})


class PeerAccess:
    """Permissions and channels of all allocations of one relay."""

    def __init__(
        self,
        *,
        answers: Answers,
        table: AllocationTable,
        policy: PeerPolicy,
        unsupported: frozenset[int],
    ) -> None:
        """`unsupported`: attributes of a Send that the data plane can do nothing with."""
        self._answers = answers
        self._table = table
        self._policy = policy
        self._unsupported = unsupported

    def create_permission(
        self, request: Message, allocation: Allocation, who: Authenticated, now: Instant
    ) -> None:
        hosts = {peer[0] for peer in read_peers(request, allocation.families)}
        for host in hosts:
            if self._policy.ports(host) == frozenset():
                raise self._forbidden(allocation, host)
        if not allocation.permissions.has_room(hosts):
            raise no_capacity(Outcome.CAPACITY)
        for host in hosts:
            self._answers.events += allocation.permit(host, self._policy.ports(host), now.monotonic)
        self._table.set_timer(allocation)
        self._answers.succeed(request, allocation.five_tuple, who, [])

    def channel_bind(
        self, request: Message, allocation: Allocation, who: Authenticated, now: Instant
    ) -> None:
        number, peer = read_channel(request, allocation.families)
        if allocation.tcp:
            raise bad_request()
        permissions = allocation.permissions
        if not permissions.can_bind(number, peer):
            raise bad_request()
        if not self._policy.allows(peer):
            raise self._forbidden(allocation, peer[0])
        if not (permissions.has_room({peer[0]}) and permissions.has_channel_room(number)):
            raise no_capacity(Outcome.CAPACITY)
        self._answers.events += allocation.permit(
            peer[0], self._policy.ports(peer[0]), now.monotonic
        )
        permissions.bind(number, peer, now.monotonic)
        self._policy.relayed.bound(allocation.session, peer)
        self._answers.events.append(BindChannel(allocation.session, number, peer))
        self._table.set_timer(allocation)
        self._answers.succeed(request, allocation.five_tuple, who, [])

    def _forbidden(self, allocation: Allocation, host: str) -> RequestError:
        self._answers.events.append(PeerDenied(allocation.session, host))
        return forbidden()

    def send(self, message: Message, allocation: Allocation | None, now: Instant) -> None:
        """A Send indication. Nobody is told of what is wrong with one (RFC 8656 section 11.2)."""
        try:
            families = allocation.families if allocation else _ANY_FAMILY
            peer, data, dont_fragment = read_send(message, families, self._unsupported)
        except RequestError:
            self._answers.events.append(Dropped(Drop.MALFORMED))
            return
        if (
            allocation is None
            or allocation.tcp
            or not allocation.permissions.permits(peer[0], now.monotonic)
        ):
            self._answers.events.append(Dropped(Drop.NO_PERMISSION))
        elif not self._policy.allows(peer):
            self._answers.events.append(PeerDenied(allocation.session, peer[0]))
            self._answers.events.append(Dropped(Drop.NO_PERMISSION))
        else:
            self._answers.events.append(SendToPeer(allocation.session, peer, data, dont_fragment))
