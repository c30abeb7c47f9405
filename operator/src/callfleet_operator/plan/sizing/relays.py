"""Relays of the busy hour: allocations and bandwidth, whichever asks for more."""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from callfleet_operator.plan.sizing.bandwidth import Bandwidth
from callfleet_operator.plan.sizing.inputs import (
    ALLOCATIONS_PER_PERSON,
    Inputs,
    PoolTerms,
    SizingError,
)
from callfleet_operator.plan.sizing.load import Load

MOST_RELAYS: Final = 256
"""No spec allows more (`maxReplicas` of a TurnPool)."""


@dataclass(frozen=True, slots=True)
class PoolPods:
    """Open relays of one pool."""

    terms: PoolTerms
    allocations: Decimal
    megabits: Decimal
    """Through all of them together."""
    by_allocations: int
    by_megabits: int
    pods: int

    @property
    def saturation(self) -> Decimal:
        """Allocations over capacity, 0 to 1."""
        return self.allocations / (self.pods * self.terms.allocations_per_pod)


def relay_pods(inputs: Inputs, load: Load, bandwidth: Bandwidth) -> tuple[PoolPods, ...]:
    """How many of each pool, which share the relayed people evenly; raises SizingError where no
    TurnPool may have so many."""
    relayed = load.concurrent * inputs.relayed_percent / 100
    return tuple(
        _pool(
            terms,
            relayed * ALLOCATIONS_PER_PERSON / len(inputs.pools),
            bandwidth.relays_through / len(inputs.pools),
        )
        for terms in inputs.pools
    )


def _pool(terms: PoolTerms, allocations: Decimal, megabits: Decimal) -> PoolPods:
    by_allocations = _at_target(allocations, terms.allocations_per_pod, terms.target_percent)
    by_megabits = _at_target(megabits, terms.pod_megabits, terms.target_percent)
    pods = max(by_allocations, by_megabits, terms.min_pods)
    if pods > MOST_RELAYS:
        raise SizingError(
            f"TurnPool {terms.name} would need {pods} relays, and may have {MOST_RELAYS}: name "
            "several pools in turn.poolRefs, or plan several CallClusters."
        )
    return PoolPods(terms, allocations, megabits, by_allocations, by_megabits, pods)


def _at_target(load: Decimal, capacity: Decimal | int, target_percent: int) -> int:
    return math.ceil(load * 100 / (capacity * target_percent))
