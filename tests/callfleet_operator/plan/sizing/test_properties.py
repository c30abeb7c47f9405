"""What holds of every plan."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from hypothesis import assume, given
from hypothesis import strategies as st

from callfleet_operator.observation import CallDemand
from callfleet_operator.plan import engines
from callfleet_operator.plan.decision import Memory
from callfleet_operator.plan.reasons import Stage
from callfleet_operator.plan.sizing.cost import egress_gigabytes
from callfleet_operator.plan.sizing.engines import NEGLIGIBLE
from callfleet_operator.plan.sizing.inputs import (
    BITRATES,
    EngineTerms,
    Inputs,
    Prices,
    SizingError,
    Usage,
)
from callfleet_operator.plan.sizing.size import Sizing, size
from tests.callfleet_operator.plan import strategies as any_
from tests.callfleet_operator.plan.samples import cluster, known, observed, pod
from tests.callfleet_operator.plan.sizing.samples import POOL


def numbers(least: str, most: str) -> st.SearchStrategy[Decimal]:
    return st.decimals(least, most, places=2)


@st.composite
def anything(draw: st.DrawFn) -> Inputs:
    target = draw(st.integers(10, 95))
    pools = draw(st.integers(1, 3))
    price = st.none() | numbers("0", "1000")
    return Inputs(
        usage=Usage(
            users=Decimal(draw(st.integers(1, 20_000))),
            concurrent=None,
            hours_per_month=draw(numbers("0.01", "80")),
            busy_days=draw(st.integers(15, 31)),
            busy_hour_percent=draw(numbers("5", "30")),
            people_per_call=draw(numbers("2", "12")),
            call_minutes=draw(numbers("0.1", "600")),
        ),
        bitrate=draw(st.sampled_from(list(BITRATES.values()))),
        overhead_percent=draw(numbers("0", "30")),
        relayed_percent=draw(numbers("0", "100")),
        engines=EngineTerms(
            participants_per_pod=draw(st.integers(12, 500)),
            target_percent=target,
            new_call_limit_percent=draw(st.integers(target + 1, 100)),
            max_blocking_per_million=draw(st.sampled_from([0, 1, 1000, 20_000, 1_000_000])),
            min_pods=draw(st.integers(1, 5)),
        ),
        pools=tuple(
            replace(POOL, name=f"pool-{number}", pod_monthly=draw(price), egress_per_gb=draw(price))
            for number in range(pools)
        ),
        prices=Prices("EUR", draw(price), draw(price), draw(price)),
    )


def planned(inputs: Inputs) -> Sizing:
    """The plan; what exceeds any spec is another test's."""
    try:
        return size(inputs)
    except SizingError:
        assume(False)
        raise


@any_.modest
@given(anything())
def test_no_more_calls_are_refused_than_the_limit(inputs: Inputs) -> None:
    found = planned(inputs).engines

    assert found.blocking <= max(found.blocking_by_target, NEGLIGIBLE)
    if limit := inputs.engines.max_blocking_per_million:
        assert found.blocking <= limit / 1_000_000


@any_.modest
@given(anything())
def test_neither_engines_nor_relays_are_above_their_target(inputs: Inputs) -> None:
    found = planned(inputs)

    assert found.engines.utilisation * 100 <= inputs.engines.target_percent
    for pool in found.pools:
        assert pool.saturation * 100 <= pool.terms.target_percent
        assert (
            pool.packets * 100
            <= pool.pods * pool.terms.packets_per_second * pool.terms.target_percent
        )


@any_.modest
@given(anything(), st.integers(1, 5000))
def test_more_users_never_take_less(inputs: Inputs, more: int) -> None:
    assert inputs.usage.users is not None
    usage = replace(inputs.usage, users=inputs.usage.users + more)
    fewer, many = planned(inputs), planned(replace(inputs, usage=usage))

    assert fewer.engines.pods <= many.engines.pods
    assert all(a.pods <= b.pods for a, b in zip(fewer.pools, many.pools, strict=True))
    assert fewer.bandwidth.engines_out <= many.bandwidth.engines_out
    assert fewer.cost.egress <= many.cost.egress
    if fewer.cost.total is not None and many.cost.total is not None:
        assert fewer.cost.total <= many.cost.total


@any_.modest
@given(anything())
def test_the_items_add_up_to_the_total_and_to_all_that_leaves(inputs: Inputs) -> None:
    cost = planned(inputs).cost

    egress = sum(item.quantity for item in cost.items if item.unit == "GB")
    assert abs(egress - cost.egress) < Decimal("1e-12") * (1 + cost.egress)
    amounts = [item.amount for item in cost.items]
    known_amounts = [amount for amount in amounts if amount is not None]
    if cost.total is None:
        assert len(known_amounts) < len(amounts)
    else:
        assert cost.total == sum(known_amounts)
        assert cost.total == round(cost.total, 2)


@any_.modest
@given(numbers("0", "1e6"), numbers("0", "1e6"), numbers("0", "100"))
def test_traffic_of_two_groups_is_that_of_both(one: Decimal, two: Decimal, rate: Decimal) -> None:
    together = egress_gigabytes(one + two, rate)
    assert together == egress_gigabytes(one, rate) + egress_gigabytes(two, rate)


@any_.modest
@given(
    st.integers(1, 200),
    st.integers(2, 8),
    st.integers(16, 150),
    st.sampled_from([0, 1, 1000, 50_000]),
    st.integers(1, 120),
)
def test_the_operator_asks_for_what_was_planned(
    calls: int, people: int, capacity: int, limit: int, minutes: int
) -> None:
    """A fleet of the planned number, with the planned load on it in whole calls."""
    usage = Usage(
        users=None,
        concurrent=Decimal(calls * people),
        hours_per_month=Decimal(20),
        busy_days=22,
        busy_hour_percent=Decimal(15),
        people_per_call=Decimal(people),
        call_minutes=Decimal(minutes),
    )
    terms = EngineTerms(capacity, 70, 85, limit)
    inputs = Inputs(
        usage, BITRATES["audio"], Decimal(0), Decimal(0), terms, (), Prices(currency="EUR")
    )
    number = planned(inputs).engines.pods
    spec = cluster(
        capacity=capacity,
        max_replicas=1000,
        tolerance_percent=0,
        max_blocking_per_million=limit,
    )
    rate = calls / (minutes * 60)
    fleet = [
        pod(
            ordinal,
            load=known(people * (calls // number + (ordinal < calls % number)), capacity=capacity),
            ready_for=3540,
        )
        for ordinal in range(number)
    ]
    demand = CallDemand(rate, minutes * 60, people, hourly_arrivals_per_second=rate)

    decision, _ = engines.plan(spec, observed(*fleet, demand=demand), Memory())

    floors = next(record for record in decision.trace if record.stage is Stage.FLOORS)
    assert floors.after.low == floors.after.high == number
