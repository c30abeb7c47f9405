"""What one side came to, from what was seen of its pods and what its people met."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Any

Event = dict[str, Any]
Json = dict[str, Any]


@dataclass(frozen=True)
class Look:
    """The pods of a side at one moment."""

    at: float
    """Seconds since the load began."""
    pods: int
    """All that exist: those that start, serve, drain and end."""
    serving: int
    """Ready, and not told to end."""


@dataclass(frozen=True)
class Figures:
    """One column of the table."""

    calls: int
    participants: int
    cut_calls: int
    cut_participants: int
    """Disconnected against their will."""
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
    seconds: float,
    falls_after: float,
) -> Figures:
    """Sum a run up. `seconds` is its length, `falls_after` when fewer calls were wanted.

    Raises ValueError if the pods were not looked at within the run.
    """
    seen = [look for look in looks if 0 <= look.at <= seconds]
    if not seen:
        raise ValueError("the pods of this side were never seen")
    by_kind: dict[str, list[Event]] = {
        kind: [event for event in events if event["event"] == kind]
        for kind in ("joined", "disconnected", "refused")
    }
    waits, turned_away = _waits(by_kind["refused"], by_kind["joined"])
    return Figures(
        calls=len({event["call"] for event in by_kind["joined"]}),
        participants=len(by_kind["joined"]),
        cut_calls=len({event["call"] for event in by_kind["disconnected"]}),
        cut_participants=len(by_kind["disconnected"]),
        refusals=len(by_kind["refused"]),
        refused_participants=len({event["identity"] for event in by_kind["refused"]}),
        turned_away=turned_away,
        longest_wait_seconds=round(max(waits, default=0.0), 1),
        refusal_codes=dict(Counter(event["code"] for event in by_kind["refused"])),
        peak_pods=max(look.pods for look in seen),
        pod_seconds=round(_area(seen, seconds)),
        peak_serving=max(look.serving for look in seen),
        settled_after_seconds=_settled_after(seen, falls_after),
        pods_at_the_end=seen[-1].pods,
        packets=int(report["packets"]),
        missing=int(report["missing"]),
    )


def _area(looks: Sequence[Look], end: float) -> float:
    """Pods times seconds: what was seen counts until the next look."""
    until = [*(look.at for look in looks[1:]), end]
    first = looks[0].pods * looks[0].at  # before anybody looked
    return first + sum(
        look.pods * (then - look.at) for look, then in zip(looks, until, strict=True)
    )


def _settled_after(looks: Sequence[Look], falls_after: float) -> float | None:
    changes = [
        later.at
        for earlier, later in pairwise(looks)
        if later.pods != earlier.pods and later.at > falls_after
    ]
    return round(changes[-1] - falls_after) if changes else None


def _waits(refused: Sequence[Event], joined: Sequence[Event]) -> tuple[list[float], int]:
    """Seconds that people waited who got in, and how many did not."""
    first: dict[str, datetime] = {}
    for event in refused:
        first.setdefault(event["identity"], datetime.fromisoformat(event["at"]))
    came = {event["identity"]: datetime.fromisoformat(event["at"]) for event in joined}
    waits = [(came[who] - at).total_seconds() for who, at in first.items() if who in came]
    return waits, sum(who not in came for who in first)
