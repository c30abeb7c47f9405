"""What a fleet does during a rollout: example by example."""

from __future__ import annotations

from dataclasses import replace

import pytest

from callfleet_operator.api.v1alpha1 import CallClusterSpec
from callfleet_operator.observation import Connections, FleetPod, Observation, Process
from callfleet_operator.plan import engines
from callfleet_operator.plan.decision import Cordon, Create, Decision, Memory, Step, Undrain
from callfleet_operator.plan.fleet import fleet_of
from callfleet_operator.plan.reasons import Reason
from callfleet_operator.plan.rollout import has_no_room, rollout
from callfleet_operator.plan.steps import next_steps
from tests.callfleet_operator.plan.rollouts import old, replaced, stuck
from tests.callfleet_operator.plan.samples import (
    OLDER,
    REVISION,
    cluster,
    observed,
    pod,
    starting,
    unknown,
)

OLDEST = "oldest"


def steps(
    *pods: FleetPod,
    desired: int,
    spec: CallClusterSpec | None = None,
    seen: Observation | None = None,
    drain_above: int | None = None,
) -> tuple[Step, ...]:
    spec = spec or cluster(min_replicas=1)
    seen = seen or observed(*pods)
    decision = replace(
        decided(spec, seen), desired_open=desired, drain_above=drain_above or desired
    )
    return next_steps(
        decision,
        seen,
        max_total=spec.max_total_replicas,
        revision=REVISION,
        rollout=rollout(spec, seen),
    )


def decided(spec: CallClusterSpec, seen: Observation) -> Decision:
    return engines.plan(spec, seen, Memory())[0]


def made(taken: tuple[Step, ...]) -> int:
    return sum(1 for step in taken if isinstance(step, Create))


def cordoned(taken: tuple[Step, ...]) -> list[tuple[int, str]]:
    return [(step.pod.ordinal, step.reason) for step in taken if isinstance(step, Cordon)]


def reopened(taken: tuple[Step, ...]) -> list[int]:
    return [step.pod.ordinal for step in taken if isinstance(step, Undrain)]


class TestSteps:
    def test_a_new_pod_is_made_beside_the_old_ones(self) -> None:
        assert steps(old(0), old(1), desired=2) == (Create(2),)
        assert steps(old(0), old(1), starting(2), desired=2) == ()

    def test_max_surge_says_how_many(self) -> None:
        spec = cluster(rollout={"maxSurge": 3})
        pods = [old(ordinal) for ordinal in range(5)]

        assert made(steps(*pods, desired=5, spec=spec)) == 3
        assert made(steps(*pods[:2], desired=2, spec=spec)) == 2, "as many as there are old ones"

    def test_max_total_bounds_it(self) -> None:
        spec = cluster(max_replicas=5, max_total_replicas=6, rollout={"maxSurge": 3})

        assert made(steps(*[old(ordinal) for ordinal in range(5)], desired=5, spec=spec)) == 1

    def test_an_old_pod_is_drained_once_a_new_one_is_ready(self) -> None:
        taken = steps(old(0, 9), old(1, 3), pod(2), desired=2)

        assert cordoned(taken) == [(1, Reason.OUTDATED)]
        assert made(taken) == 0

    def test_the_next_waits_until_the_last_is_gone(self) -> None:
        waiting = steps(old(0), replaced(1), pod(2), desired=2)
        after = steps(old(0), pod(2), desired=2)

        assert (made(waiting), cordoned(waiting)) == (0, [])
        assert made(after) == 1

    def test_the_oldest_revision_goes_first(self) -> None:
        pods = (old(0), old(1, revision=OLDEST), old(2), pod(3))
        seen = observed(*pods, revisions=(OLDEST, OLDER, REVISION))

        assert cordoned(steps(desired=3, seen=seen)) == [(1, Reason.OUTDATED)]

    def test_the_surge_is_no_surplus(self) -> None:
        assert cordoned(steps(old(0), old(1), starting(2), desired=2)) == []

    def test_scaling_in_meanwhile_takes_old_pods_however_full(self) -> None:
        taken = steps(old(0, 40), old(1, 50), old(2, 60), pod(3), desired=2)

        assert cordoned(taken) == [(0, Reason.SURPLUS), (1, Reason.OUTDATED)]

    def test_scaling_out_meanwhile_makes_new_pods(self) -> None:
        assert made(steps(old(0), old(1), starting(2), desired=4)) == 2

    def test_no_data_of_the_load_are_needed(self) -> None:
        silent = pod(0, load=unknown(), revision=OLDER)

        taken = steps(silent, pod(1), desired=1, drain_above=20)

        assert cordoned(taken) == [(0, Reason.OUTDATED)]

    def test_an_old_pod_that_does_not_serve_goes_once_enough_others_do(self) -> None:
        broken = replace(stuck(0, Process.POSSIBLE), revision=OLDER, failed=False)

        assert cordoned(steps(broken, pod(1), desired=1)) == [(0, Reason.OUTDATED)]
        assert cordoned(steps(broken, starting(1), desired=1)) == []

    def test_on_delete_only_pods_that_are_made_anyway_are_new(self) -> None:
        spec = cluster(rollout={"strategy": "OnDelete"})

        assert steps(old(0), old(1), desired=2, spec=spec) == ()
        assert steps(old(0), desired=2, spec=spec) == (Create(1),)

    def test_a_node_that_goes_is_emptied_beside_it(self) -> None:
        away = replace(old(0), node="gone")
        gone = frozenset({"gone"})

        first = steps(desired=2, seen=observed(away, old(1), unavailable_nodes=gone))
        then = observed(away, old(1), pod(2), pod(3), unavailable_nodes=gone)

        assert made(first) == 2
        assert cordoned(steps(desired=2, seen=then)) == [
            (1, Reason.OUTDATED),
            (0, Reason.NODE_UNAVAILABLE),
        ]


class TestStopped:
    def test_no_further_pod_is_made_and_no_old_one_drained(self) -> None:
        assert steps(old(0), old(1), stuck(2), desired=2) == ()
        spec = cluster(rollout={"maxSurge": 2})
        assert cordoned(steps(old(0), old(1), pod(2), stuck(3), desired=2, spec=spec)) == []

    @pytest.mark.parametrize("process", [Process.NEVER_STARTED, Process.STOPPED, Process.POSSIBLE])
    def test_the_witness_is_kept(self, process: Process) -> None:
        assert steps(old(0), old(1), stuck(2, process), desired=2) == ()

    def test_an_ended_one_is_replaced_as_ever(self) -> None:
        taken = steps(old(0), old(1), stuck(2, Process.ENDED), desired=2)

        assert cordoned(taken) == [(2, Reason.NO_PROCESS)]

    def test_the_load_is_still_followed_and_draining_old_pods_come_first(self) -> None:
        taken = steps(old(0), replaced(1), stuck(2), desired=3)

        assert (reopened(taken), made(taken)) == ([1], 1)

    def test_new_pods_that_wait_for_calls_are_no_surplus(self) -> None:
        counted = {"uid-0": Connections(200, 2), "uid-1": Connections(200, 90)}
        seen = observed(old(0), pod(1), connections=counted)

        assert steps(desired=1, seen=seen) == ()

    def test_what_is_made_meanwhile_may_start_slowly(self) -> None:
        pulling = replace(starting(3), revision=OLDER, failed=True, failure="ErrImagePull")

        assert steps(old(0), stuck(2), pulling, desired=2) == ()

    def test_a_corrected_spec_removes_what_has_failed(self) -> None:
        failed = replace(stuck(2), revision=OLDER)
        seen = observed(old(0, revision=OLDEST), failed, revisions=(OLDEST, OLDER, REVISION))

        taken = steps(desired=1, seen=seen)

        assert cordoned(taken) == [(2, Reason.NO_PROCESS)]
        assert made(taken) == 1


class TestRollback:
    BACK = (REVISION, OLDER)
    """The spec is as it was before."""

    def seen(self, *pods: FleetPod) -> Observation:
        return observed(*pods, revisions=self.BACK)

    def test_draining_pods_of_the_former_revision_are_reopened(self) -> None:
        first = steps(desired=2, seen=self.seen(old(0), replaced(1), pod(2)))

        assert (reopened(first), made(first), cordoned(first)) == ([1], 0, [])

    def test_then_the_pods_of_the_revision_that_was_given_up_go(self) -> None:
        taken = steps(desired=2, seen=self.seen(old(0), old(1), pod(2)))

        assert cordoned(taken) == [(2, Reason.OUTDATED)]

    def test_those_that_never_started_go_at_once(self) -> None:
        taken = steps(desired=2, seen=self.seen(old(0), old(1), stuck(2)))

        assert cordoned(taken) == [(2, Reason.NO_PROCESS)]


class TestWithoutRoom:
    ONE = cluster(max_replicas=1, max_total_replicas=1)
    """As every SQLite cluster."""

    def test_a_single_pod_is_drained_before_it_is_replaced(self) -> None:
        first = steps(old(0, 7), desired=1, spec=self.ONE)
        then = steps(replaced(0), desired=1, spec=self.ONE)

        assert cordoned(first) == [(0, Reason.OUTDATED)]
        assert made(then) == 0
        assert made(steps(desired=1, spec=self.ONE)) == 1

    def test_one_at_a_time_where_there_are_more(self) -> None:
        spec = cluster(min_replicas=3, max_replicas=3, max_total_replicas=3)

        assert len(cordoned(steps(old(0), old(1), old(2), desired=3, spec=spec))) == 1
        for other in (replaced(2), starting(2)):
            assert cordoned(steps(old(0), old(1), other, desired=3, spec=spec)) == []
        assert len(cordoned(steps(old(0), old(1), pod(2), desired=3, spec=spec))) == 1

    def test_one_that_does_not_serve_goes_first(self) -> None:
        spec = cluster(min_replicas=2, max_replicas=2, max_total_replicas=2)
        broken = replace(stuck(1, Process.POSSIBLE), revision=OLDER)

        assert cordoned(steps(old(0), broken, desired=2, spec=spec)) == [(1, Reason.OUTDATED)]

    def test_otherwise_it_waits_for_room(self) -> None:
        spec = cluster(min_replicas=1, max_replicas=3, max_total_replicas=3)
        pods = (old(0), old(1), old(2))
        seen = observed(*pods)

        assert steps(*pods, desired=3, spec=spec) == ()
        assert has_no_room(rollout(spec, seen), fleet_of(seen), 3, 3)
        assert not has_no_room(rollout(spec, seen), fleet_of(seen), 2, 3)
