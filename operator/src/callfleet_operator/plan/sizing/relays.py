"""Relays of the busy hour: allocations and packets, whichever asks for more."""

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
    packets: Decimal
    """A second, the same."""
    by_allocations: int
    by_packets: int
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
            bandwidth.relay_packets / len(inputs.pools),
        )
        for terms in inputs.pools
    )


def _pool(terms: PoolTerms, allocations: Decimal, megabits: Decimal, packets: Decimal) -> PoolPods:
    by_allocations = _at_target(allocations, terms.allocations_per_pod, terms.target_percent)
    by_packets = _at_target(packets, terms.packets_per_second, terms.target_percent)
    pods = max(by_allocations, by_packets, terms.min_pods)
    if pods > MOST_RELAYS:
        raise SizingError(
            f"TurnPool {terms.name} would need {pods} relays, and may have {MOST_RELAYS}: name "
            "several pools in turn.poolRefs, or plan several CallClusters."
        )
    return PoolPods(terms, allocations, megabits, packets, by_allocations, by_packets, pods)


def _at_target(load: Decimal, capacity: int, target_percent: int) -> int:
    return math.ceil(load * 100 / (capacity * target_percent))
