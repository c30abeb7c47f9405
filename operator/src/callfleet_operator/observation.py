"""What the operator knows at one moment about one CallCluster or TurnPool.

`observe/` fills these from the cluster, Prometheus and the pods' admin ports; `plan/` and
`status/` read them. Unknown is never zero: a figure that is not known is an interval.

Seam with `observe/`: it makes one `Reading` a pod and source out of what Prometheus and the pod
itself said, and `plan.classify.judge` turns that into the pod's `PodLoad`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class Admission(StrEnum):
    """What a pod accepts, as its label `callfleet.dev/admission` says."""

    OPEN = "Open"
    CORDONED = "Cordoned"
    SEALED = "Sealed"


class Freshness(StrEnum):
    """How far the data of a pod can be trusted."""

    FRESH = "Fresh"
    STALE = "Stale"
    MISSING = "Missing"
    CONTRADICTORY = "Contradictory"


class Source(StrEnum):
    """Who gave the data of a pod."""

    PROMETHEUS = "Prometheus"
    POD_STATUS = "PodStatus"
    NONE = "None"


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure known to lie between two bounds, both included.

    Raises ValueError unless 0 <= low <= high and both are finite: `plan.classify.judge` makes
    an interval out of any reading, however broken.
    """

    low: float
    high: float

    def __post_init__(self) -> None:
        if not (0 <= self.low <= self.high < float("inf")):
            raise ValueError(f"no interval of a load: {self.low} to {self.high}")

    @classmethod
    def exactly(cls, value: float) -> Interval:
        """A figure that is known."""
        return cls(value, value)


class Process(StrEnum):
    """Whether a process of the pod can be alive, and so can hold a call.

    Everything but `POSSIBLE` is proof that nothing runs at the pod's resource version. A DELETE
    with that version as a precondition is refused if the pod was bound, started or restarted in
    the meantime.
    """

    POSSIBLE = "Possible"
    """A container runs, or it cannot be told."""
    NEVER_STARTED = "NeverStarted"
    """Not bound to a node, or the kubelet reports no container that was ever started."""
    STOPPED = "Stopped"
    """The kubelet reports every container as terminated or waiting for its next start."""
    ENDED = "Ended"
    """Phase Failed or Succeeded: nothing runs and nothing ever will."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What one source said about one pod at one time. Figures are as received, not yet judged."""

    source: Source
    at: datetime
    """When the figures were taken: the time of the oldest sample used."""
    uid: str
    """The pod that the figures speak of; empty when the source does not say."""
    used: float
    """Participants and pending joins, or allocations."""
    stress: float
    """The highest of the pod's stress ratios."""
    calls: float | None = None


@dataclass(frozen=True, slots=True)
class PodLoad:
    """How full one pod is.

    `used` counts participants and pending joins of an engine, allocations of a relay;
    `capacity` is in the same unit. `stress` is a ratio of what the pod can bear.
    Of a pod without trusted data `used` reaches from 0 to `capacity` and `stress` from 0 to 1.
    Raises ValueError if `capacity` is not positive.
    """

    used: Interval
    capacity: int
    stress: Interval
    freshness: Freshness
    source: Source
    calls: int | None = None
    reported: Freshness | None = None
    """How Prometheus' own data were judged where the pod's answer stands in for them."""

    def __post_init__(self) -> None:
        if self.capacity < 1:
            raise ValueError(f"a pod's capacity is at least 1, not {self.capacity}")

    @property
    def known(self) -> bool:
        """Fresh and from Prometheus: good enough to start a drain on."""
        return self.freshness is Freshness.FRESH and self.source is Source.PROMETHEUS


@dataclass(frozen=True, slots=True)
class FleetPod:
    """One engine or relay pod, as the API server shows it, with its load."""

    name: str
    uid: str
    resource_version: str
    ordinal: int
    revision: str
    node: str
    zone: str
    address: str
    """Pod IP; empty before it has one."""
    admission: Admission
    ready: bool
    failed: bool
    """Cannot serve without help: image missing, crash loop, phase Failed, unschedulable."""
    failure: str
    """Why, in Kubernetes' words; empty when not failed."""
    terminating: bool
    created: datetime
    ready_changed: datetime | None
    """When the condition Ready last changed; None while the pod has none."""
    drain_id: str
    drain_started: datetime | None
    load: PodLoad
    process: Process = Process.POSSIBLE
    drain_requested: bool = False
    """A person has asked for its drain, by the annotation `callfleet.dev/drain-requested`."""
    drain_reason: str = ""
    """Why it was cordoned, a constant of `plan.reasons`; empty when that was done by hand."""
    media_port: int | None = None
    """UDP port of an engine's media; None of one that was made without a fixed port."""
    external_address: str = ""
    """What the pod was told of its address for clients, with where it comes from."""
    sealed_by: frozenset[str] = frozenset()
    """Field managers that have put the label `callfleet.dev/sealed` on it."""


class MetricsProblem(StrEnum):
    """Why Prometheus cannot be relied on; reasons of the condition MetricsAvailable."""

    UNREACHABLE = "PrometheusUnreachable"
    UNAUTHORIZED = "PrometheusUnauthorized"
    ERROR = "PrometheusError"
    NO_DATA = "NoData"
    PARTIAL = "PartialData"


@dataclass(frozen=True, slots=True)
class MetricsHealth:
    """Whether Prometheus answers, and since when it does not."""

    problem: MetricsProblem | None = None
    detail: str = ""
    since: datetime | None = None


@dataclass(frozen=True, slots=True)
class CallDemand:
    """Calls of one CallCluster, as Prometheus saw them."""

    arrivals_per_second: float
    """Over the last minutes."""
    mean_duration_seconds: float
    """Of the calls that ended within the last hour."""
    mean_participants: float
    """Of the same calls."""
    hourly_arrivals_per_second: float | None = None
    """Over the last hour, as the means; None when not known."""


@dataclass(frozen=True, slots=True)
class Outlook:
    """What the participants of one CallCluster are expected to come to, and how far to trust it."""

    peak: float
    """The most of them within the horizon."""
    season: str
    """What it rests on: `day` or `week`."""
    error: float
    """Participants that forecasts of the same kind were off by, on average."""
    last_value_error: float
    """The same of the value at the time, had it been taken for the forecast."""
    judged: int
    """Past times that both were judged over."""

    @property
    def beats_last_value(self) -> bool:
        """Whether the forecast is of any use."""
        return self.error < self.last_value_error


@dataclass(frozen=True, slots=True)
class NoOutlook:
    """There is no forecast."""

    reason: str
    """Without a full stop: it stands in the middle of a message."""


@dataclass(frozen=True, slots=True)
class ConnectionFailures:
    """Allocation results of one TurnPool, counted once a user and minute, after authentication."""

    tried: int
    refused_for_capacity: int
    other_causes: dict[str, int] = field(default_factory=dict)
    """Failures that pods cannot cure, by outcome: unauthorized, expired, unsupported, ..."""
    since: datetime | None = None
    """Start of the time counted; `plan.relays.failure_window_start` says what it should be."""


@dataclass(frozen=True, slots=True)
class Connections:
    """How the attempts of participants to connect through one pod went, over the last minutes."""

    attempts: int
    failed: int


@dataclass(frozen=True, slots=True, eq=False)
class Observation:
    """Everything one decision depends on, apart from the spec and the memory.

    Each is one look and equal to no other: what is worked out of one is kept by its identity.
    """

    now: datetime
    pods: tuple[FleetPod, ...]
    metrics: MetricsHealth
    unavailable_nodes: frozenset[str] = frozenset()
    """Nodes that are cordoned or gone."""
    demand: CallDemand | None = None
    """Of a CallCluster; None when not known."""
    outlook: Outlook | NoOutlook = NoOutlook("it has not been asked for")
    """Of a CallCluster with a forecast."""
    failures: ConnectionFailures | None = None
    """Of a TurnPool; None when not known."""
    reported_open: int | None = None
    """`status.replicas.desired` of the custom resource as it stands; None before the first one."""
    hold_until: datetime | None = None
    """Annotation `callfleet.dev/hold-until`."""
    revisions: tuple[str, ...] = ()
    """Hashes of the pod templates that are known, oldest first; the last one is the update
    revision, which every pod shall have."""
    unwilling: frozenset[str] = frozenset()
    """Uids of draining pods that were told to take new calls again and have not done so."""
    connections: Mapping[str, Connections] = field(default_factory=dict)
    """By pod uid, while a rollout is under way; of a pod that is not in here nothing is known."""
    calls_failed: bool = False
    """The status says that the rollout of this update revision has stopped because calls on its
    pods fail more than on others."""

    @property
    def update_revision(self) -> str:
        """The revision that every pod shall have; empty when none is known."""
        return self.revisions[-1] if self.revisions else ""
