"""One CallCluster or TurnPool as `callfleet status` sees it. Unknown is never 0."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from typing import Any, Final

from callfleet_operator.api.v1alpha1 import CallCluster, TurnPool
from callfleet_operator.api.v1alpha1.common import Condition
from callfleet_operator.cli.views.live import Live
from callfleet_operator.observation import (
    Admission,
    FleetPod,
    Freshness,
    Interval,
    PodLoad,
    Source,
)
from callfleet_operator.observe.pods import member, ordinal_of, seen_pod
from callfleet_operator.plan.classify import carried
from callfleet_operator.plan.fleet import holds_nothing
from callfleet_operator.render.fleet import Component
from callfleet_operator.status.history import Recorded
from callfleet_operator.status.table import documented

HOLD_UNTIL: Final = "callfleet.dev/hold-until"
HOLD_NOTE: Final = "callfleet.dev/hold-note"
MODE_NOTE: Final = "callfleet.dev/mode-note"
_GOOD_WHEN_TRUE: Final = frozenset(
    {"Ready", "Accepted", "MetricsAvailable", "ScalingActive", "CredentialsCurrent", "AddressKnown"}
)
_SHOWN_BY_PODS: Final = frozenset({"Draining", "ReconciliationPaused"})
"""What these say is in the list of pods, or the same as ScalingActive."""


@dataclass(frozen=True, slots=True)
class PodView:
    """One pod."""

    name: str
    state: str
    """Open, Starting, Failing, Draining, Sealed or Ending."""
    used: int | None
    calls: int | None
    percent: float | None
    """Of its capacity, or its stress where that is higher."""
    node: str
    created: datetime
    detail: str
    """Why it fails, or why it drains."""
    draining_since: datetime | None = None


@dataclass(frozen=True, slots=True)
class ConditionView:
    """A condition that is not as it should be."""

    type: str
    status: str
    reason: str
    message: str
    since: datetime
    warning: bool
    """Whether somebody has to do something."""


@dataclass(frozen=True, slots=True)
class FleetView:
    """One object with everything that is shown of it."""

    kind: str
    namespace: str
    name: str
    mode: str
    note: str
    """Who changed the mode or holds the number, and why."""
    hold_until: str
    desired: int | None
    """None as long as the operator has not reported."""
    open: int | None
    draining: int | None
    minimum: int
    maximum: int
    would_scale_to: int | None
    used: int | None
    """As reported, rounded to five points of utilisation."""
    percent: int | None
    failure_percent: int | None
    attempts: int | None
    capacity: int
    """Of one pod."""
    pods: tuple[PodView, ...]
    conditions: tuple[ConditionView, ...]
    decisions: tuple[Recorded, ...]
    """Newest first."""
    unknown: tuple[str, ...]
    """Why something is not known."""

    @property
    def unit(self) -> str:
        """What a pod carries."""
        return "participants" if self.kind == "CallCluster" else "allocations"


def fleet_view(
    body: Mapping[str, Any],
    pods: Iterable[Mapping[str, Any]],
    live: Mapping[str, Live],
    decisions: Iterable[Recorded],
    unknown: Iterable[str] = (),
) -> FleetView:
    """Out of the object, its pods, what they say of themselves (by uid), and the kept decisions.

    Raises pydantic.ValidationError if the object has another shape than this release knows.
    """
    resource = (
        CallCluster.model_validate(body)
        if body["kind"] == "CallCluster"
        else TurnPool.model_validate(body)
    )
    spec, metadata, status = resource.spec, resource.metadata, resource.status
    if isinstance(resource, CallCluster):
        component, capacity = Component.ENGINE, resource.spec.capacity.participants_per_pod
        used, percent = resource.status.participants, resource.status.utilization_percent
        failure_percent = attempts = None
    else:
        component, capacity = Component.RELAY, resource.spec.quota.allocations_per_pod
        used, percent = resource.status.allocations, resource.status.saturation_percent
        failure_percent, attempts = resource.status.failure_percent, resource.status.attempts
    reported = bool(status.conditions)
    notes = (metadata.annotations.get(name, "") for name in (MODE_NOTE, HOLD_NOTE))
    return FleetView(
        kind=body["kind"],
        namespace=metadata.namespace,
        name=metadata.name,
        mode=spec.mode.value,
        note="; ".join(filter(None, notes)),
        hold_until=metadata.annotations.get(HOLD_UNTIL, ""),
        desired=status.replicas.desired if reported else None,
        open=status.replicas.open if reported else None,
        draining=status.replicas.draining if reported else None,
        minimum=spec.scaling.min_replicas,
        maximum=spec.scaling.max_replicas,
        would_scale_to=status.would_scale_to,
        used=used,
        percent=percent,
        failure_percent=failure_percent,
        attempts=attempts,
        capacity=capacity,
        pods=tuple(
            _pod(pod, metadata.uid, f"{metadata.name}-{component}", capacity, live) for pod in pods
        ),
        conditions=tuple(notable(status.conditions)),
        decisions=tuple(decisions)[::-1],
        unknown=tuple(unknown),
    )


def notable(conditions: Iterable[Condition]) -> Iterable[ConditionView]:
    """The conditions that are not as they should be, warnings first."""
    found = []
    for one in conditions:
        warning = _is_warning(one)
        expected = "True" if one.type in _GOOD_WHEN_TRUE else "False"
        off = one.status != expected and one.type not in _SHOWN_BY_PODS
        if warning or off or (one.type, one.reason) in _REMARKS:
            found.append(
                ConditionView(
                    one.type,
                    one.status,
                    one.reason,
                    one.message,
                    one.last_transition_time,
                    warning,
                )
            )
    return sorted(found, key=lambda one: not one.warning)


_REMARKS: Final = frozenset(
    {
        ("ScalingActive", "ScaleOutOnly"),
        ("ScalingActive", "PartialData"),
        ("Progressing", "OutdatedPodsKept"),
        ("Draining", "Reconnecting"),
    }
)
"""Reasons worth knowing although the condition's status is as it should be, or says no more than
the list of pods."""


def _is_warning(one: Condition) -> bool:
    try:
        return documented(one.type, one.reason).warning
    except (KeyError, ValueError):
        # Of a newer operator: what is not as it should be counts as a warning.
        return one.status != ("True" if one.type in _GOOD_WHEN_TRUE else "False")


def _pod(
    body: Mapping[str, Any], owner: str, prefix: str, capacity: int, live: Mapping[str, Live]
) -> PodView:
    figures = live.get(body["metadata"]["uid"], Live())
    pod = member(
        seen_pod(body),
        ordinal=ordinal_of(body["metadata"]["name"], prefix) or 0,
        owned=any(one.get("uid") == owner for one in body["metadata"].get("ownerReferences") or []),
        zone="",
        load=_load(figures, capacity),
    )
    empty = holds_nothing(pod)
    used = int(carried(pod).high) if empty else figures.used
    return PodView(
        name=pod.name,
        state=_state(pod),
        used=used,
        calls=0 if empty else figures.calls,
        percent=0.0 if empty else _percent(figures, capacity),
        node=pod.node,
        created=pod.created,
        detail=_detail(pod, body["metadata"]),
        draining_since=pod.drain_started,
    )


def _load(figures: Live, capacity: int) -> PodLoad:
    if figures.used is None:
        return PodLoad(
            Interval(0, capacity), capacity, Interval(0, 1), Freshness.MISSING, Source.NONE
        )
    return PodLoad(
        Interval.exactly(figures.used),
        capacity,
        Interval.exactly(figures.stress or 0),
        Freshness.FRESH,
        Source.POD_STATUS,
    )


def _percent(figures: Live, capacity: int) -> float | None:
    if figures.used is None or figures.stress is None:
        return None
    return max(float(Fraction(figures.used * 100, capacity)), figures.stress * 100)


def _state(pod: FleetPod) -> str:
    if pod.admission is Admission.SEALED:
        return "Sealed"
    if pod.terminating:
        return "Ending"
    if pod.admission is Admission.CORDONED:
        return "Draining"
    if pod.failed and not pod.ready:
        return "Failing"
    return "Open" if pod.ready else "Starting"


def _detail(pod: FleetPod, metadata: Mapping[str, Any]) -> str:
    if pod.failed and not pod.ready:
        return pod.failure
    note = (metadata.get("annotations") or {}).get("callfleet.dev/drain-requested", "")
    if pod.drain_requested:
        asked = f"asked for by {note}" if note else "asked for"
        return asked if pod.admission is Admission.CORDONED else f"drain {asked}, waits its turn"
    return pod.drain_reason if pod.admission is Admission.CORDONED else ""
