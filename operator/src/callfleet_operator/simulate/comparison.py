"""Several fleets over the same calls, side by side."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from callfleet_operator.api.v1alpha1 import CallClusterSpec
from callfleet_operator.api.v1alpha1.common import Mode
from callfleet_operator.simulate.replay import (
    Assumptions,
    Outcome,
    operated,
    with_hpa,
    with_keda,
)
from callfleet_operator.simulate.traffic import Traffic

PRESENT: Final = "Callfleet, as it is"
CHANGED: Final = "Callfleet, changed"


@dataclass(frozen=True, slots=True)
class Comparison:
    """What a replay has shown."""

    title: str
    """The object in a sentence."""
    spec: CallClusterSpec
    """The changed one, if there is one."""
    traffic: Traffic
    given: Assumptions
    outcomes: tuple[Outcome, ...]
    notes: tuple[str, ...]
    """What to know before these figures are believed."""


def compare(
    title: str,
    spec: CallClusterSpec,
    traffic: Traffic,
    given: Assumptions,
    *,
    present: CallClusterSpec | None = None,
    notes: tuple[str, ...] = (),
) -> Comparison:
    """Replay the calls on each fleet. `present` is the spec before a change, if there is one."""
    outcomes = [
        operated(spec, traffic, given, name=CHANGED if present else "Callfleet"),
        with_hpa(spec, traffic, given),
        with_keda(spec, traffic, given),
    ]
    if present is not None:
        outcomes.insert(0, operated(present, traffic, given, name=PRESENT))
    return Comparison(
        title=title,
        spec=spec,
        traffic=traffic,
        given=given,
        outcomes=tuple(outcomes),
        notes=(*notes, *_notes(spec, traffic)),
    )


def _notes(spec: CallClusterSpec, traffic: Traffic) -> Iterator[str]:
    if traffic.too_steep:
        yield (
            f"For {traffic.too_steep:.0%} of the time the participants of the history fall faster "
            f"than calls of {traffic.mean_duration:.0f} s end: the replay carries more of them "
            "then. Name a shorter mean duration if that is not so."
        )
    if spec.mode is not Mode.ACTIVE:
        yield f"The spec's mode is {spec.mode}: the number of pods is not free to follow the load."
    if not traffic.calls:
        yield "No call begins in this time."
