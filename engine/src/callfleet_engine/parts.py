"""The parts of one engine, put together from its settings. Nothing runs yet."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import SystemRandom
from time import time
from typing import TypeVar

import aiohttp

from callfleet_engine import __version__
from callfleet_engine.admin import Address, Admin, Status
from callfleet_engine.admin_auth import AdminGuard, read_admin_keys
from callfleet_engine.admin_calls import AdminCalls
from callfleet_engine.calls.admission import AdmissionControl
from callfleet_engine.calls.host import CallHost
from callfleet_engine.calls.journal import Journal
from callfleet_engine.calls.moving import Mover
from callfleet_engine.calls.ownership import Ownership
from callfleet_engine.calls.peers import Peers
from callfleet_engine.calls.rates import BitRates
from callfleet_engine.calls.relay_moving import RelayMover
from callfleet_engine.calls.sampling import Sampler
from callfleet_engine.calls.surroundings import Services
from callfleet_engine.drain import Drain
from callfleet_engine.limits import FixedLimits, LimitsSource, read_limits
from callfleet_engine.media.choice import NativeUnavailableError, make_plane
from callfleet_engine.media.plane import AiortcPlane, MediaSettings
from callfleet_engine.media_addresses import MediaAddresses
from callfleet_engine.metrics import Gauges, Metrics
from callfleet_engine.presets import BuiltInPresets, PresetsSource, read_presets
from callfleet_engine.reloading import Reloading
from callfleet_engine.settings import Endpoint, InvalidSettings, Settings, flag
from callfleet_engine.signalling.access import Access
from callfleet_engine.signalling.entry import Entry
from callfleet_engine.signalling.forwarding import Forwarder
from callfleet_engine.signalling.reception import Reception
from callfleet_engine.signalling.websocket import Signalling
from callfleet_engine.signalling.whip import Whip
from callfleet_engine.store import BufferedSamples, SqlStore, StoreSettings, parse_database_url
from callfleet_engine.store.interface import Admission, CallRoute, Owner, PodBeat
from callfleet_engine.token_keys import KeysFileInvalid
from callfleet_engine.tokens import JoinKeys
from callfleet_engine.turn.credentials import read_keys, read_secret
from callfleet_engine.turn.ice_servers import IceServerSource, Signers
from callfleet_engine.turn.relays import Relay, RelayDirectory

T = TypeVar("T")


class Parts:
    """Everything that has a state, wired. To be made within a running event loop."""

    def __init__(
        self, settings: Settings, listening: Endpoint, client: aiohttp.ClientSession
    ) -> None:
        """`listening`: where signalling is reached. Raises InvalidSettings naming the flag."""
        self.settings = settings
        self.started_at = datetime.now(UTC)
        random = SystemRandom()
        self.limits = _limits(settings)
        self.presets = _presets(settings)
        self.metrics = Metrics()
        self.relays = RelayDirectory(_stand_alone_relays(settings))
        self.ice = IceServerSource(
            self.relays,
            _signers(settings),
            lifetime_seconds=settings.turn_credential_lifetime,
            required=settings.require_relay,
            random=random,
            now=time,
        )
        access = Access(_join_keys(settings))
        guard = _guard(settings)
        self.forwarder = Forwarder(client, random)
        self.drain = Drain(on_sealed=self.forwarder.end_all)
        self.admission = AdmissionControl(self.drain, self.limits)
        self.store = SqlStore(_store_settings(settings), self.metrics.observe_store)
        self.samples = BufferedSamples(self.store.insert_metrics)
        self.sampler = Sampler(self.samples)
        self.rates = BitRates()
        self.media_addresses = MediaAddresses(settings)
        self.plane = _plane(settings, self.media_addresses)
        self.me = Owner(settings.pod_uid, settings.pod_address or str(listening))
        self.peers = Peers(
            self.store,
            self.beat,
            interval_seconds=settings.heartbeat_seconds,
            alone=settings.single_pod,
            on_silence=self._calls_in_doubt,
        )
        ownership = Ownership(self.store, self.peers, self.me)
        self.journal = Journal(self.store, self._call_lost)
        self.host = CallHost(
            plane=self.plane,
            admission=self.admission,
            ownership=ownership,
            journal=self.journal,
            services=Services(settings.pod_name, self.ice, self.metrics, self.presets),
            metrics=self.metrics,
            random=random,
        )
        self.mover = Mover(self.host, self.drain, self.peers, self.limits, random)
        self.relay_mover = RelayMover(self.host, random)
        entry = Entry(
            me=self.me,
            access=access,
            host=self.host,
            ownership=ownership,
            peers=self.peers,
            admission=self.admission,
            limits=self.limits,
            is_open=lambda: self._admits is Admission.OPEN,
            random=random,
        )
        reception = Reception(
            self.me.uid, entry, self.host, self.forwarder, self.metrics, self.plane.turns.answering
        )
        self.signalling = Signalling(
            uid=self.me.uid,
            reception=reception,
            allowed_origins=settings.allowed_origins,
            is_sealed=lambda: self.sealed,
        )
        self.whip = Whip(
            reception=reception, ownership=ownership, allowed_origins=settings.allowed_origins
        )
        self.admin = Admin(
            pod_uid=self.me.uid,
            drain=self.drain,
            mover=self.mover,
            occupancy=lambda: self.admission.occupancy,
            status=self.status,
            relays=self.relays,
            relay_mover=self.relay_mover,
            calls=AdminCalls(lambda: self.host.calls, self.rates),
            guard=guard,
        )
        self.metrics.watch(self.gauges, self.plane)

    @property
    def sealed(self) -> bool:
        """Whether this pod takes nothing ever again."""
        return self.drain.admission is Admission.SEALED

    @property
    def _admits(self) -> Admission:
        """What other pods are told: one that clients cannot reach yet takes no new calls."""
        if self.drain.admission is Admission.OPEN and not self.media_addresses():
            return Admission.DRAINING
        return self.drain.admission

    def beat(self) -> PodBeat:
        """The heartbeat of this moment."""
        return PodBeat(
            uid=self.me.uid,
            name=self.settings.pod_name,
            address=self.me.address,
            admission=self._admits,
            participants=self.admission.participants,
            pending_joins=self.admission.pending_joins,
            capacity=self.limits.value.capacity_participants,
            release=__version__,
        )

    def gauges(self) -> Gauges:
        """The figures of this moment for metrics."""
        return Gauges(
            participants=self.admission.participants,
            calls=self.admission.calls,
            pending_joins=self.admission.pending_joins,
            capacity_participants=self.limits.value.capacity_participants,
            admission=self.drain.admission,
            store_backlog=self.journal.backlog + self.samples.backlog,
        )

    def status(self) -> Status:
        """The figures of this moment for the operator."""
        return Status(
            release=__version__,
            pod_name=self.settings.pod_name,
            pod_uid=self.me.uid,
            admission=self.drain.admission.value,
            drain_id=self.drain.drain_id,
            started_at=self.started_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
            calls=self.admission.calls,
            participants=self.admission.participants,
            pending_joins=self.admission.pending_joins,
            capacity_participants=self.limits.value.capacity_participants,
            stress={**self.plane.stress()},
            relays=len(self.relays),
            addresses=tuple(
                Address(address=told.address, port=self.plane.port, source=told.source)
                for told in self.media_addresses()
            ),
            address_problem="" if self.media_addresses() else self.media_addresses.why_none,
        )

    def _call_lost(self, route: CallRoute) -> None:
        self.host.lost(route)

    def _calls_in_doubt(self) -> None:
        self.host.doubt_ownership()


def _read(field: str, path: Path, read: Callable[[Path], T]) -> Reloading[T]:
    try:
        return Reloading(path, read)
    except (OSError, ValueError) as error:
        raise InvalidSettings(f"{flag(field)}: {error}") from error


def _limits(settings: Settings) -> LimitsSource:
    if settings.limits_file:
        return _read("limits_file", settings.limits_file, read_limits)
    return FixedLimits(settings.fixed_limits)


def _presets(settings: Settings) -> PresetsSource:
    if settings.quality_presets:
        return _read("quality_presets", settings.quality_presets, read_presets)
    return BuiltInPresets()


def _plane(settings: Settings, advertised: MediaAddresses) -> AiortcPlane:
    media = MediaSettings(
        addresses=settings.media_address, port=settings.media_port, advertised=advertised
    )
    try:
        return make_plane(settings.mediaplane, media)
    except NativeUnavailableError as error:
        raise InvalidSettings(f"{flag('mediaplane')} {settings.mediaplane}: {error}") from error


def _join_keys(settings: Settings) -> JoinKeys | None:
    if settings.keys_file is None:
        return None
    try:
        return JoinKeys(settings.keys_file)
    except KeysFileInvalid as error:
        raise InvalidSettings(f"--keys-file: {error}") from error


def _guard(settings: Settings) -> AdminGuard | None:
    if settings.admin_keys_file is None:
        return None
    keys = _read("admin_keys_file", settings.admin_keys_file, read_admin_keys)
    return AdminGuard(keys, settings.pod_uid)


def _signers(settings: Settings) -> Signers:
    directory, secret = settings.turn_keys_directory, settings.turn_secret_file
    return Signers(
        consumer=settings.consumer,
        keys=_read("turn_keys_directory", directory, read_keys) if directory else None,
        secret=_read("turn_secret_file", secret, read_secret) if secret else None,
    )


def _stand_alone_relays(settings: Settings) -> list[Relay]:
    return [Relay(pod=url, urls=(url,)) for url in settings.turn]


def _store_settings(settings: Settings) -> StoreSettings:
    return StoreSettings(
        parse_database_url(settings.database),
        connections=settings.database_connections,
        retention=timedelta(days=settings.retention_days),
        consumer=settings.consumer,
    )
