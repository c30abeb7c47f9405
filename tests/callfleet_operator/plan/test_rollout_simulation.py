"""Rollouts from beginning to end on a fleet in memory, hours of them in a moment."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from callfleet_operator.plan.decision import Memory
from tests.callfleet_operator.plan.model_fleet import TICK, Call, ModelFleet
from tests.callfleet_operator.plan.samples import NOW, REVISION, cluster, pod
from tests.callfleet_operator.plan.strategies import modest
from tests.hypothesis_profiles import examples

CALL = timedelta(minutes=20)
BEGAN = pod(now=NOW).created


def fleet_of(pods: int, **scaling: object) -> ModelFleet:
    """Pods with a call of ten each that ends within the next 20 minutes."""
    fleet = ModelFleet(cluster(min_replicas=pods, **scaling))
    fleet.add_ready_pods(pods)
    for number, one in enumerate(fleet.pods.values(), 1):
        one.calls.append(Call(10, fleet.now + CALL * number / pods))
    return fleet


def run(fleet: ModelFleet, time: timedelta, *, least: int) -> None:
    """Let time pass; never do fewer than `least` pods serve."""
    for _ in range(time // TICK):
        fleet.round()
        assert fleet.serving >= least
        assert len(fleet.pods) <= fleet.spec.max_total_replicas
    assert fleet.lost == 0


def revisions(fleet: ModelFleet) -> Counter[str]:
    return Counter(one.pod.revision for one in fleet.pods.values())


def test_every_pod_is_replaced_and_none_is_missed_meanwhile() -> None:
    fleet = fleet_of(4)
    fleet.change_template("new")
    run(fleet, timedelta(hours=2), least=4)

    assert revisions(fleet) == {"new": 4}


@pytest.mark.parametrize(("surge", "rounds"), [(1, 80), (4, 10)])
def test_max_surge_is_what_it_costs_and_how_fast_it_is(surge: int, rounds: int) -> None:
    """With one pod at a time the first old pod's calls have to end before the next one's turn."""
    fleet = fleet_of(4, rollout={"maxSurge": surge})
    fleet.change_template("new")
    taken = 0
    while any(
        one.pod.revision == REVISION and not one.told_to_drain for one in fleet.pods.values()
    ):
        run(fleet, TICK, least=4)
        assert len(fleet.pods) <= 4 + surge
        taken += 1
        assert taken < 500

    assert taken >= rounds if surge == 1 else taken <= rounds


def test_without_room_for_a_second_pod_it_is_drained_first() -> None:
    fleet = fleet_of(1, max_replicas=1, max_total_replicas=1)
    fleet.change_template("new")
    run(fleet, timedelta(hours=1), least=0)

    assert revisions(fleet) == {"new": 1}
    assert fleet.serving == 1


def test_pods_that_fail_stop_it_and_a_rollback_leaves_everything_as_it_was() -> None:
    fleet = fleet_of(4)
    fleet.failing = frozenset({"bad"})
    fleet.change_template("bad")
    run(fleet, timedelta(hours=2), least=4)

    assert revisions(fleet) == {REVISION: 4, "bad": 1}

    fleet.change_template(REVISION)
    run(fleet, timedelta(minutes=10), least=4)
    assert revisions(fleet) == {REVISION: 4}
    assert {one.pod.created for one in fleet.pods.values()} == {BEGAN}, "the same pods"


def test_while_it_has_stopped_the_fleet_grows_with_pods_that_work() -> None:
    fleet = fleet_of(2)
    fleet.failing = frozenset({"bad"})
    fleet.change_template("bad")
    run(fleet, timedelta(minutes=10), least=2)
    for ordinal in (0, 1):
        fleet.pods[ordinal].calls.append(Call(80, fleet.now + CALL))
    run(fleet, timedelta(minutes=5), least=2)

    assert fleet.serving >= 3
    assert revisions(fleet)["bad"] == 1


def test_a_corrected_spec_goes_on_from_where_it_stopped() -> None:
    fleet = fleet_of(3)
    fleet.failing = frozenset({"bad"})
    fleet.change_template("bad")
    run(fleet, timedelta(minutes=10), least=3)
    fleet.change_template("good")
    run(fleet, timedelta(hours=2), least=3)

    assert revisions(fleet) == {"good": 3}


def test_a_rollback_half_way_takes_drains_back() -> None:
    fleet = fleet_of(2, rollout={"maxSurge": 2})
    for one in fleet.pods.values():
        one.calls = [Call(10, fleet.now + timedelta(hours=5))]
    fleet.change_template("new")
    run(fleet, timedelta(minutes=5), least=2)
    assert sum(1 for one in fleet.pods.values() if one.told_to_drain) == 2

    fleet.change_template(REVISION)
    run(fleet, timedelta(minutes=5), least=2)
    assert revisions(fleet) == {REVISION: 2}
    assert [one.used for one in fleet.pods.values()] == [10, 10], "the same pods"


def test_an_operator_that_forgets_everything_in_each_round_comes_to_the_same_end() -> None:
    fleet = fleet_of(3)
    fleet.change_template("new")
    for _ in range(400):
        fleet.memory = Memory(desired_open=3)  # as the status says it
        run(fleet, TICK, least=3)

    assert revisions(fleet) == {"new": 3}


@settings(modest, max_examples=examples(8))
@given(
    pods=st.integers(1, 4),
    surge=st.integers(1, 3),
    more=st.integers(1, 3),
    changes=st.lists(
        st.tuples(st.sampled_from([REVISION, "b", "c", "bad"]), st.integers(1, 25)), max_size=4
    ),
    load=st.integers(0, 60),
)
def test_whatever_the_spec_is_changed_to_and_when(
    pods: int, surge: int, more: int, changes: list[tuple[str, int]], load: int
) -> None:
    most = pods + more
    fleet = fleet_of(
        pods, max_replicas=most, max_total_replicas=most + 1, rollout={"maxSurge": surge}
    )
    fleet.failing = frozenset({"bad"})
    fleet.place(Call(load, fleet.now + timedelta(minutes=7)))
    for revision, rounds in changes:
        fleet.change_template(revision)
        run(fleet, TICK * rounds, least=pods)
    fleet.change_template("end")
    run(fleet, timedelta(hours=2), least=pods)

    assert revisions(fleet) == {"end": fleet.open}
    assert fleet.serving == fleet.open >= pods
