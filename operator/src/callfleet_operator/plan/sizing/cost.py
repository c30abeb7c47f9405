"""What a month costs. Money is decimal, rounded to hundredths item by item, so that the items add
up to the total as they stand."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import Final

from callfleet_operator.plan.sizing.inputs import Inputs
from callfleet_operator.plan.sizing.load import Load
from callfleet_operator.plan.sizing.relays import PoolPods

HUNDREDTH: Final = Decimal("0.01")
_GIGABYTES_PER_MEGABIT_HOUR: Final = Decimal(3600) / 8 / 1000


@dataclass(frozen=True, slots=True)
class Item:
    """Something that is paid for."""

    key: str
    """For programs."""
    name: str
    quantity: Decimal
    unit: str
    price: Decimal | None
    """Of one unit; None: not known."""
    missing: str = ""
    """How to name the price."""

    @property
    def amount(self) -> Decimal | None:
        """None if it is not known. Nothing costs nothing."""
        if self.price is None:
            return None if self.quantity else Decimal(0).quantize(HUNDREDTH)
        return (self.quantity * self.price).quantize(HUNDREDTH, ROUND_HALF_UP)


@dataclass(frozen=True, slots=True)
class Cost:
    """A month of the fleet that the busy hour needs, and of the traffic of all hours."""

    currency: str
    items: tuple[Item, ...]
    egress: Decimal
    """GB (1e9 bytes) that leave the cluster."""

    @property
    def total(self) -> Decimal | None:
        """None if a price is missing: a part would look like the whole."""
        amounts = [item.amount for item in self.items]
        known = [amount for amount in amounts if amount is not None]
        return sum(known, Decimal(0)) if len(known) == len(amounts) else None

    @property
    def unpriced(self) -> tuple[Item, ...]:
        """Items whose price is missing."""
        return tuple(item for item in self.items if item.amount is None)


def egress_gigabytes(user_hours: Decimal, received_megabits: Decimal) -> Decimal:
    """GB that people receive in so many hours of calls at so many Mbit/s each."""
    return user_hours * received_megabits * _GIGABYTES_PER_MEGABIT_HOUR


def cost_of(
    inputs: Inputs, load: Load, received: Decimal, engines: int, pools: tuple[PoolPods, ...]
) -> Cost:
    """All items. What is relayed leaves by the relays, at their price."""
    prices = inputs.prices
    egress = egress_gigabytes(load.user_hours, received)
    relayed = egress * inputs.relayed_percent / 100
    items = [
        Item(
            "enginePods",
            "engine pods",
            Decimal(engines),
            "pods",
            prices.pod_monthly,
            "--pod-price, or cost.podMonthly of the CallCluster",
        ),
        Item(
            "engineEgress",
            "egress of engines",
            egress - relayed,
            "GB",
            prices.egress_per_gb,
            "--egress-price, or cost.egressPerGB of the CallCluster",
        ),
    ]
    for pool in pools:
        terms = pool.terms
        items += (
            Item(
                f"relayPods.{terms.name}",
                f"pods of TurnPool {terms.name}",
                Decimal(pool.pods),
                "pods",
                terms.pod_monthly,
                "--relay-price, or cost.podMonthly of the TurnPool",
            ),
            Item(
                f"relayEgress.{terms.name}",
                f"egress of TurnPool {terms.name}",
                relayed / len(pools),
                "GB",
                terms.egress_per_gb,
                "--egress-price, or cost.egressPerGB of the TurnPool",
            ),
        )
    if prices.other_monthly is not None:
        items.append(Item("other", "everything else", Decimal(1), "month", prices.other_monthly))
    return Cost(prices.currency, tuple(items), egress)
