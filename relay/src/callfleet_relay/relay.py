"""One running relay: the protocol core, its data plane, time and figures brought together."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from operator import itemgetter

from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from callfleet_relay.allocation import RelayedHost, family_of
from callfleet_relay.auth import Instant
from callfleet_relay.credential_files import follow_credentials
from callfleet_relay.drain import Admission, AdmissionGate
from callfleet_relay.events import (
    AdmitPeer,
    AllocateAnswered,
    BindChannel,
    BindPeer,
    ClosePeer,
    CloseRelay,
    ConnectPeer,
    Drop,
    Dropped,
    Event,
    ExpectClient,
    FiveTuple,
    Forbid,
    MoveClient,
    OpenRelay,
    Outcome,
    PeerDenied,
    Permit,
    Reply,
    SendToPeer,
    SessionEnd,
    SessionEnded,
    UnbindChannel,
)
from callfleet_relay.external import Advertised, public_address
from callfleet_relay.limits import enforce, read_limits, stream_limits
from callfleet_relay.measuring import Measuring
from callfleet_relay.message import Address, IcmpError
from callfleet_relay.metrics import Counters, Snapshot, families
from callfleet_relay.peer_reports import PeerReports
from callfleet_relay.peers import PeerEntry, PeerPolicy
from callfleet_relay.ports import RelayPorts
from callfleet_relay.quota import AllocationQuota
from callfleet_relay.rates import allocation_rate, reply_rate
from callfleet_relay.server import TurnServer
from callfleet_relay.settings import Settings, format_address
from callfleet_relay.tickets import Tickets
from callfleet_relay.transport.choice import certificate_of
from callfleet_relay.transport.connections import StreamFigures
from callfleet_relay.transport.planes import Receivers, open_planes
from callfleet_relay.users import result_of
from callfleet_relay.watched import Followed, TextSource, UnusableFileError

logger = logging.getLogger(__name__)


def now() -> Instant:
    """This moment."""
    return Instant(time.monotonic(), time.time())


class Relay(Collector):
    """Everything but HTTP and signals. Works on the loop it was started on, without a lock."""

    def __init__(
        self,
        settings: Settings,
        http_addresses: Sequence[Address] = (),
        advertised: Sequence[Advertised] = (),
    ) -> None:
        """Bind the listeners. Raises OSError, `UnusableFileError`, `NativeUnavailableError`.

        `advertised`: the host parts of relayed addresses, one for each of the settings' relay
        addresses; none where these are what is advertised.
        """
        self.advertised = tuple(advertised) or tuple(
            Advertised(host, "--relay-address") for host in settings.relay_hosts
        )
        self.public = public_address(settings)
        hosts = [each.address for each in self.advertised]
        self.settings = settings
        self.release = version("callfleet")
        self.started_at = datetime.now(UTC)
        self.empty = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self.followed = Followed()
        authenticator = follow_credentials(
            self.followed, settings, nonce_secret=secrets.token_bytes(32)
        )
        self.certificate = certificate_of(settings)
        if self.certificate is not None:
            self.followed.follow("--cert, --key", self.certificate)
        self._stream_limits = stream_limits(settings)
        # Datagrams first, as the planes number them.
        self._order = sorted(
            range(len(settings.listeners)), key=lambda at: settings.listeners[at].transport != "udp"
        )
        self._listeners = [settings.listeners[at] for at in self._order]
        receivers = Receivers(
            received=self._receive,
            icmp_received=self._icmp_received,
            arrived=self._arrived,
            gone=self._gone,
            peers=PeerReports(lambda: self.server.tcp, self._run, now),
        )
        self.plane, self.streams = open_planes(
            settings,
            self._loop,
            receivers,
            limits=self._stream_limits,
            certificate=self.certificate,
            no_peers=settings.relayed_hosts(hosts),
        )
        own = settings.own_addresses([*self.plane.listening, *http_addresses], hosts)
        self.server = TurnServer(
            relayed=[RelayedHost(host, family_of(host)) for host in hosts],
            authenticator=authenticator,
            policy=PeerPolicy(settings.allowed_peers, own, settings.relayed_hosts(hosts)),
            ports=RelayPorts(*settings.relay_port_range),
            quota=AllocationQuota(
                total=settings.max_allocations, per_user=settings.max_allocations_per_user
            ),
            gate=AdmissionGate(),
            credential_grace=settings.credential_grace,
            reply_rate=reply_rate(settings.reply_rate),
            allocation_rate=allocation_rate(settings.allocation_rate),
            streams=frozenset(
                number for number, each in enumerate(self._listeners) if each.transport != "udp"
            ),
            max_peer_connections=settings.max_peer_connections,
            tickets=Tickets(secrets.token_bytes(32)) if settings.mobility else None,
        )
        self._counters = Counters()
        self._drops = dict.fromkeys(Drop, 0)
        self._timer: asyncio.TimerHandle | None = None
        self._timer_due = 0.0
        self._handlers: dict[type, Callable[..., Iterable[Event] | None]] = {
            Reply: self.plane.reply,
            OpenRelay: self._open_relay,
            CloseRelay: self.plane.close_relay,
            ExpectClient: self.plane.expect_client,
            MoveClient: self.plane.move_client,
            Permit: self.plane.permit,
            Forbid: self.plane.forbid,
            BindChannel: self.plane.bind_channel,
            UnbindChannel: self.plane.unbind_channel,
            SendToPeer: self.plane.send_to_peer,
            SessionEnded: self._session_ended,
            AllocateAnswered: self._allocate_answered,
            PeerDenied: self._peer_denied,
            Dropped: self._dropped,
        }
        if self.streams is not None:
            self._handlers |= {
                ConnectPeer: self.streams.peers.connect,
                AdmitPeer: self.streams.peers.admit,
                BindPeer: self.streams.bind_peer,
                ClosePeer: self.streams.close_peer,
            }
        try:
            if settings.limits_file is not None:
                limits_file = TextSource("limits", settings.limits_file, self._take_limits)
                self.followed.follow("--limits-file", limits_file)
        except UnusableFileError:
            self.plane.close()
            raise
        self._measuring = Measuring(
            self._loop,
            sustainable_packet_rate=settings.sustainable_packet_rate,
            threads=settings.dataplane_threads if self.plane.name == "native" else 1,
            packets=self.plane.packets_relayed,
            every_second=self._every_second,
        )

    @property
    def listening(self) -> list[str]:
        """Where clients come, in the order asked for."""
        bound = zip(self._order, self._listeners, self.plane.listening, strict=True)
        return [
            str(replace(listener, address=address))
            for _, listener, address in sorted(bound, key=itemgetter(0))
        ]

    @property
    def gate(self) -> AdmissionGate:
        """Whether new allocations are taken."""
        return self.server.gate

    def drain(self, drain_id: str) -> None:
        """Refuse new allocations. Raises `AdmissionConflictError`."""
        self.gate.drain(drain_id)
        logger.info("draining", extra={"drain": drain_id, "allocations": self.server.allocations})

    def undrain(self, drain_id: str) -> None:
        """Take new allocations again. Raises `AdmissionConflictError`."""
        self.gate.undrain(drain_id)
        logger.info("open again", extra={"drain": drain_id})

    def seal(self, drain_id: str) -> None:
        """Close for good. Raises `AdmissionConflictError`."""
        self.server.seal(drain_id)
        logger.info("sealed", extra={"drain": drain_id})

    def replace_peers(self, entries: list[PeerEntry]) -> None:
        """Take a new list of peers."""
        self._run(self.server.replace_peers(entries))
        logger.info("peers replaced", extra={"peers": self.server.policy.pushed_count})

    def replace_alternatives(self, addresses: list[Address]) -> None:
        """Take a new list of servers to name while draining."""
        self.server.replace_alternatives(addresses)
        logger.info("alternatives replaced", extra={"alternatives": len(addresses)})

    def terminate(self) -> None:
        """The process was told to end: refuse new allocations for good."""
        self.gate.terminate()
        logger.info("terminating", extra={"allocations": self.server.allocations})

    def close(self) -> None:
        """End what is left and free every socket and timer."""
        self._run(self.server.end_all(SessionEnd.POD_TERMINATED, now()))
        self._measuring.close()
        if self._timer is not None:
            self._timer.cancel()
        self.plane.close()

    def status(self) -> dict[str, object]:
        """What `GET /admin/v1/status` answers."""
        traffic = self.plane.figures().traffic
        return {
            "version": 1,
            "component": "relay",
            "release": self.release,
            "podName": self.settings.pod_name,
            "podUid": self.settings.pod_uid,
            "admission": self.gate.state.value,
            "drainId": self.gate.drain_id,
            "startedAt": self.started_at.isoformat(timespec="seconds").replace("+00:00", "Z"),
            "allocations": self.server.allocations,
            "allocationCapacity": self.server.quota.capacity,
            "stress": self._measuring.meter.stress().as_dict(),
            "peers": self.server.policy.pushed_count,
            "dataplane": self.plane.name,
            "addresses": [each.as_dict() for each in self.advertised],
            **({"public": self.public.as_dict()} if self.public else {}),
            "listen": self.listening,
            "connections": dict(self.streams.stream_figures().open) if self.streams else {},
            "traffic": {
                "packetsFromClient": traffic.packets_from_client,
                "bytesFromClient": traffic.bytes_from_client,
                "packetsToClient": traffic.packets_to_client,
                "bytesToClient": traffic.bytes_to_client,
            },
            "files": self.followed.usable,
        }

    def collect(self) -> Iterable[Metric]:
        """The metrics at this moment."""
        self._counters.users.advance(time.time())
        figures = self.plane.figures()
        for cause, count in self._drops.items():
            figures.drops[cause] += count
        snapshot = Snapshot(
            release=self.release,
            dataplane=self.plane.name,
            allocations=self.server.allocations,
            capacity=self.server.quota.capacity,
            stress=self._measuring.meter.stress(),
            admission=Admission(self.gate.state),
            outcomes=self._counters.outcomes,
            users=self._counters.users.totals,
            ended=self._counters.ended,
            peer_denied=self._counters.peer_denied,
            figures=figures,
            peer_connections=self.server.tcp.connections,
            streams=self.streams.stream_figures() if self.streams else StreamFigures(),
            readings=self.followed.readings,
            usable=self.followed.usable,
            certificate_expires=self.certificate.expires if self.certificate else None,
        )
        return families(snapshot)

    def _take_limits(self, text: str) -> dict[str, object]:
        limits = read_limits(text, self.settings)
        enforce(
            limits.settings,
            quota=self.server.quota,
            streams=self._stream_limits,
            peers=self.server.tcp.connections,
        )
        if limits.needs_restart or limits.unknown:
            logger.warning(
                "not taken from the limits file",
                extra={"needs_restart": limits.needs_restart, "unknown": limits.unknown},
            )
        return {"taken": limits.taken}

    def _gone(self, five_tuple: FiveTuple, cause: SessionEnd) -> None:
        self._run(self.server.client_gone(five_tuple, cause, now()))

    def _arrived(self, session: int, five_tuple: FiveTuple) -> None:
        self._run(self.server.client_arrived(session, five_tuple))

    def _icmp_received(self, session: int, error: IcmpError) -> None:
        self._run(self.server.icmp_received(session, error, now()))

    def _receive(self, data: bytes, five_tuple: FiveTuple) -> None:
        self._run(self.server.receive(data, five_tuple, now()))

    def _run(self, events: list[Event]) -> None:
        waiting = deque(events)
        while waiting:
            event = waiting.popleft()
            more = self._handlers[type(event)](event)
            if more:
                waiting.extendleft(reversed(list(more)))
        self._set_timer()

    def _set_timer(self) -> None:
        due = self.server.next_timer()
        if self._timer is not None:
            if due is not None and self._timer_due <= due:
                return
            self._timer.cancel()
            self._timer = None
        if due is not None:
            self._timer_due = due
            self._timer = self._loop.call_later(max(0.0, due - time.monotonic()), self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        self._run(self.server.handle_timer(now()))

    def _open_relay(self, event: OpenRelay) -> list[Event]:
        if self.plane.open_relay(event):
            return self.server.relay_opened(event.session, now())
        return self.server.relay_refused(event.session)

    def _session_ended(self, event: SessionEnded) -> None:
        traffic = self.plane.close_session(event.session)
        self._counters.ended[event.cause] += 1
        if not self.server.allocations:
            self.empty.set()
        logger.info(
            "session ended",
            extra={
                "cause": event.cause.value,
                "user": event.user,
                "transport": self._listeners[event.five_tuple.listener].transport,
                "client": format_address(event.five_tuple.client),
                "relayed": [
                    format_address((each.address, event.port))
                    for each in self.advertised
                    if family_of(each.address) in event.families
                ],
                "seconds": round(event.seconds, 3),
                "packets_from_client": traffic.packets_from_client,
                "bytes_from_client": traffic.bytes_from_client,
                "packets_to_client": traffic.packets_to_client,
                "bytes_to_client": traffic.bytes_to_client,
            },
        )

    def _allocate_answered(self, event: AllocateAnswered) -> None:
        self._counters.outcomes[event.outcome] += 1
        if event.outcome is Outcome.OK:
            self.empty.clear()
        if event.user is not None:
            self._counters.users.add(event.user, result_of(event.outcome), time.time())

    def _peer_denied(self, event: PeerDenied) -> None:
        self._counters.peer_denied += 1
        logger.debug("peer denied", extra={"session": event.session, "peer": event.host})

    def _dropped(self, event: Dropped) -> None:
        self._drops[event.cause] += 1

    def _every_second(self) -> None:
        self._counters.users.advance(time.time())
        self.followed.check()
