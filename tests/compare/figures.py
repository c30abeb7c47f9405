"""What one side came to, from what was seen of its pods and what its people met."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Any

Event = dict[str, Any]
Json = dict[str, Any]


LOOKED_LATE_SECONDS = 5.0
"""A pod may have been told to end so long before somebody looked."""


@dataclass(frozen=True)
class Pod:
    """An engine pod."""

    name: str
    ready: bool
    ending: bool
    """It was told to end."""


@dataclass(frozen=True)
class Look:
    """The pods of a side at one moment."""

    at: float
    """Seconds since the load began."""
    pods: tuple[Pod, ...]
    """All that exist: those that start, serve, drain and end."""

    @property
    def serving(self) -> int:
        """Ready, and not told to end."""
        return sum(pod.ready and not pod.ending for pod in self.pods)


@dataclass(frozen=True)
class Figures:
    """One column of the table."""

    calls: int
    participants: int
    cut_calls: int
    cut_participants: int
    """Disconnected against their will as their pod was ended, or had been."""
    lost_participants: int
    """Disconnected on a pod that served on: for want of CPU, most likely."""
    refusals: int
    """Answers to a join that refused it."""
    refused_participants: int
    """People who were refused at least once."""
    turned_away: int
    """Those of them who never got in."""
    longest_wait_seconds: float
    """From the first refusal to being in the call, of those who got in."""
    refusal_codes: dict[str, int]
    peak_pods: int
    pod_seconds: float
    peak_serving: int
    settled_after_seconds: float | None
    """From the moment fewer calls were wanted to the last change in the number of pods; None: none
    was seen after it."""
    pods_at_the_end: int
    packets: int
    missing: int


def figures(
    looks: Sequence[Look],
    events: Sequence[Event],
    report: Json,
    *,
    began: datetime,
    seconds: float,
    falls_after: float,
) -> Figures:
    """Sum a run up. `began` is when the load did, `seconds` the length of the run, `falls_after`
    when fewer calls were wanted.

    Raises ValueError if the pods were not looked at within the run.
    """
    seen = [look for look in looks if 0 <= look.at <= seconds]
    if not seen:
        raise ValueError("the pods of this side were never seen")
    by_kind: dict[str, list[Event]] = {
        kind: [event for event in events if event["event"] == kind]
        for kind in ("joined", "disconnected", "refused")
    }
    ends = _ends(seen)
    cut = [
        event
        for event in by_kind["disconnected"]
        if _seconds(event, began) >= ends.get(event["pod"], math.inf) - LOOKED_LATE_SECONDS
    ]
    waits, turned_away = _waits(by_kind["refused"], by_kind["joined"])
    return Figures(
        calls=len({event["call"] for event in by_kind["joined"]}),
        participants=len(by_kind["joined"]),
        cut_calls=len({event["call"] for event in cut}),
        cut_participants=len(cut),
        lost_participants=len(by_kind["disconnected"]) - len(cut),
        refusals=len(by_kind["refused"]),
        refused_participants=len({event["identity"] for event in by_kind["refused"]}),
        turned_away=turned_away,
        longest_wait_seconds=round(max(waits, default=0.0), 1),
        refusal_codes=dict(Counter(event["code"] for event in by_kind["refused"])),
        peak_pods=max(len(look.pods) for look in seen),
        pod_seconds=round(_area(seen, seconds)),
        peak_serving=max(look.serving for look in seen),
        settled_after_seconds=_settled_after(seen, falls_after),
        pods_at_the_end=len(seen[-1].pods),
        packets=int(report["packets"]),
        missing=int(report["missing"]),
    )


def _area(looks: Sequence[Look], end: float) -> float:
    """Pods times seconds: what was seen counts until the next look."""
    until = [*(look.at for look in looks[1:]), end]
    first = len(looks[0].pods) * looks[0].at  # before anybody looked
    return first + sum(
        len(look.pods) * (then - look.at) for look, then in zip(looks, until, strict=True)
    )


def _settled_after(looks: Sequence[Look], falls_after: float) -> float | None:
    changes = [
        later.at
        for earlier, later in pairwise(looks)
        if len(later.pods) != len(earlier.pods) and later.at > falls_after
    ]
    return round(changes[-1] - falls_after) if changes else None


def _ends(looks: Sequence[Look]) -> dict[str, float]:
    """When each pod that did not stay was first seen to end, or not seen any more."""
    ends: dict[str, float] = {}
    for earlier, later in pairwise(looks):
        staying = {pod.name for pod in later.pods if not pod.ending}
        for pod in earlier.pods:
            if pod.name not in staying:
                ends.setdefault(pod.name, later.at)
    return ends


def _seconds(event: Event, began: datetime) -> float:
    return (datetime.fromisoformat(event["at"]) - began).total_seconds()


def _waits(refused: Sequence[Event], joined: Sequence[Event]) -> tuple[list[float], int]:
    """Seconds that people waited who got in, and how many did not."""
    first: dict[str, datetime] = {}
    for event in refused:
        first.setdefault(event["identity"], datetime.fromisoformat(event["at"]))
    came = {event["identity"]: datetime.fromisoformat(event["at"]) for event in joined}
    waits = [(came[who] - at).total_seconds() for who, at in first.items() if who in came]
    return waits, sum(who not in came for who in first)
