"""What users take, against arithmetic done by hand."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from callfleet_operator.plan.sizing.engines import Floor
from callfleet_operator.plan.sizing.inputs import Inputs, SizingError
from callfleet_operator.plan.sizing.size import Beyond, Sizing, at_concurrent, size
from tests.callfleet_operator.plan.sizing.samples import (
    ENGINES,
    INPUTS,
    OFFICE,
    POOL,
    PRICES,
    document,
)


def test_an_office() -> None:
    """1,000 x 20 h / 22 days x 15 % = 136.36 people, 34.09 calls of four, one a 52.8 s."""
    found = size(INPUTS)

    assert found.load.user_hours == 20_000
    assert round(found.load.concurrent, 2) == Decimal("136.36")
    assert round(found.load.erlangs, 2) == Decimal("34.09")
    assert round(1 / found.load.calls_per_second, 1) == Decimal("52.8")
    engines = found.engines
    assert engines.calls_per_pod == 17  # 80 x 85 % / 4
    # 136.36 people x 141.83 packets/s x 6.5 = 125,710 over 140,000
    assert engines.by_packets == 1
    assert engines.by_target == 3  # 136.36 / 56 = 2.4
    assert engines.reserve == 6  # 90 / 52.8 = 1.70, + 3 x 1.31 = 5.6
    assert engines.by_free_room == 3  # (35 + 6) / 17 = 2.4
    assert engines.by_blocking == 4  # 51 places refuse 1.5 in a thousand
    assert engines.blocking_by_target == pytest.approx(0.001478, abs=1e-6)
    assert (engines.pods, engines.decisive) == (4, Floor.BLOCKING)
    assert round(engines.utilisation, 3) == Decimal("0.426")  # 136.36 / 320
    assert found.bandwidth.stream == Decimal("0.9072")  # 864 x 1.05
    assert found.bandwidth.received == Decimal("2.7216")
    assert round(found.bandwidth.engines_out, 1) == Decimal("371.1")
    assert round(found.bandwidth.relays_through, 1) == Decimal("494.8")
    (pool,) = found.pools
    assert round(pool.allocations, 2) == Decimal("272.73")
    assert pool.by_allocations == 1  # 272.73 / 1,400
    # 136.36 people x 141.83 packets/s x 4 streams = 77,360 over 21,000
    assert round(found.inputs.bitrate.packets, 2) == Decimal("141.83")
    assert (pool.by_packets, pool.pods) == (4, 4)
    # 20,000 h x 2.7216 Mbit/s x 0.45 GB
    assert found.cost.egress == Decimal("24494.4")
    assert [item.amount for item in found.cost.items] == [
        Decimal("560.00"),
        Decimal("0.00"),
        Decimal("280.00"),
        Decimal("1224.72"),
        Decimal("150.00"),
    ]
    assert found.cost.total == Decimal("2214.72")


def test_the_source_document_with_its_errors_corrected() -> None:
    """864 Mbit/s for 720 h are 280 TB and 14,000 USD, not 4,600 GB and 230 USD; and 150 people a
    pod at 70 % are ten pods for 1,000, not seven."""
    found = size(document())

    assert found.bandwidth.engines_out == 864
    assert found.cost.egress == 279_936  # 864 Mbit/s / 8 x 2,592,000 s / 1,000
    amounts = {item.key: item.amount for item in found.cost.items}
    assert amounts["relayEgress.relays"] == Decimal("13996.80")
    assert amounts["enginePods"] == 10 * 140
    # 1,000 people x 141.83 packets/s x 2 streams = 283,700 over 21,000
    assert amounts["relayPods.relays"] == 14 * 70
    assert found.cost.total == Decimal("16526.80")
    assert found.cost.total is not None
    assert round(found.cost.total / found.load.users, 2) == Decimal("16.53")


def test_database_and_signalling_of_fifty_calls_are_no_ten_megabits() -> None:
    """50 calls x 250 KB an hour = 12.5 MB an hour = 0.028 Mbit/s, not 12.5."""
    usage = replace(OFFICE, users=None, concurrent=Decimal(100), people_per_call=Decimal(2))
    found = size(replace(INPUTS, usage=usage)).bandwidth

    assert round(found.signalling, 5) == Decimal("0.00556")
    assert round(found.database, 5) == Decimal("0.02222")


def trunk(erlangs: int, calls_per_pod: int) -> Sizing:
    """Calls of two on pods of so many, which take new calls until they are full."""
    usage = replace(OFFICE, users=None, concurrent=Decimal(2 * erlangs), people_per_call=Decimal(2))
    engines = replace(ENGINES, participants_per_pod=2 * calls_per_pod, new_call_limit_percent=100)
    return size(replace(INPUTS, usage=usage, engines=engines))


def test_a_flat_target_is_unsafe_for_few_and_wasteful_for_many() -> None:
    few, many = trunk(10, 1).engines, trunk(1000, 10).engines

    assert few.by_target == 15
    assert few.blocking_by_target == pytest.approx(0.037, abs=0.001)
    assert few.by_blocking == 21  # E(20, 10) = 1.9, E(21, 10) = 0.9 in a thousand
    assert many.by_target == 143
    assert many.by_blocking is not None
    assert 1000 / (many.by_blocking * 10) > 0.91


def test_from_people_at_a_time_to_users() -> None:
    """10 x 22 days / (20 h x 15 %) = 73.3 users; and back."""
    usage = replace(OFFICE, users=None, concurrent=Decimal(10))
    found = size(replace(INPUTS, usage=usage)).load

    assert round(found.users, 2) == Decimal("73.33")
    back = size(replace(INPUTS, usage=replace(OFFICE, users=found.users))).load
    assert round(back.concurrent, 9) == 10


def test_relayed_media_leave_by_the_relays_at_their_price() -> None:
    pools = (replace(POOL, egress_per_gb=Decimal("0.01")), replace(POOL, name="more"))
    found = size(replace(INPUTS, relayed_percent=Decimal(40), pools=pools))

    quantities = {item.key: item.quantity for item in found.cost.items}
    assert quantities["engineEgress"] == Decimal("14696.64")  # 60 % of 24,494.4
    assert quantities["relayEgress.relays"] == quantities["relayEgress.more"] == Decimal("4898.88")
    amounts = {item.key: item.amount for item in found.cost.items}
    assert amounts["relayEgress.relays"] == Decimal("48.99")
    assert amounts["relayEgress.more"] == Decimal("244.94")
    assert [round(pool.allocations, 2) for pool in found.pools] == [Decimal("54.55")] * 2


def test_a_missing_price_leaves_the_total_unknown() -> None:
    found = size(replace(INPUTS, prices=replace(PRICES, pod_monthly=None))).cost

    assert found.total is None
    assert [item.key for item in found.unpriced] == ["enginePods"]
    # Nothing leaves by the engines, so that price is not needed.
    assert size(replace(INPUTS, prices=replace(PRICES, egress_per_gb=None))).cost.total is not None


def test_more_than_max_replicas_is_still_planned_and_what_fewer_would_refuse() -> None:
    found = size(replace(INPUTS, engines=replace(ENGINES, max_pods=2))).engines

    assert found.pods == 4
    assert found.blocking_at_most_pods == pytest.approx(0.1266, abs=0.0001)  # E(34, 34.09)


def test_egress_of_a_pod_may_decide() -> None:
    engines = replace(ENGINES, pod_megabits=Decimal(100))
    found = size(replace(INPUTS, engines=engines)).engines

    assert (found.pods, found.decisive) == (6, Floor.EGRESS)  # 371.1 / 70 = 5.3


def test_packets_of_large_calls_may_decide() -> None:
    """Calls of twelve: 136.36 x 141.83 x (11 + 3.5) = 280,400 over 140,000 is 2.003."""
    usage = replace(OFFICE, people_per_call=Decimal(12))
    engines = replace(ENGINES, participants_per_pod=500, max_blocking_per_million=0)
    found = size(replace(INPUTS, usage=usage, engines=engines)).engines

    assert (found.pods, found.decisive) == (3, Floor.PACKETS)


def test_other_loads_with_the_same_habits() -> None:
    rows = at_concurrent(size(INPUTS), (10, 1000, 100_000))

    ten, thousand, beyond = rows
    assert isinstance(ten, Sizing)
    assert isinstance(thousand, Sizing)
    assert round(ten.load.users, 2) == Decimal("73.33")
    assert (ten.engines.pods, thousand.engines.pods) == (1, 18)
    assert isinstance(beyond, Beyond)
    assert beyond.concurrent == 100_000
    assert "1000 pods" in beyond.reason


@pytest.mark.parametrize(
    ("inputs", "remedy"),
    [
        (replace(INPUTS, usage=replace(OFFICE, users=None)), "Say --users N"),
        (
            replace(INPUTS, usage=replace(OFFICE, hours_per_month=Decimal(700))),
            "lower --hours-per-month or --busy-hour-percent",
        ),
        (
            replace(INPUTS, usage=replace(OFFICE, concurrent=Decimal(1001))),
            "lower --concurrent or raise --users",
        ),
        (
            replace(INPUTS, usage=replace(OFFICE, concurrent=Decimal(20))),
            "raise --concurrent or --busy-hour-percent",
        ),
        (
            replace(INPUTS, usage=replace(OFFICE, people_per_call=Decimal(81))),
            "lower --people-per-call or raise --participants-per-pod",
        ),
        (
            replace(INPUTS, engines=replace(ENGINES, target_percent=85)),
            "raise --new-call-limit-percent or lower --target-percent",
        ),
        (
            replace(INPUTS, engines=replace(ENGINES, min_pods=3, max_pods=2)),
            "The CallCluster has minReplicas 3 above maxReplicas 2",
        ),
        (
            replace(INPUTS, pools=(replace(POOL, min_pods=3, max_pods=2),)),
            "TurnPool relays has minReplicas 3 above maxReplicas 2",
        ),
        (replace(INPUTS, pools=()), "say --relayed-percent 0"),
        (
            replace(INPUTS, pools=(replace(POOL, allocations_per_pod=1),)),
            "name several pools in turn.poolRefs",
        ),
        (
            replace(INPUTS, engines=replace(ENGINES, participants_per_pod=4), usage=replace(
                OFFICE, users=Decimal(50_000))),
            "raise --participants-per-pod, or plan several CallClusters",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_with_a_remedy(inputs: Inputs, remedy: str) -> None:
    with pytest.raises(SizingError) as refused:
        size(inputs)
    assert remedy in str(refused.value)
