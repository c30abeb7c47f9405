"""The whole plan, and the same at other loads."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from decimal import Decimal

from callfleet_operator.plan.sizing.bandwidth import Bandwidth, bandwidth_of
from callfleet_operator.plan.sizing.cost import Cost, cost_of
from callfleet_operator.plan.sizing.engines import EnginePods, engine_pods
from callfleet_operator.plan.sizing.inputs import Inputs, SizingError
from callfleet_operator.plan.sizing.load import Load, load_of
from callfleet_operator.plan.sizing.relays import PoolPods, relay_pods


@dataclass(frozen=True, slots=True)
class Sizing:
    """What the users of `inputs` take."""

    inputs: Inputs
    load: Load
    bandwidth: Bandwidth
    engines: EnginePods
    pools: tuple[PoolPods, ...]
    cost: Cost

    @property
    def relays(self) -> int:
        """Of all pools."""
        return sum(pool.pods for pool in self.pools)


@dataclass(frozen=True, slots=True)
class Beyond:
    """A load for which there is no plan, and why."""

    concurrent: int
    reason: str


def size(inputs: Inputs) -> Sizing:
    """Plan; raises SizingError if the inputs contradict themselves or exceed any spec."""
    load = load_of(inputs.checked().usage)
    bandwidth = bandwidth_of(inputs, load)
    engines = engine_pods(inputs, load, bandwidth)
    pools = relay_pods(inputs, load, bandwidth)
    cost = cost_of(inputs, load, bandwidth.received, engines.pods, pools)
    return Sizing(inputs, load, bandwidth, engines, pools, cost)


def at_concurrent(sizing: Sizing, loads: Iterable[int]) -> tuple[Sizing | Beyond, ...]:
    """The same habits with so many people in calls at a time."""
    return tuple(_scaled(sizing, people) for people in loads)


def _scaled(sizing: Sizing, people: int) -> Sizing | Beyond:
    users = sizing.load.users * people / sizing.load.concurrent
    usage = replace(sizing.inputs.usage, users=users, concurrent=Decimal(people))
    try:
        return size(replace(sizing.inputs, usage=usage))
    except SizingError as beyond:
        return Beyond(people, str(beyond))
