"""The media plane on asyncio, aiortc's transports and pylibsrtp."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice

from callfleet_engine.media.advertised import Advertised
from callfleet_engine.media.forwarding import Forwarding
from callfleet_engine.media.interface import (
    MediaCounters,
    MediaError,
    MediaEvents,
    Stress,
)
from callfleet_engine.media.negotiating import Turns
from callfleet_engine.media.port import CONSENT_SECONDS, MediaPort
from callfleet_engine.media.python_forwarding import PythonForwarding
from callfleet_engine.media.seams import Certificate
from callfleet_engine.media.session import MAX_PUBLISHERS, MAX_SCREENS, AiortcSession
from callfleet_engine.media.speaker import ActiveSpeaker
from callfleet_engine.media.stress import (
    FORWARDS_PER_CORE,
    StressMeter,
    cores_allowed,
    read_cpu_max,
)
from callfleet_engine.media.subscribing import Publishers
from callfleet_engine.media.totals import Totals

TICK_SECONDS = 0.1
REPORT_TICKS = 10
AWAKE_SECONDS = 4.0
"""Rates, layers, reports and the speaker are at rest so long after the last packet of a call."""
_PARTICIPANT_ID = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)


@dataclass(frozen=True, slots=True)
class MediaSettings:
    """What the owner of a plane chooses.

    `addresses` are this host's, at most one of each family; `port` is bound on all of them, 0 for
    a free one. `advertised` gives the addresses that clients are told at this moment; without it
    they are told `addresses`. `consent_seconds` of silence end a participant.
    `egress_bits_per_second` is what counts as full. `max_video_bitrate` (bit/s) is granted to a
    publisher for whom nothing else is said (`MediaSession.grant`). `attempt_seconds` is how long a
    peer connection may take to connect.
    """

    addresses: tuple[str, ...]
    port: int = 0
    advertised: Callable[[], Sequence[Advertised]] | None = None
    consent_seconds: float = CONSENT_SECONDS
    egress_bits_per_second: float = 1e9
    max_video_bitrate: int = 2_500_000
    attempt_seconds: float = 15.0


class AiortcCall:
    """One call's sessions."""

    def __init__(self, plane: AiortcPlane, call_id: str) -> None:
        self.plane = plane
        self.call_id = call_id
        self.sessions: dict[str, AiortcSession] = {}
        self.touched = True
        """Something has come or changed since the last tick."""
        self._active_at = 0.0
        self._speakers = ActiveSpeaker()

    @property
    def active_at(self) -> float:
        """See `MediaCall`."""
        return asyncio.get_running_loop().time() if self.touched else self._active_at

    def is_awake(self, now: float) -> bool:
        """Whether something came or changed a short time ago."""
        return self.touched or now <= self._active_at + AWAKE_SECONDS

    def join(
        self,
        participant_id: str,
        events: MediaEvents,
        *,
        can_publish: bool = True,
        can_subscribe: bool = True,
        client_offers: bool = False,
    ) -> AiortcSession:
        """Add a participant. Raises ValueError if the id is taken or cannot stand in SDP."""
        if participant_id in self.sessions:
            raise ValueError(f"participant {participant_id!r} is in the call already")
        if not _PARTICIPANT_ID.fullmatch(participant_id):
            raise ValueError(
                f"participant id {participant_id!r} must be 1 to 64 letters, digits, '_' or '-'"
            )
        session = AiortcSession(
            self,
            participant_id,
            events,
            can_publish=can_publish,
            can_subscribe=can_subscribe,
            client_offers=client_offers,
        )
        self.sessions[participant_id] = session
        session.tracks_changed()
        return session

    def published_to(self, subscriber: AiortcSession) -> Publishers:
        """Everybody's tracks but one's own, in the order of joining."""
        return {
            name: tracks
            for name, session in self.sessions.items()
            if session is not subscriber and (tracks := session.tracks)
        }

    def check_room_for_publisher(self) -> None:
        """Raises MediaError when a subscribe offer would grow past what signalling carries."""
        if sum(1 for s in self.sessions.values() if s.tracks) >= MAX_PUBLISHERS:
            raise MediaError(
                "full",
                f"{MAX_PUBLISHERS} participants of this call publish already.",
                "Join to listen, or publish after somebody has stopped.",
            )

    def check_room_for_screen(self) -> None:
        """Raises MediaError when as many screens are shown as a subscribe offer carries."""
        if sum(1 for s in self.sessions.values() if "screen" in s.tracks) >= MAX_SCREENS:
            raise MediaError(
                "full",
                f"{MAX_SCREENS} screens are shown in this call already.",
                "Share your screen after somebody has stopped.",
            )

    def check_present(self, participant_id: str) -> None:
        """Raises MediaError unless somebody of this id is in the call."""
        if participant_id not in self.sessions:
            raise MediaError(
                "bad_message",
                f"Nobody in this call has the id {participant_id!r}.",
                "Name a participant of the message `offer` or `participant`.",
            )

    def tick(self, now: float) -> None:
        """Ten times a second while it is awake: who speaks, and what each session has to do."""
        if self.touched:
            self.touched = False
            self._active_at = now
        levels = {name: session.take_loudest() for name, session in self.sessions.items()}
        if self._speakers.observe(levels):
            for session in list(self.sessions.values()):
                session.speaker_changed(self._speakers.speaker)
        for session in list(self.sessions.values()):
            session.tick(now)

    def tracks_changed(self) -> None:
        """Tell every session."""
        self.touched = True
        for session in list(self.sessions.values()):
            session.tracks_changed()

    def left(self, session: AiortcSession) -> None:
        """Forget a session that closes."""
        if self.sessions.get(session.participant_id) is session:
            del self.sessions[session.participant_id]

    async def close(self) -> None:
        """Close all sessions."""
        self.plane.forget(self)
        await asyncio.gather(*(session.close() for session in list(self.sessions.values())))


class AiortcPlane:
    """All calls of this process. One timer serves all sessions."""

    name = "python"
    threads = 1
    """That can be busy at a time."""

    def __init__(self, settings: MediaSettings) -> None:
        self.settings = settings
        self.certificate = Certificate.generateCertificate()
        bound = tuple(Advertised(address, "bound") for address in settings.addresses)
        self.media_port = self._new_port(settings.advertised or (lambda: bound))
        self.totals = self._new_totals()
        self.forwarding = self._new_forwarding()
        self.turns = Turns(asyncio.get_running_loop().time)
        self._calls: dict[str, AiortcCall] = {}
        self._meter = StressMeter(
            forwards_per_core=FORWARDS_PER_CORE[self.name],
            egress_bits_per_second=settings.egress_bits_per_second,
            cores=cores_allowed(read_cpu_max(), threads=self.threads),
        )
        self._timer: asyncio.TimerHandle | None = None
        self._ticks = 0
        self._last_tick = 0.0
        self._last_cpu = 0.0
        self._last_media_cpu = 0.0
        self._last = self.totals.snapshot()
        self._last_bytes = 0

    def _new_port(self, advertised: Callable[[], Sequence[Advertised]]) -> MediaPort:
        return MediaPort(advertised, consent_seconds=self.settings.consent_seconds)

    def _new_totals(self) -> Totals:
        return Totals()

    def _new_forwarding(self) -> Forwarding:
        clock = asyncio.get_running_loop().time
        return PythonForwarding(self.totals, self.settings.max_video_bitrate, clock)

    def _media_cpu_seconds(self) -> float:
        """CPU time of the thread that moves packets."""
        return time.thread_time()

    @property
    def port(self) -> int:
        """The number of the bound port."""
        return self.media_port.number

    async def start(self) -> None:
        """Bind the port, begin to measure stress and to report to publishers.

        Raises OSError if the port cannot be bound.
        """
        self.media_port.bind(self.settings.addresses, self.settings.port)
        loop = asyncio.get_running_loop()
        self._last_tick = loop.time()
        self._last_cpu = time.process_time()
        self._last_media_cpu = self._media_cpu_seconds()
        self._timer = loop.call_later(TICK_SECONDS, self._tick)

    def open_call(self, call_id: str) -> AiortcCall:
        """A new, empty call."""
        if call_id in self._calls:
            raise ValueError(f"call {call_id!r} is open already")
        call = self._calls[call_id] = AiortcCall(self, call_id)
        return call

    def forget(self, call: AiortcCall) -> None:
        """A call closes."""
        if self._calls.get(call.call_id) is call:
            del self._calls[call.call_id]

    def counters(self) -> MediaCounters:
        """Totals for metrics."""
        return replace(self.totals.snapshot(), dropped_datagrams=self.media_port.dropped())

    def stress(self) -> Stress:
        """Averages of the last seconds."""
        return self._meter.stress()

    async def close(self) -> None:
        """Close all calls and the port."""
        if self._timer is not None:
            self._timer.cancel()
        await asyncio.gather(*(call.close() for call in list(self._calls.values())))
        await self.media_port.close()

    def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        self._timer = loop.call_later(TICK_SECONDS, self._tick)
        self._measure(now)
        self._ticks += 1
        awake = [call for call in self._calls.values() if call.is_awake(now)]
        for call in awake:
            call.tick(now)
        sessions = chain.from_iterable(call.sessions.values() for call in awake)
        # Spread over the second, so that reports to many do not hold up packets.
        for session in islice(sessions, self._ticks % REPORT_TICKS, None, REPORT_TICKS):
            session.report(now)

    def _measure(self, now: float) -> None:
        cpu, media_cpu = time.process_time(), self._media_cpu_seconds()
        elapsed = now - self._last_tick
        self._meter.observe(
            elapsed=elapsed,
            received=self.totals.received_packets - self._last.received_packets,
            forwarded=self.totals.forwarded_packets - self._last.forwarded_packets,
            bytes_sent=self.totals.forwarded_bytes - self._last_bytes,
            cpu_seconds=cpu - self._last_cpu,
            media_cpu_seconds=media_cpu - self._last_media_cpu,
            late=max(elapsed - TICK_SECONDS, 0.0),
        )
        self._last_tick = now
        self._last_cpu = cpu
        self._last_media_cpu = media_cpu
        self._last = self.totals.snapshot()
        self._last_bytes = self.totals.forwarded_bytes
