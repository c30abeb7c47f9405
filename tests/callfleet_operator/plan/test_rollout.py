"""Where a rollout is: example by example."""

from __future__ import annotations

from dataclasses import replace

import pytest

from callfleet_operator.api.v1alpha1 import CallClusterSpec, TurnPoolSpec
from callfleet_operator.observation import Connections, FleetPod, MetricsHealth, MetricsProblem
from callfleet_operator.plan.rollout import Comparison, RolloutState, rollout
from tests.callfleet_operator.plan.rollouts import old, replaced, stuck
from tests.callfleet_operator.plan.samples import (
    AWAY,
    NOW,
    OLDER,
    REVISION,
    cluster,
    observed,
    pod,
    pool,
    seconds,
    starting,
)


def state(*pods: FleetPod, spec: CallClusterSpec | None = None, **seen: object) -> RolloutState:
    return rollout(spec or cluster(), observed(*pods, **seen)).state  # type: ignore[arg-type] # a test's short way


class TestState:
    def test_is_complete_when_every_pod_has_the_update_revision(self) -> None:
        assert state(pod(0), starting(1)) is RolloutState.COMPLETE
        assert state() is RolloutState.COMPLETE
        assert state(old(0), revisions=()) is RolloutState.COMPLETE

    def test_is_under_way_as_long_as_an_old_pod_is_open_or_drains(self) -> None:
        assert state(old(0), pod(1)) is RolloutState.UNDER_WAY
        assert state(pod(0), replaced(1)) is RolloutState.UNDER_WAY

    def test_follows_the_strategy(self) -> None:
        spec = cluster(rollout={"strategy": "OnDelete"})

        assert state(old(0), spec=spec) is RolloutState.ON_DELETE

    @pytest.mark.parametrize(
        ("mode", "found"),
        [
            ("Active", RolloutState.UNDER_WAY),
            ("ScaleOutOnly", RolloutState.UNDER_WAY),
            ("DryRun", RolloutState.HELD),
            ("Paused", RolloutState.HELD),
        ],
    )
    def test_a_mode_that_touches_no_pod_holds_it(self, mode: str, found: RolloutState) -> None:
        assert state(old(0), spec=cluster(mode=mode)) is found

    def test_the_annotation_holds_it_for_its_time(self) -> None:
        assert state(old(0), hold_until=NOW + seconds(1)) is RolloutState.HELD
        assert state(old(0), hold_until=NOW) is RolloutState.UNDER_WAY

    def test_without_prometheus_it_waits_and_partial_data_do_not_stop_it(self) -> None:
        partial = MetricsHealth(MetricsProblem.PARTIAL)

        assert state(old(0), metrics=AWAY) is RolloutState.HELD
        assert state(old(0), metrics=partial) is RolloutState.UNDER_WAY

    def test_stops_when_a_new_pod_is_not_ready_in_time(self) -> None:
        assert state(old(0), starting(1)) is RolloutState.UNDER_WAY
        found = rollout(cluster(), observed(old(0), stuck(1)))

        assert found.state is RolloutState.PODS_FAIL
        assert [pod.ordinal for pod in found.failing] == [1]
        assert found.new_pods == OLDER, "what works, until the spec is corrected"

    def test_an_old_pod_that_fails_is_no_reason_to_stop(self) -> None:
        broken = replace(stuck(1), revision=OLDER)

        assert state(old(0), broken) is RolloutState.UNDER_WAY

    def test_where_no_other_revision_serves_new_pods_have_the_new_one(self) -> None:
        before = replace(stuck(1), revision=OLDER)
        found = rollout(cluster(), observed(before, stuck(0)))

        assert (found.state, found.new_pods) == (RolloutState.PODS_FAIL, REVISION)


class TestCalls:
    def compared(
        self,
        new: tuple[int, int],
        before: tuple[int, int],
        *,
        spec: CallClusterSpec | TurnPoolSpec | None = None,
        calls_failed: bool = False,
        draining: bool = False,
    ) -> RolloutState:
        other = replaced(0) if draining else old(0)
        counted = {"uid-0": Connections(*before), "uid-1": Connections(*new)}
        seen = observed(other, pod(1), connections=counted, calls_failed=calls_failed)
        return rollout(spec or cluster(), seen).state

    @pytest.mark.parametrize(
        ("new", "before", "stops"),
        [
            ((100, 40), (200, 4), True),
            ((100, 100), (200, 4), True),
            ((100, 4), (200, 8), False),
            ((100, 0), (200, 100), False),  # better
            ((49, 49), (200, 0), False),  # too few attempts
            ((100, 100), (49, 0), False),  # nothing to compare with
            ((0, 0), (200, 0), False),
            ((10_000, 300), (10_000, 100), False),  # beyond chance, and only 2 % of all
            ((60, 6), (60, 2), False),  # 7 % more, which may be chance
            ((100, 900), (100, -3), True),  # figures that make no sense are cut
        ],
    )
    def test_stops_when_more_fail_than_chance_explains(
        self, new: tuple[int, int], before: tuple[int, int], *, stops: bool
    ) -> None:
        found = self.compared(new, before)

        assert found is (RolloutState.CALLS_FAIL if stops else RolloutState.UNDER_WAY)

    def test_stays_stopped_until_enough_attempts_say_otherwise(self) -> None:
        stopped, under_way = RolloutState.CALLS_FAIL, RolloutState.UNDER_WAY

        assert self.compared((49, 0), (200, 4), calls_failed=True) is stopped
        assert self.compared((50, 0), (200, 4), calls_failed=True) is under_way

    def test_begins_anew_when_no_new_pod_is_left(self) -> None:
        assert state(old(0), calls_failed=True) is RolloutState.UNDER_WAY

    def test_without_figures_nothing_is_said(self) -> None:
        assert state(old(0), pod(1)) is RolloutState.UNDER_WAY
        found = rollout(cluster(), observed(old(0), pod(1))).compared
        assert found is not None
        assert not found.telling

    def test_a_pool_has_its_own_least_number(self) -> None:
        few = pool(min_attempts=10)

        assert self.compared((20, 20), (20, 0), spec=few) is RolloutState.CALLS_FAIL
        assert self.compared((20, 20), (20, 0)) is RolloutState.UNDER_WAY

    def test_what_a_draining_relay_refuses_is_not_compared(self) -> None:
        bad, well = (200, 80), (200, 2)

        assert self.compared(bad, well, draining=True) is RolloutState.CALLS_FAIL
        assert self.compared(bad, well, draining=True, spec=pool()) is RolloutState.UNDER_WAY

    def test_no_attempts_compare_with_nothing(self) -> None:
        assert not Comparison(Connections(0, 0), Connections(0, 0), least=0).worse
