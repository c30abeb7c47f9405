"""What `callfleet simulate` shows. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any, Final

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from callfleet_operator.cli.views.words import UNKNOWN, moment
from callfleet_operator.simulate.comparison import Comparison
from callfleet_operator.simulate.replay import HOURS_A_MONTH, TICK_SECONDS, Outcome

MOST_POINTS: Final = 1440
"""Of each fleet, for programs."""


def rows(comparison: Comparison) -> list[list[str]]:
    """A header, and a line a fleet."""
    cost = comparison.spec.cost
    head = ["", "pods", "mean", "pod hours", "calls blocked", "calls cut", "people cut off"]
    lines = [
        [
            one.name,
            f"{one.least_pods} to {one.most_pods}",
            f"{one.mean_pods:.1f}",
            f"{one.pod_hours:.1f}",
            f"{one.blocked} ({_share(one.blocked_share)})",
            str(one.cut),
            str(one.cut_participants),
        ]
        for one in comparison.outcomes
    ]
    if cost.pod_monthly:
        head.append(f"cost, {cost.currency}")
        for line, one in zip(lines, comparison.outcomes, strict=True):
            line.append(str(one.cost(cost.pod_monthly)))
    return [head, *lines]


def screen(comparison: Comparison) -> RenderableType:
    """For people."""
    head, *lines = rows(comparison)
    table = Table(box=None, pad_edge=False)
    for number, name in enumerate(head):
        table.add_column(name, justify="right" if number else "left", no_wrap=not number)
    for line in lines:
        table.add_row(*line)
    return Group(
        Text(comparison.title, style="bold"),
        *map(Text, _facts(comparison)),
        "",
        table,
        *(Text(f"\n{note}") for note in comparison.notes),
    )


def _facts(comparison: Comparison) -> Iterator[str]:
    traffic, given, cost = comparison.traffic, comparison.given, comparison.spec.cost
    end = traffic.start + timedelta(seconds=traffic.length)
    yield (
        f"{moment(traffic.start)} to {moment(end)}: {len(traffic.under_way)} calls under way, "
        f"{len(traffic.calls)} that begin, {traffic.mean_participants:.3g} people and "
        f"{traffic.mean_duration / 60:.1f} minutes each in the mean."
    )
    yield (
        f"A pod takes {comparison.spec.capacity.participants_per_pod} people and starts in "
        f"{given.start_seconds:g} s. HPA and KEDA: target {given.hpa_target_percent} %, "
        f"{given.grace_seconds:g} s of grace. Seed {given.seed}."
    )
    if cost.pod_monthly:
        yield f"Cost: {cost.pod_monthly} {cost.currency} a pod and month of {HOURS_A_MONTH} hours."


def for_programs(comparison: Comparison) -> dict[str, Any]:
    """For programs; what is not known is null."""
    traffic, given, cost = comparison.traffic, comparison.given, comparison.spec.cost
    return {
        "version": 1,
        "object": comparison.title,
        "start": moment(traffic.start),
        "seconds": traffic.length,
        "calls": len(traffic.calls),
        "callsAtStart": len(traffic.under_way),
        "meanParticipants": traffic.mean_participants,
        "meanCallSeconds": traffic.mean_duration,
        "startSeconds": given.start_seconds,
        "hpaTargetPercent": given.hpa_target_percent,
        "graceSeconds": given.grace_seconds,
        "seed": given.seed,
        "notes": list(comparison.notes),
        "currency": cost.currency if cost.pod_monthly else None,
        "outcomes": [_outcome(one, cost.pod_monthly) for one in comparison.outcomes],
    }


def _outcome(one: Outcome, pod_monthly: str) -> dict[str, Any]:
    cost = one.cost(pod_monthly)
    every = -(-len(one.points) // MOST_POINTS)
    return {
        "name": one.name,
        "leastPods": one.least_pods,
        "mostPods": one.most_pods,
        "meanPods": round(one.mean_pods, 3),
        "podHours": round(one.pod_hours, 3),
        "blockedCalls": one.blocked,
        "blockedShare": one.blocked_share,
        "cutCalls": one.cut,
        "cutParticipants": one.cut_participants,
        "cost": None if cost is None else str(cost),
        "everySeconds": every * TICK_SECONDS,
        "pods": [point.pods for point in one.points[::every]],
        "open": [point.open for point in one.points[::every]],
        "participants": [point.participants for point in one.points[::every]],
    }


def _share(share: float | None) -> str:
    if share is None:
        return UNKNOWN
    return f"{share:.0%}" if share in (0, 1) else f"{share:.2%}"
