"""Engine pods of the busy hour: what the operator's own stages ask for at that load."""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from typing import Final

from callfleet_operator.observation import CallDemand
from callfleet_operator.plan.classify import FleetLoad
from callfleet_operator.plan.erlang import blocking, groups_needed
from callfleet_operator.plan.required import (
    DETECTION,
    MOST_PODS,
    UNMEASURED_START,
    arrivals_at_most,
    calls_per_pod,
    utilisation,
)
from callfleet_operator.plan.sizing.bandwidth import Bandwidth
from callfleet_operator.plan.sizing.inputs import Inputs, SizingError
from callfleet_operator.plan.sizing.load import Load

REACTION: Final = DETECTION + UNMEASURED_START
"""From the arrival of a call to a pod more, as long as none has been measured."""
NEGLIGIBLE: Final = 1e-300
"""A blocking below this is some number below it."""


class Floor(StrEnum):
    """What decides the number."""

    TARGET = "Target"
    EGRESS = "Egress"
    PACKETS = "Packets"
    FREE_ROOM = "FreeRoom"
    BLOCKING = "Blocking"
    MINIMUM = "Minimum"


@dataclass(frozen=True, slots=True)
class EnginePods:
    """Open pods of the busy hour."""

    by_target: int
    by_egress: int
    by_packets: int
    reserve: int
    """Calls that begin before another pod can be ready."""
    by_free_room: int
    by_blocking: int | None
    """None: the limit is 0, there is no such floor."""
    pods: int
    decisive: Floor
    calls_per_pod: int
    """Below the limit for new calls."""
    blocking: float
    """New calls that find every place taken, 0 to 1."""
    blocking_by_target: float
    """The same with `by_target` pods: what a flat target alone would give."""
    utilisation: Decimal
    """0 to 1."""
    blocking_at_most_pods: float | None
    """With maxReplicas pods, where that is fewer than are needed."""


def engine_pods(inputs: Inputs, load: Load, bandwidth: Bandwidth) -> EnginePods:
    """How many; raises SizingError where no CallCluster may have so many."""
    terms = inputs.engines
    people = Fraction(inputs.usage.people_per_call)
    places = calls_per_pod(people, terms.participants_per_pod, terms.new_call_limit_percent)
    by_target = _by_target(load.concurrent / terms.participants_per_pod, terms.target_percent)
    by_egress = _by_target(bandwidth.engines_out / terms.pod_megabits, terms.target_percent)
    by_packets = _by_target(
        bandwidth.engine_packets / terms.packets_per_second, terms.target_percent
    )
    reserve = max(1, arrivals_at_most(_demand(inputs, load), REACTION))
    by_free_room = -(-(math.ceil(load.erlangs) + reserve) // places)
    erlangs = float(load.erlangs)
    by_blocking = None
    if limit := terms.max_blocking_per_million / 1_000_000:
        by_blocking = groups_needed(erlangs, places=places, limit=limit, most=MOST_PODS)
        if blocking(by_blocking * places, erlangs, negligible=limit) > limit:
            by_blocking = MOST_PODS + 1
    floors = {
        Floor.TARGET: by_target,
        Floor.EGRESS: by_egress,
        Floor.PACKETS: by_packets,
        Floor.FREE_ROOM: by_free_room,
        Floor.BLOCKING: by_blocking or 0,
        Floor.MINIMUM: terms.min_pods,
    }
    decisive = max(floors, key=lambda floor: floors[floor])
    pods = floors[decisive]
    if pods > MOST_PODS:
        raise SizingError(
            f"{load.concurrent:,.0f} people at a time need more than the {MOST_PODS} pods that a "
            f"CallCluster may have ({decisive} decides): raise --participants-per-pod, "
            "or plan several CallClusters."
        )
    most = terms.max_pods
    capped = most if most is not None and most < pods else None
    return EnginePods(
        by_target=by_target,
        by_egress=by_egress,
        by_packets=by_packets,
        reserve=reserve,
        by_free_room=by_free_room,
        by_blocking=by_blocking,
        pods=pods,
        decisive=decisive,
        calls_per_pod=places,
        blocking=blocking(pods * places, erlangs, negligible=NEGLIGIBLE),
        blocking_by_target=blocking(by_target * places, erlangs, negligible=NEGLIGIBLE),
        utilisation=load.concurrent / (pods * terms.participants_per_pod),
        blocking_at_most_pods=None if capped is None else blocking(capped * places, erlangs),
    )


def _by_target(full_pods: Decimal, target_percent: int) -> int:
    share = Fraction(full_pods)
    asked, _ = utilisation(FleetLoad(share, share, (), 0), target_percent, 0)
    return asked.low


def _demand(inputs: Inputs, load: Load) -> CallDemand:
    return CallDemand(
        arrivals_per_second=float(load.calls_per_second),
        mean_duration_seconds=float(inputs.usage.call_minutes * 60),
        mean_participants=float(inputs.usage.people_per_call),
    )
