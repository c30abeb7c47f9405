"""What a decision consists of: the number, the trace that explains it, and the steps to take."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from callfleet_operator.observation import FleetPod
from callfleet_operator.plan.reasons import Stage


@dataclass(frozen=True, slots=True)
class Proposal:
    """How many open pods are asked for: at least `low`, and no fewer than `high` if pods are to
    be given up. Known data make both the same."""

    low: int
    high: int

    @classmethod
    def exactly(cls, number: int) -> Proposal:
        """A number that is the same whichever way one scales."""
        return cls(number, number)

    def at_least(self, number: int) -> Proposal:
        """This proposal with a floor under both ends."""
        return Proposal(max(self.low, number), max(self.high, number))

    def __str__(self) -> str:
        return str(self.low) if self.low == self.high else f"{self.low}..{self.high}"


@dataclass(frozen=True, slots=True)
class StageRecord:
    """One stage of the plan: what went in, what came out, and why."""

    stage: str
    before: Proposal
    after: Proposal
    reason: str
    """CamelCase constant of `plan.reasons`."""
    message: str


@dataclass(frozen=True, slots=True)
class Recommendation:
    """What the stages before stabilisation asked for at one time."""

    at: datetime
    asked: Proposal


@dataclass(frozen=True, slots=True)
class ScaleEvent:
    """A change of the number of open pods."""

    at: datetime
    change: int
    """Positive out, negative in."""


@dataclass(frozen=True, slots=True)
class FailureStep:
    """The latest scale-out because of refused users, until its effect is known."""

    at: datetime
    failure_ratio: float
    """Refused over tried at that time."""


@dataclass(frozen=True, slots=True)
class Memory:
    """What one decision leaves to the next one. It is lost with the operator, on purpose:
    a new leader seeds the window with the present number of open pods."""

    desired_open: int | None = None
    """What the fleet is being steered to; None before the first decision that steered."""
    recommendations: tuple[Recommendation, ...] = ()
    """Oldest first; at most about 60 a window."""
    scale_events: tuple[ScaleEvent, ...] = ()
    """Oldest first, for the rate limits."""
    failure_step: FailureStep | None = None
    ineffective_steps: int = 0
    """TurnPool: scale-outs in a row that did not lower the failures."""


class Steering(StrEnum):
    """How far the operator may touch the pods."""

    FULL = "Full"
    DRAINS_ONLY = "DrainsOnly"
    """DryRun: no pod is made or cordoned; drains under way finish."""
    NONE = "None"
    """Paused: no step at all."""


@dataclass(frozen=True, slots=True)
class Decision:
    """The number of open pods and how it came about."""

    present_open: int
    """What the fleet was steered to before this decision."""
    desired_open: int
    """What the fleet is steered to; equals the present number in DryRun and Paused."""
    would_scale_to: int
    """What Active mode would steer to."""
    asked: Proposal
    """What the load and the floors ask for, before windows, rates and bounds."""
    steering: Steering
    drain_above: int
    """Open pods beyond this number may be cordoned: `desired_open` when the data of every pod are
    known, else the upper bound of the spec."""
    limited: StageRecord | None
    """The stage that kept the number from what the load asks for."""
    trace: tuple[StageRecord, ...]
    scale_out_ineffective: bool = False
    """TurnPool: failures go on after the allowed number of steps, so no more are taken."""

    @property
    def changed(self) -> bool:
        """Whether the number is another one than before."""
        return self.desired_open != self.present_open

    @property
    def decisive(self) -> StageRecord:
        """The stage that explains the number best.

        Of a scale-out the last stage that raised the proposal, of a scale-in the window that has
        passed, of a moved bound the bounds. Of no change what kept the number: the last stage
        that moved it back, else a limit, else what the windows say.
        """
        stages = [record.stage for record in self.trace]
        settled = stages.index(Stage.STABILIZATION)
        number = self.trace[settled].after.low
        if self.present_open < min(self.desired_open, number):
            raised = [one for one in self.trace[:settled] if one.before.low < one.after.low]
            return raised[-1]
        if number < self.present_open > self.desired_open:
            return self.trace[settled]
        if self.changed:
            return self.trace[stages.index(Stage.BOUNDS)]
        moved = [one for one in self.trace[settled + 1 :] if one.before != one.after]
        return moved[-1] if moved else self.limited or self.trace[settled]


@dataclass(frozen=True, slots=True)
class Create:
    """Make the pod of an ordinal that no existing pod holds."""

    ordinal: int


@dataclass(frozen=True, slots=True)
class Cordon:
    """Label the pod Cordoned with a new drain id; the next round tells the pod itself."""

    pod: FleetPod
    reason: str
    """CamelCase constant of `plan.reasons`."""
    message: str


@dataclass(frozen=True, slots=True)
class Drain:
    """Tell a cordoned pod to refuse new calls, and ask it to seal itself if it has none left."""

    pod: FleetPod
    reconnect: bool = False
    """If it has some left, tell it to move them to other pods: its deadline has passed."""


@dataclass(frozen=True, slots=True)
class Undrain:
    """Tell a draining pod to take new calls again, then label it Open."""

    pod: FleetPod
    message: str


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete a pod that holds no call, with its uid and resource version as preconditions."""

    pod: FleetPod
    reason: str
    """CamelCase constant of `plan.reasons`."""


Step = Create | Cordon | Drain | Undrain | Delete
