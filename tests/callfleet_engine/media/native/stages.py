"""Both planes without a network: packets in, plaintext out, under the same protocols."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any, Protocol, cast

from aiortc.sdp import SessionDescription
from pylibsrtp import Policy, Session

from callfleet_engine.media.description import RemoteDescription
from callfleet_engine.media.forwarding import Forwarding, PublishingHalf, SubscribingTransport
from callfleet_engine.media.ice_lite import LiteConnection
from callfleet_engine.media.interface import MediaCounters, Source
from callfleet_engine.media.link import Link
from callfleet_engine.media.native.forwarding import NativeForwarding
from callfleet_engine.media.native.port import NativePort
from callfleet_engine.media.native.totals import NativeTotals, read_totals
from callfleet_engine.media.python_forwarding import PythonForwarding
from callfleet_engine.media.seams import NegotiatedMedia
from callfleet_engine.media.totals import Totals

MAX_BITRATE = 1_000_000
PUBLISHER = "alice"
PROFILE = "SRTP_AEAD_AES_256_GCM"
KEY, SALT = bytes(range(32)), bytes(range(100, 112))


class Stage(Protocol):
    """One plane. `sent` has what each participant was sent, in order: RTP and RTCP."""

    now: float
    sent: dict[str, list[bytes]]
    subscribers: dict[str, SubscribingTransport]

    @property
    def publishing(self) -> PublishingHalf: ...

    def subscribe(self, name: str) -> SubscribingTransport: ...

    def negotiate(self, lines: dict[str, NegotiatedMedia], remote: RemoteDescription) -> None: ...

    def publish(self, data: bytes, *, rtcp: bool = False) -> None: ...

    def report(self, name: str, data: bytes) -> None: ...

    def tick(self) -> None: ...

    def take(self) -> None:
        """Add what has been sent to `sent`."""

    def counters(self) -> MediaCounters: ...


class _Wire:
    """What a link does for a half of the Python plane."""

    def __init__(self, sent: list[bytes]) -> None:
        self._sent = sent
        self.connected = True

    def send_rtp(self, data: bytes) -> bool:
        self._sent.append(bytes(data))
        return True

    send_rtcp = send_rtp


class PythonStage:
    """The reference."""

    def __init__(self, now: float) -> None:
        self.now = now
        self.sent: dict[str, list[bytes]] = defaultdict(list)
        self.subscribers: dict[str, SubscribingTransport] = {}
        self._totals = Totals()
        self._forwarding: Forwarding = PythonForwarding(self._totals, MAX_BITRATE, lambda: self.now)
        self.publishing = self._forwarding.publishing(PUBLISHER)
        self._publisher = _Wire(self.sent[PUBLISHER])

    def subscribe(self, name: str) -> SubscribingTransport:
        link = cast("Link", _Wire(self.sent[name]))
        made = self.subscribers[name] = self._forwarding.subscribing(link)
        return made

    def negotiate(self, lines: dict[str, NegotiatedMedia], remote: RemoteDescription) -> None:
        self.publishing.negotiated(lines, remote, cast("Link", self._publisher))

    def publish(self, data: bytes, *, rtcp: bool = False) -> None:
        if rtcp:
            self.publishing.rtcp_received(data, self.now)
        else:
            self.publishing.rtp_received(data, self.now)

    def report(self, name: str, data: bytes) -> None:
        self.subscribers[name].rtcp_received(data, self.now)

    def tick(self) -> None:
        self.publishing.tick(self.now)

    def take(self) -> None:
        """It is there already."""

    def counters(self) -> MediaCounters:
        return self._totals.snapshot()


class _Connection:
    """Stands for a LiteConnection, of which the extension only knows the number."""


class _NativeLink:
    def __init__(self) -> None:
        self.connection = cast("LiteConnection", _Connection())

    def active(self) -> None:
        """Sessions would look at the next tick."""


def _session() -> Session:
    policy = Policy(
        key=KEY + SALT,
        ssrc_type=Policy.SSRC_ANY_OUTBOUND,
        srtp_profile=Policy.SRTP_PROFILE_AEAD_AES_256_GCM,
    )
    policy.window_size = 1024
    return Session(policy)


def _receiving() -> Session:
    policy = Policy(
        key=KEY + SALT,
        ssrc_type=Policy.SSRC_ANY_INBOUND,
        srtp_profile=Policy.SRTP_PROFILE_AEAD_AES_256_GCM,
    )
    policy.window_size = 1024
    return Session(policy)


class NativeStage:
    """The extension without sockets. What goes in is protected, what comes out unprotected."""

    def __init__(self, now: float) -> None:
        self.now = now
        self.sent: dict[str, list[bytes]] = defaultdict(list)
        self.subscribers: dict[str, SubscribingTransport] = {}
        self._port = NativePort(lambda: (), consent_seconds=15)
        self._port.open([])
        self._plane = self._port.plane
        self._forwarding = NativeForwarding(self._port, MAX_BITRATE)
        self.publishing = self._forwarding.publishing(PUBLISHER)
        self._publisher: Any = _NativeLink()
        self._names: dict[int, str] = {}
        self._clients: dict[str, Session] = {}
        self._servers: dict[str, Session] = {}
        self._addresses: dict[str, tuple[str, int]] = {}

    def _connect(self, name: str, link: Any) -> None:  # noqa: ANN401 (a link's stand-in)
        number = self._port._numbers[link.connection]
        address = ("127.0.0.1", 1000 + number)
        self._plane.claim(address, number)
        self._plane.select(number, 0, address)
        self._plane.set_keys(number, PROFILE, (KEY, SALT), (KEY, SALT), self.now)
        self._addresses[name] = address
        self._names[address[1]] = name
        self._clients[name], self._servers[name] = _session(), _receiving()

    def subscribe(self, name: str) -> SubscribingTransport:
        link: Any = _NativeLink()
        made = self.subscribers[name] = self._forwarding.subscribing(link)
        self._connect(name, link)
        return made

    def negotiate(self, lines: dict[str, NegotiatedMedia], remote: RemoteDescription) -> None:
        self.publishing.negotiated(lines, remote, self._publisher)
        if PUBLISHER not in self._addresses:
            self._connect(PUBLISHER, self._publisher)

    def publish(self, data: bytes, *, rtcp: bool = False) -> None:
        client = self._clients[PUBLISHER]
        self._receive(PUBLISHER, client.protect_rtcp(data) if rtcp else client.protect(data))

    def report(self, name: str, data: bytes) -> None:
        self._receive(name, self._clients[name].protect_rtcp(data))

    def _receive(self, name: str, data: bytes) -> None:
        self._plane.receive(0, self._addresses[name], data, self.now)

    def tick(self) -> None:
        self._forwarding.tick(self.now)

    def take(self) -> None:
        for _, address, data in self._plane.take_datagrams():
            name = self._names[address[1]]
            server = self._servers[name]
            is_rtcp = 192 <= data[1] < 224
            self.sent[name].append(
                server.unprotect_rtcp(data) if is_rtcp else server.unprotect(data)
            )

    def counters(self) -> MediaCounters:
        totals = NativeTotals()
        totals.take(read_totals(self._plane))
        return totals.snapshot()


def described(
    sources: Mapping[str, Source],
    *,
    rids: Mapping[str, tuple[str, ...]],
    ssrcs: Mapping[str, tuple[int, ...]],
    repairs: Mapping[int, int],
) -> RemoteDescription:
    """A publisher's description, as far as it matters here."""
    return RemoteDescription(
        description=SessionDescription(),
        ufrag="u",
        fingerprints=frozenset(),
        mids=tuple(sources),
        ssrcs=dict(ssrcs),
        candidates=(),
        sources=dict(sources),
        sending=frozenset(sources.values()),
        rids=dict(rids),
        repairs=dict(repairs),
    )
