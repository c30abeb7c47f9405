"""The TurnPools of a plan, with their prices. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Final

from callfleet_operator.api.v1alpha1 import TurnPool, TurnPoolSpec
from callfleet_operator.cli.planning.asked import Asked
from callfleet_operator.cli.planning.choices import Choices
from callfleet_operator.cli.planning.manifest import Planned
from callfleet_operator.plan.sizing.inputs import RELAY_PACKETS, PoolTerms, Prices, SizingError

POOL: Final = "relays"
PACKET_RATE: Final = "CALLFLEET_RELAY_SUSTAINABLE_PACKET_RATE"


def pools_of(planned: Planned | None, relayed: Decimal) -> Iterator[tuple[str, TurnPool | None]]:
    """Names with the pools that are known."""
    if planned is None:
        if relayed:
            yield POOL, None
        return
    here = planned.cluster.metadata.namespace
    for ref in planned.cluster.spec.turn.pool_refs:
        home = ref.namespace or here
        title = ref.name if home == here else f"{home}/{ref.name}"
        yield title, planned.pools.get((home, ref.name))


def pool_terms(
    asked: Asked, choices: Choices, name: str, pool: TurnPool | None, prices: Prices
) -> PoolTerms:
    """One pool; its prices must be in the plan's currency, or SizingError says so."""
    spec = pool.spec if pool else TurnPoolSpec()
    where = f"TurnPool {name}" if pool else "default"
    cost, currency = spec.cost, prices.currency
    flagged = (asked.relay_price, asked.egress_price)
    for flag, own in zip(flagged, (cost.pod_monthly, cost.egress_per_gb), strict=True):
        if flag is None and own and cost.currency != currency:
            raise SizingError(
                f"TurnPool {name} has prices in {cost.currency}, the plan is in {currency}: give "
                "both in one currency, or --relay-price and --egress-price."
            )
    rate = _packet_rate(spec, where)
    return PoolTerms(
        name=name,
        allocations_per_pod=choices.choose(
            f"allocationsPerRelay.{name}",
            f"allocations of a relay of TurnPool {name}",
            "",
            flag="--allocations-per-relay",
            given=asked.allocations_per_relay,
            otherwise=spec.quota.allocations_per_pod,
            source=f"{where}: quota.allocationsPerPod",
        ),
        target_percent=choices.choose(
            f"relayTargetPercent.{name}",
            f"target saturation of TurnPool {name}",
            "%",
            flag="--relay-target-percent",
            given=asked.relay_target_percent,
            otherwise=spec.scaling.target_saturation_percent,
            source=f"{where}: scaling.targetSaturationPercent",
        ),
        min_pods=spec.scaling.min_replicas,
        max_pods=spec.scaling.max_replicas if pool else None,
        packets_per_second=choices.choose(
            f"relayPackets.{name}",
            f"what a full relay of TurnPool {name} relays",
            "packets/s",
            flag="--relay-packets",
            given=asked.relay_packets,
            otherwise=RELAY_PACKETS if rate is None else rate,
            source="default of a relay's --sustainable-packet-rate"
            if rate is None
            else f"{where}: env {PACKET_RATE}",
        ),
        pod_monthly=choices.price(
            f"relayPrice.{name}",
            f"a relay of TurnPool {name}",
            f"{currency} a month",
            (asked.relay_price, "--relay-price"),
            (money_of(cost.pod_monthly), f"{where}: cost.podMonthly"),
        ),
        egress_per_gb=choices.price(
            f"relayEgressPrice.{name}",
            f"egress of TurnPool {name}",
            f"{currency} a GB",
            (asked.egress_price, "--egress-price"),
            (money_of(cost.egress_per_gb), f"{where}: cost.egressPerGB"),
            (prices.egress_per_gb, "as of engines"),
        ),
    )


def _packet_rate(spec: TurnPoolSpec, where: str) -> int | None:
    """What the pool's relays are told that they bear; None where they are told nothing."""
    told = [one.get("value", "") for one in spec.env if one.get("name") == PACKET_RATE]
    if not told:
        return None
    if not (told[0].isascii() and told[0].isdigit() and int(told[0])):
        raise SizingError(
            f"{where} sets {PACKET_RATE} to {told[0]!r}: write packets a second, or say "
            "--relay-packets."
        )
    return int(told[0])


def money_of(text: str) -> Decimal | None:
    """A price of the API; None for one that is not set."""
    return Decimal(text) if text else None
