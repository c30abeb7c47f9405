"""What is worth a write of the status, and what is worth an event."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Literal

from callfleet_operator.api.v1alpha1.common import Condition
from callfleet_operator.plan.decision import Decision, Steering
from callfleet_operator.status.table import documented

FIGURES_AT_MOST_EVERY: Final = timedelta(seconds=60)
_FIGURES: Final = frozenset(
    {
        "participants",
        "utilizationPercent",
        "allocations",
        "saturationPercent",
        "failurePercent",
        "attempts",
    }
)
"""Fields that change with the load; messages carry figures as well."""


def worth_writing(
    previous: Mapping[str, Any],
    status: Mapping[str, Any],
    *,
    last_written: datetime | None,
    now: datetime,
) -> bool:
    """Whether a status is to be written: at once when a decision, a condition or a pod changed,
    at most once a minute when only figures or the words of a message did, else never.

    Both are JSON bodies as the API server has them; `last_written` is None when not known.
    """
    if previous == status:
        return False
    if _significant(previous) != _significant(status):
        return True
    return last_written is None or not timedelta(0) <= now - last_written < FIGURES_AT_MOST_EVERY


def _significant(status: Mapping[str, Any]) -> dict[str, Any]:
    kept = {name: value for name, value in status.items() if name not in _FIGURES}
    kept["conditions"] = [
        {name: value for name, value in one.items() if name != "message"}
        for one in status.get("conditions", ())
    ]
    return kept


@dataclass(frozen=True, slots=True)
class Event:
    """A Kubernetes event on the object."""

    type: Literal["Normal", "Warning"]
    reason: str
    message: str


def events(
    previous: Iterable[Condition], present: Iterable[Condition], decision: Decision
) -> tuple[Event, ...]:
    """Events of one round, on change only: a new number of open pods, and conditions whose status
    or reason changed. A condition that is seen first is reported only if it is a warning."""
    former = {one.type: (one.status, one.reason) for one in previous}
    changed = []
    for one in present:
        warning = documented(one.type, one.reason).warning
        before = former.get(one.type)
        if before == (one.status, one.reason) or (before is None and not warning):
            continue
        changed.append(Event("Warning" if warning else "Normal", one.reason, _said(one)))
    return (*_scaled(decision), *changed)


def _said(condition: Condition) -> str:
    return f"{condition.type} is {condition.status}: {condition.message}"[:1024]


def _scaled(decision: Decision) -> Iterable[Event]:
    if decision.steering is not Steering.FULL or not decision.changed:
        return
    reason = "ScalingOut" if decision.desired_open > decision.present_open else "ScalingIn"
    message = (
        f"{decision.present_open} to {decision.desired_open} open pods: {decision.decisive.message}"
    )
    yield Event("Normal", reason, message[:1024])
