"""What a decision consists of: the number, the trace that explains it, and the steps to take."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from callfleet_operator.observation import FleetPod


@dataclass(frozen=True, slots=True)
class StageRecord:
    """One stage of the plan: what went in, what came out, and why."""

    stage: str
    before: int
    after: int
    reason: str
    """CamelCase constant."""
    message: str


@dataclass(frozen=True, slots=True)
class Recommendation:
    """What the stages before stabilisation asked for at one time: both ends of the interval."""

    at: datetime
    low: int
    high: int


@dataclass(frozen=True, slots=True)
class Memory:
    """What one decision leaves to the next one. It is lost with the operator, on purpose:
    a new leader seeds the window with the present number of open pods."""

    recommendations: tuple[Recommendation, ...] = ()
    scale_events: tuple[tuple[datetime, int], ...] = ()
    """Times and signed sizes of the latest changes, for the rate limits."""
    ineffective_steps: int = 0
    """TurnPool: scale-outs in a row that did not lower the failures."""


@dataclass(frozen=True, slots=True)
class Decision:
    """The number of open pods and how it came about."""

    desired_open: int
    """What the fleet is steered to; equals the present number in DryRun and Paused."""
    would_scale_to: int
    """What Active mode would steer to."""
    limited: StageRecord | None
    """The stage that kept the number from what the load asks for."""
    trace: tuple[StageRecord, ...]


@dataclass(frozen=True, slots=True)
class Create:
    """Make the pod of an ordinal that no existing pod holds."""

    ordinal: int


@dataclass(frozen=True, slots=True)
class Cordon:
    """Label the pod Cordoned with a new drain id; the next round tells the pod itself."""

    pod: FleetPod
    why: str


@dataclass(frozen=True, slots=True)
class Drain:
    """Tell a cordoned pod to refuse new calls, and ask it to seal itself if it has none left."""

    pod: FleetPod


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete a sealed pod, with its uid and resource version as preconditions."""

    pod: FleetPod


Step = Create | Cordon | Drain | Delete
