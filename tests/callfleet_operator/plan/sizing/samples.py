"""Inputs of plans whose figures are followed by hand."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from callfleet_operator.plan.sizing.inputs import (
    BITRATES,
    EngineTerms,
    Inputs,
    PoolTerms,
    Prices,
    Usage,
)

OFFICE = Usage(
    users=Decimal(1000),
    concurrent=None,
    hours_per_month=Decimal(20),
    busy_days=22,
    busy_hour_percent=Decimal(15),
    people_per_call=Decimal(4),
    call_minutes=Decimal(30),
)
POOL = PoolTerms(
    "relays",
    allocations_per_pod=2000,
    target_percent=70,
    pod_monthly=Decimal(70),
    egress_per_gb=Decimal("0.05"),
)
PRICES = Prices(
    currency="USD",
    pod_monthly=Decimal(140),
    egress_per_gb=Decimal("0.05"),
    other_monthly=Decimal(150),
)
ENGINES = EngineTerms(
    participants_per_pod=80,
    target_percent=70,
    new_call_limit_percent=85,
    max_blocking_per_million=1000,
)
INPUTS = Inputs(
    usage=OFFICE,
    bitrate=BITRATES["720p"],
    overhead_percent=Decimal(5),
    relayed_percent=Decimal(100),
    engines=ENGINES,
    pools=(POOL,),
    prices=PRICES,
)


def document() -> Inputs:
    """The source document's 1,000 users in 720p calls of two all month long, with its prices."""
    return replace(
        INPUTS,
        usage=replace(
            OFFICE,
            concurrent=Decimal(1000),
            hours_per_month=Decimal(720),
            people_per_call=Decimal(2),
        ),
        overhead_percent=Decimal(0),
        engines=replace(ENGINES, participants_per_pod=150),
    )
