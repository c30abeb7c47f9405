"""The data plane in Rust: threads of its own relay, without the interpreter's lock.

This module turns the core's events into calls of the extension, and what the extension hands over
into calls of the core. It binds the sockets; the extension has duplicates of them. Importing it
fails where the extension was not built.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
import time
from collections.abc import Callable, Iterable, Sequence

from callfleet_relay import _native
from callfleet_relay.allocation import family_of
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
from callfleet_relay.transport.dataplane import (
    ArrivalReceiver,
    Figures,
    IcmpReceiver,
    Receiver,
    Traffic,
    nobody_arrives,
)
from callfleet_relay.transport.icmp import ask_for_errors
from callfleet_relay.transport.udp import (
    LISTENER_BUFFER,
    RELAY_BUFFER,
    bind_shared_udp,
    bind_udp,
    split_scope,
)

logger = logging.getLogger(__name__)

BitRates = _native.BitRates
"""Limits that both planes can share."""

TAKEN = 32
"""Things taken from the extension before others get their turn."""


class NativeDataPlane:
    """See `DataPlane`."""

    name = "native"

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        listen: Sequence[Address],
        *,
        relay_hosts: Sequence[str],
        rates: _native.BitRates,
        receiver: Receiver,
        icmp_receiver: IcmpReceiver,
        arrival_receiver: ArrivalReceiver = nobody_arrives,
        threads: int = 1,
        no_peers: Iterable[str] = (),
    ) -> None:
        """`relay_hosts`: one of each family that there is. `rates` may be shared with another
        plane. `no_peers`: hosts any port of which may stop being a peer, as it comes to be relayed.
        Raises OSError.
        """
        self._loop = loop
        self._relay_hosts = {family_of(host): host for host in relay_hosts}
        self._rates = rates
        self._receiver = receiver
        self._users: dict[int, str] = {}
        self._worker = 0
        self._told: dict[str, Callable[..., None]] = {
            "datagram": self._received,
            "arrived": lambda session, listener, client: arrival_receiver(
                session, FiveTuple(listener, read_address(client))
            ),
            "error": lambda session, peer, *what: icmp_receiver(
                session, IcmpError(read_address(peer), *what)
            ),
        }
        groups: list[list[socket.socket]] = []
        try:
            for host, port in listen:
                groups.append(
                    bind_shared_udp(host, port, LISTENER_BUFFER, LISTENER_BUFFER, count=threads)
                )
            self.listening: list[Address] = [group[0].getsockname()[:2] for group in groups]
            of_threads = [[group[at].fileno() for group in groups] for at in range(threads)]
            self._plane = _native.Plane(
                of_threads, [write_address((host, 0))[0] for host in no_peers], time.monotonic()
            )
        finally:
            for group in groups:
                for bound in group:
                    bound.close()
        self._descriptor = self._plane.descriptor()
        loop.add_reader(self._descriptor, self._take)

    def reply(self, event: Reply) -> None:
        listener, client = event.five_tuple
        self._plane.reply(listener, write_address(client), event.data)

    def open_relay(self, event: OpenRelay) -> bool:
        relays: dict[int, socket.socket] = {}
        try:
            for family in event.families:
                bound = bind_udp(self._relay_hosts[family], event.port, RELAY_BUFFER)
                relays[family] = bound
                ask_for_errors(bound)
            self._open(event, relays)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                logger.warning("relay socket refused: %s", error, extra={"port": event.port})
            return False
        finally:
            for bound in relays.values():
                bound.close()
        return True

    def _open(self, event: OpenRelay, relays: dict[int, socket.socket]) -> None:
        listener, client = event.five_tuple
        upstream, downstream = self._rates.open(event.user, time.monotonic())
        try:
            self._plane.open(
                event.session,
                listener,
                write_address(client),
                [(family == 6, bound.fileno()) for family, bound in relays.items()],
                upstream,
                downstream,
                self._worker,
            )
        except OSError:
            self._rates.close(event.user)
            raise
        self._users[event.session] = event.user

    def close_relay(self, event: CloseRelay) -> None:
        self._plane.close_relay(event.session, event.family == 6)

    def expect_client(self, event: ExpectClient) -> None:
        listener, client = event.five_tuple
        self._plane.expect_client(event.session, listener, write_address(client))

    def move_client(self, event: MoveClient) -> None:
        listener, client = event.five_tuple
        self._plane.move_client(event.session, listener, write_address(client))

    def permit(self, event: Permit) -> None:
        ports = None if event.ports is None else list(event.ports)
        self._plane.permit(event.session, write_address((event.host, 0)), ports)

    def forbid(self, event: Forbid) -> None:
        self._plane.forbid(event.session, write_address((event.host, 0)))

    def bind_channel(self, event: BindChannel) -> None:
        self._plane.bind_channel(event.session, event.number, write_address(event.peer))

    def unbind_channel(self, event: UnbindChannel) -> None:
        self._plane.unbind_channel(event.session, event.number)

    def send_to_peer(self, event: SendToPeer) -> None:
        self._plane.send_to_peer(
            event.session, write_address(event.peer), event.data, event.dont_fragment
        )

    def close_session(self, session: int) -> Traffic:
        self._rates.close(self._users.pop(session))
        return Traffic(*self._plane.close_session(session))

    def packets_relayed(self) -> int:
        return self._plane.packets()

    def figures(self) -> Figures:
        traffic, drops = self._plane.figures()
        total = Figures(Traffic(*traffic))
        for cause, count in drops:
            total.drops[Drop(cause)] = count
        return total

    def close(self) -> None:
        for session in list(self._users):
            self.close_session(session)
        self._loop.remove_reader(self._descriptor)
        self._plane.stop()
        del self._plane  # and with it its sockets

    def _take(self) -> None:
        for kind, *told in self._plane.take(TAKEN):
            self._told[kind](*told)

    def _received(self, listener: int, client: _native.Address, worker: int, data: bytes) -> None:
        # A session that this opens belongs to the thread that its client's datagrams come to.
        self._worker = worker
        self._receiver(data, FiveTuple(listener, read_address(client)))


def write_address(address: Address) -> _native.Address:
    host, scope = split_scope(address[0])
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.inet_pton(family, host), address[1], scope


def read_address(address: _native.Address) -> Address:
    ip, port, scope = address
    host = socket.inet_ntop(socket.AF_INET if len(ip) == 4 else socket.AF_INET6, ip)
    return f"{host}%{socket.if_indextoname(scope)}" if scope else host, port
