"""What the conditions of one object are made of."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Generic, TypeVar

from callfleet_operator.api.v1alpha1 import CallClusterSpec, TurnPoolSpec
from callfleet_operator.observation import FleetPod, Freshness, Observation
from callfleet_operator.plan.classify import carried, classify
from callfleet_operator.plan.decision import Decision
from callfleet_operator.plan.fleet import Fleet, fleet_of
from callfleet_operator.status.documented import ConditionStatus, ConditionType
from callfleet_operator.status.facts import Facts
from callfleet_operator.status.table import documented

SETTLING: Final = timedelta(seconds=60)
"""How long a pod that has become ready may be without data before a condition speaks of it:
Prometheus has to find and scrape it first."""
_MOST_ITEMS: Final = 5
_LONGEST_ITEM: Final = 300

Spec = TypeVar("Spec", CallClusterSpec, TurnPoolSpec)


@dataclass(frozen=True, slots=True)
class Case(Generic[Spec]):
    """One object at one moment."""

    spec: Spec
    observation: Observation
    decision: Decision
    facts: Facts
    fleet: Fleet
    unknown: tuple[FleetPod, ...]
    """Pods of unknown load, without those that settle."""

    @classmethod
    def of(
        cls, spec: Spec, observation: Observation, decision: Decision, facts: Facts
    ) -> Case[Spec]:
        """Sort the pods once for all conditions."""
        fleet = fleet_of(observation)
        load, _ = classify(fleet, decision.present_open)
        starting = {pod.uid for pod in fleet.starting}
        settled = tuple(
            pod
            for pod in load.unknown
            if pod.uid not in starting and not _has_just_begun(pod, observation.now)
        )
        return cls(spec, observation, decision, facts, fleet, settled)

    @property
    def silent(self) -> tuple[FleetPod, ...]:
        """Pods that neither Prometheus nor they themselves say anything sound of."""
        return tuple(pod for pod in self.unknown if pod.load.freshness is not Freshness.FRESH)

    @property
    def serving(self) -> int:
        """Open pods that are ready, those on unavailable nodes too."""
        return len(self.fleet.ready) + sum(1 for pod in self.fleet.displaced if pod.ready)


AnyCase = Case[CallClusterSpec] | Case[TurnPoolSpec]


def _has_just_begun(pod: FleetPod, now: datetime) -> bool:
    return pod.ready and pod.ready_changed is not None and now - pod.ready_changed < SETTLING


@dataclass(frozen=True, slots=True)
class Finding:
    """A condition before it is known since when it holds."""

    type: ConditionType
    reason: str
    message: str

    @property
    def status(self) -> ConditionStatus:
        """The status that the table gives to the reason."""
        return documented(self.type, self.reason).status


def finding(type_: ConditionType, reason: str, text: str, *, remedy: str | None = None) -> Finding:
    """A condition whose message ends with what to do: `remedy`, else the table's."""
    advice = documented(type_, reason).remedy if remedy is None else remedy
    return Finding(type_, reason, f"{text} {advice}".strip())


def few(items: Sequence[str]) -> str:
    """A list for a message, the first few of it."""
    shown = "; ".join(short(item) for item in items[:_MOST_ITEMS])
    return shown if len(items) <= _MOST_ITEMS else f"{shown}; {len(items) - _MOST_ITEMS} more"


def short(text: str) -> str:
    """A text from elsewhere, cut to what a message bears."""
    return text if len(text) <= _LONGEST_ITEM else f"{text[:_LONGEST_ITEM]}..."


def utc(time: datetime) -> str:
    """A time for a message. Messages give times, not durations, which would change every tick."""
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def left_on(case: AnyCase, some: Iterable[FleetPod]) -> str:
    """What pods still carry: `14 participants in 3 calls`, `0 to 150 allocations`."""
    ends = [(carried(pod), pod.load.calls) for pod in some]
    low = round(sum(used.low for used, _ in ends))
    high = round(sum(used.high for used, _ in ends))
    unit = "allocation" if isinstance(case.spec, TurnPoolSpec) else "participant"
    span = f"{low}" if low == high else f"{low} to {high}"
    text = f"{span} {unit}{'' if high == 1 else 's'}"
    calls = [number for _, number in ends if number is not None]
    if not calls or len(calls) < len(ends):
        return text
    return f"{text} in {sum(calls)} call{'' if sum(calls) == 1 else 's'}"


def pods(number: int, kind: str = "") -> str:
    """`1 pod`, `3 open pods`."""
    noun = "pod" if number == 1 else "pods"
    return f"{number} {kind} {noun}" if kind else f"{number} {noun}"
