"""Two data planes as one: datagrams by one of them, streams by the other."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass

from callfleet_relay.events import (
    BindChannel,
    CloseRelay,
    ExpectClient,
    Forbid,
    MoveClient,
    OpenRelay,
    Permit,
    Reply,
    SendToPeer,
    UnbindChannel,
)
from callfleet_relay.message import Address
from callfleet_relay.settings import Settings
from callfleet_relay.transport.choice import open_datagrams, stream_plane
from callfleet_relay.transport.connections import StreamLimits, TrustedProxies
from callfleet_relay.transport.dataplane import (
    ArrivalReceiver,
    DataPlane,
    Figures,
    IcmpReceiver,
    Receiver,
    Traffic,
)
from callfleet_relay.transport.peer_streams import PeerReceiver
from callfleet_relay.transport.reception import StreamListener
from callfleet_relay.transport.stream import Gone, StreamDataPlane
from callfleet_relay.transport.tls import Certificate


class DataPlanes:
    """See `DataPlane`. A session belongs to the plane of the listener that its client came to."""

    def __init__(self, datagrams: DataPlane, streams: DataPlane) -> None:
        """The listeners of `streams` are numbered after those of `datagrams`."""
        self.name = datagrams.name
        self._datagrams = datagrams
        self._streams = streams
        self._first_stream = len(datagrams.listening)
        self._by_session: dict[int, DataPlane] = {}

    @property
    def listening(self) -> list[Address]:
        return [*self._datagrams.listening, *self._streams.listening]

    def reply(self, event: Reply) -> None:
        self._of_listener(event.five_tuple.listener).reply(event)

    def open_relay(self, event: OpenRelay) -> bool:
        plane = self._of_listener(event.five_tuple.listener)
        opened = plane.open_relay(event)
        if opened:
            self._by_session[event.session] = plane
        return opened

    def close_relay(self, event: CloseRelay) -> None:
        self._by_session[event.session].close_relay(event)

    def expect_client(self, event: ExpectClient) -> None:
        self._by_session[event.session].expect_client(event)

    def move_client(self, event: MoveClient) -> None:
        self._by_session[event.session].move_client(event)

    def permit(self, event: Permit) -> None:
        self._by_session[event.session].permit(event)

    def forbid(self, event: Forbid) -> None:
        self._by_session[event.session].forbid(event)

    def bind_channel(self, event: BindChannel) -> None:
        self._by_session[event.session].bind_channel(event)

    def unbind_channel(self, event: UnbindChannel) -> None:
        self._by_session[event.session].unbind_channel(event)

    def send_to_peer(self, event: SendToPeer) -> None:
        self._by_session[event.session].send_to_peer(event)

    def close_session(self, session: int) -> Traffic:
        return self._by_session.pop(session).close_session(session)

    def packets_relayed(self) -> int:
        return self._datagrams.packets_relayed() + self._streams.packets_relayed()

    def figures(self) -> Figures:
        total = self._datagrams.figures()
        of_streams = self._streams.figures()
        total.traffic += of_streams.traffic
        for cause, count in of_streams.drops.items():
            total.drops[cause] += count
        return total

    def close(self) -> None:
        self._datagrams.close()
        self._streams.close()

    def _of_listener(self, listener: int) -> DataPlane:
        return self._streams if listener >= self._first_stream else self._datagrams


@dataclass(frozen=True, slots=True)
class Receivers:
    """Who is told of what."""

    received: Receiver
    icmp_received: IcmpReceiver
    arrived: ArrivalReceiver
    gone: Gone
    peers: PeerReceiver


def open_planes(
    settings: Settings,
    loop: asyncio.AbstractEventLoop,
    receivers: Receivers,
    *,
    limits: StreamLimits,
    certificate: Certificate | None,
    no_peers: Iterable[str],
) -> tuple[DataPlane, StreamDataPlane | None]:
    """The plane of all listeners, and that of the TCP and TLS ones where there are any.

    Listeners are numbered with the UDP ones first. `no_peers`: hosts on which a peer ends to be one
    where its port comes to be relayed. Raises OSError, `NativeUnavailableError`.
    """
    datagrams, rates = open_datagrams(
        settings,
        loop,
        no_peers=no_peers,
        receiver=receivers.received,
        icmp_receiver=receivers.icmp_received,
        arrival_receiver=receivers.arrived,
    )
    listeners = [each for each in settings.listeners if each.transport != "udp"]
    if not listeners:
        return datagrams, None
    first = len(settings.listen_addresses)
    try:
        streams = stream_plane(datagrams)(
            loop,
            [
                StreamListener(number, each.address, tls=each.transport == "tls")
                for number, each in enumerate(listeners, start=first)
            ],
            relay_hosts=settings.relay_hosts,
            rates=rates,
            receiver=receivers.received,
            icmp_receiver=receivers.icmp_received,
            gone=receivers.gone,
            limits=limits,
            proxies=TrustedProxies(settings.proxy_protocol_from),
            certificate=certificate,
            peer_receiver=receivers.peers,
        )
    except OSError:
        datagrams.close()
        raise
    return DataPlanes(datagrams, streams), streams
