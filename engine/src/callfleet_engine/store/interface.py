"""The store as the rest of the engine sees it: its operations, their values and their errors.

Rules that hold for every implementation:

- **Ownership.** A call is owned by one pod at a time. The owner writes with the call's *epoch*,
  which grows by one each time the call changes hands; whoever holds an older epoch can write
  nothing and gets `StaleOwner`.
- **One active call a room.** `initiate_call` and `take_over` return the route as it stands
  afterwards. The caller has won if `route.owner_uid` is its own; otherwise it forwards to that pod.
- **Repeatable.** Every operation may be repeated with the same arguments, for the answer to one
  may be lost with the connection. Only `update_turn_metrics` counts a repetition twice.
- **Time is the database's**, so that pods whose clocks differ agree about who is alive. Only the
  time of a quality sample is the measuring pod's.
- **Bounded.** Every operation ends within the settings' timeout, with a result or an error.
"""

# ruff: noqa: N818 (errors are named for what is the case: `except StaleOwner` reads as it is)
from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import ClassVar, Protocol

FIRST_EPOCH = 1
"""Of a call that has never changed hands."""

ROOM_LENGTH = 128
"""Most characters of a room's name."""
NAME_LENGTH = 256
"""Most characters of an identity, a participant's name, an address or a relay's URL."""
IDENTIFIER_LENGTH = 64
"""Most characters of a call's, a participant's or a pod's identifier, and of a reason."""


class Admission(StrEnum):
    """What a pod accepts, in the words of its status and metrics."""

    OPEN = "open"
    DRAINING = "draining"
    SEALED = "sealed"


@dataclass(frozen=True, slots=True)
class PodBeat:
    """What an engine pod says about itself in its heartbeat."""

    uid: str
    name: str
    address: str
    """Where other pods reach its signalling: `10.0.0.7` or `host:port`."""
    admission: Admission
    participants: int
    pending_joins: int
    capacity: int
    """Participants this pod is meant to bear."""
    release: str


@dataclass(frozen=True, slots=True)
class LivePod:
    """A pod that was heard of lately."""

    pod: PodBeat
    at: datetime
    """When, by the database's clock."""


@dataclass(frozen=True, slots=True)
class Owner:
    """The pod that is to host a call."""

    uid: str
    address: str


@dataclass(frozen=True, slots=True)
class CallRoute:
    """Where the participants of a call belong."""

    call_id: str
    room: str
    owner_uid: str
    owner_address: str
    epoch: int
    started_at: datetime
    released: bool = False
    """The owner has given the call up: whoever takes it over first has it."""


@dataclass(frozen=True, slots=True)
class Participant:
    """One person's presence in one call; who leaves and comes back is a new participant."""

    participant_id: str
    identity: str
    """`sub` of the join token."""
    name: str
    """For display; may be empty."""
    resume_digest: str = ""
    """By which the call's next owner knows the participant again; empty: it cannot."""


@dataclass(frozen=True, slots=True)
class Joining:
    """Somebody comes into a call, as its owner reports it."""

    call_id: str
    epoch: int
    participant: Participant


class Direction(StrEnum):
    """Of media, seen from the engine."""

    IN = "in"
    OUT = "out"


@dataclass(frozen=True, slots=True)
class QualitySample:
    """How one participant's media fared since the sample before. None means not known."""

    call_id: str
    epoch: int
    participant_id: str
    direction: Direction
    at: datetime
    """Aware; by the measuring pod's clock."""
    packets: int
    packets_lost: int
    jitter_seconds: float | None
    round_trip_seconds: float | None
    bits_per_second: float | None


@dataclass(frozen=True, slots=True)
class MetricsWritten:
    """What became of a batch of samples."""

    written: int
    refused: int
    """Samples of calls that have another owner by now, or are no longer kept."""


@dataclass(frozen=True, slots=True)
class TurnProbe:
    """The result of one try to use a relay."""

    server: str
    """URL as in `iceServers`, without credentials."""
    latency_seconds: float | None
    """None: the try failed."""


@dataclass(frozen=True, slots=True)
class Maintenance:
    """What one round of maintenance did; None when another pod is at it."""

    calls_abandoned: int
    """Ended because their owner has been silent for a day."""
    calls_rolled_up: int
    """Whose samples became hourly figures."""
    calls_deleted: int
    pods_deleted: int
    turn_hours_deleted: int


class StoreError(Exception):
    """Something the store could not do; the text says what to do about it."""

    code: ClassVar[str] = "internal"
    """Error code of signalling."""

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(f"{message} {remedy}")
        self.message = message
        self.remedy = remedy


class InvalidDatabaseUrl(StoreError):
    """The URL of the database is none the store can use. Never quotes the URL."""


class InvalidValue(StoreError, ValueError):
    """A text that no database column of ours can hold: too long, empty, or not valid Unicode."""

    code = "bad_message"


class StoreUnavailable(StoreError):
    """The database cannot be reached, refuses, or does not answer in time. Worth another try."""

    code = "store_unavailable"


class StoreFault(StoreError):
    """The database refused what only a fault of Callfleet, or damage, explains; see the cause."""


class IncompatibleSchema(StoreError):
    """The database was made by a release this one cannot work beside, or by another program."""


class NoActiveCall(StoreError):
    """No call with this identifier, or it has ended."""

    code = "unknown_call"


class StaleOwner(StoreError):
    """The call belongs to another owner by now; nothing was written."""

    code = "wrong_pod"

    def __init__(self, message: str, remedy: str, current: CallRoute | None) -> None:
        super().__init__(message, remedy)
        self.current = current
        """The call's route, None if it has ended."""


Observer = Callable[[str, float], None]
"""Called after each operation with its name and its duration in seconds, failed ones included."""


class Store(Protocol):
    """What engine pods remember together.

    Every operation may raise `StoreUnavailable`; works again by itself once the database does.
    """

    async def open(self) -> None:
        """Connect, and bring the schema up to date; only once when many pods start together.

        May be called again after a failure.

        Raises:
            StoreUnavailable: not reachable.
            IncompatibleSchema: see there.
        """
        ...

    async def close(self) -> None:
        """Close all connections. May be called at any time, and twice."""
        ...

    async def heartbeat(self, pod: PodBeat) -> None:
        """Say that the pod lives and how full it is. Every few seconds, also while sealed."""
        ...

    async def live_pods(self, within: timedelta) -> tuple[LivePod, ...]:
        """Pods heard of within this time, whatever their admission, by name."""
        ...

    async def initiate_call(self, room: str, owner: Owner) -> CallRoute:
        """Start a call in the room for this owner, unless one is active: then return its route."""
        ...

    async def get_active_call(
        self, *, room: str | None = None, call: str | None = None
    ) -> CallRoute | None:
        """The active call of a room, or with this identifier. Exactly one of the two is given."""
        ...

    async def take_over(self, call_id: str, epoch: int, new_owner: Owner) -> CallRoute:
        """Give the call a new owner if its epoch is still this one; return its present route.

        Participants stay recorded as present: the new owner reports those who do not return.

        Raises:
            NoActiveCall: unknown or ended.
        """
        ...

    async def release_call(self, call_id: str, epoch: int) -> CallRoute:
        """Give the call up if its epoch is still this one, for any pod to take over; return its
        present route. In any case the owner of this epoch can write nothing any more.

        Raises:
            NoActiveCall: unknown or ended.
        """
        ...

    async def present_participants(self, call_id: str) -> tuple[Participant, ...]:
        """Those recorded as present in the call, in the order in which they came."""
        ...

    async def join_call(self, call_id: str, epoch: int, participant: Participant) -> None:
        """Record a participant's arrival.

        Raises:
            NoActiveCall: unknown or ended.
            StaleOwner: the epoch is an older one.
        """
        ...

    async def join_calls(self, batch: Sequence[Joining]) -> tuple[Joining, ...]:
        """`join_call` for each of many, all at once.

        Those that it would refuse are returned in their order, and nothing is written of them.
        """
        ...

    async def leave_call(self, call_id: str, epoch: int, participant_id: str, reason: str) -> None:
        """Record a departure. Of a participant who has left already, or in a call this owner
        has ended, the first record stays.

        Raises:
            NoActiveCall: unknown.
            StaleOwner: the epoch is an older one.
        """
        ...

    async def end_call(self, call_id: str, epoch: int, reason: str) -> None:
        """End the call, and the presence of those still in it. The room is free again.

        Raises:
            NoActiveCall: unknown.
            StaleOwner: the epoch is an older one.
        """
        ...

    async def insert_metrics(self, batch: Sequence[QualitySample]) -> MetricsWritten:
        """Write quality samples in one transaction; at most 10,000.

        One call's lost ownership harms no other's samples: they are counted, not raised.
        """
        ...

    async def update_turn_metrics(self, probes: Sequence[TurnProbe]) -> None:
        """Add probe results to the present hour's figures of their relays; at most 1,000."""
        ...

    async def maintain(self) -> Maintenance | None:
        """Roll samples up by the hour, delete what is past its retention, end abandoned calls.

        Every pod may call it hourly; the database lets one at a time do it.
        """
        ...


class SampleBuffer(Protocol):
    """Collects quality samples between writes, so that measuring never waits for the database."""

    def add(self, sample: QualitySample) -> None:
        """Keep for the next write; when the buffer is full the oldest one is dropped."""
        ...

    @property
    def backlog(self) -> int:
        """Samples waiting (`callfleet_engine_store_backlog`)."""
        ...

    @property
    def dropped(self) -> int:
        """Samples lost to a full buffer since the start."""
        ...
