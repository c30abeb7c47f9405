"""Which step each pod takes next, example by example."""

from __future__ import annotations

from dataclasses import replace

import pytest

from callfleet_operator.observation import Admission, FleetPod, Process
from callfleet_operator.plan.decision import (
    Cordon,
    Create,
    Decision,
    Delete,
    Drain,
    Proposal,
    Steering,
    Step,
    Undrain,
)
from callfleet_operator.plan.reasons import Reason
from callfleet_operator.plan.steps import next_steps
from tests.callfleet_operator.plan.samples import (
    REVISION,
    known,
    loaded,
    observed,
    pod,
    starting,
    unknown,
)

CORDONED, SEALED = Admission.CORDONED, Admission.SEALED


def decided(
    desired: int, *, drain_above: int | None = None, steering: Steering = Steering.FULL
) -> Decision:
    return Decision(
        present_open=desired,
        desired_open=desired,
        would_scale_to=desired,
        asked=Proposal.exactly(desired),
        steering=steering,
        drain_above=desired if drain_above is None else drain_above,
        limited=None,
        trace=(),
    )


def steps(
    decision: Decision, *pods: FleetPod, gone: str = "", max_total: int = 10
) -> tuple[Step, ...]:
    nodes = frozenset({gone} if gone else ())
    seen = observed(*pods, unavailable_nodes=nodes)
    return next_steps(decision, seen, max_total=max_total, revision=REVISION)


def cordoned(taken: tuple[Step, ...]) -> list[int]:
    return [step.pod.ordinal for step in taken if isinstance(step, Cordon)]


def created(taken: tuple[Step, ...]) -> list[int]:
    return [step.ordinal for step in taken if isinstance(step, Create)]


class TestCreate:
    def test_takes_the_lowest_free_ordinals(self) -> None:
        assert steps(decided(4), pod(1), pod(3)) == (Create(0), Create(2))

    def test_terminating_draining_and_sealed_pods_hold_their_ordinals(self) -> None:
        others = (
            pod(0, terminating=True),
            pod(1, admission=CORDONED, drain_reason=Reason.REQUESTED),
            pod(2, admission=SEALED),
        )

        assert created(steps(decided(2), *others)) == [3, 4]

    def test_max_total_counts_every_pod_that_exists(self) -> None:
        asked = pod(1, admission=CORDONED, drain_reason=Reason.REQUESTED)
        others = (pod(0, terminating=True), asked)

        assert created(steps(decided(5), *others, max_total=4)) == [2, 3]
        assert created(steps(decided(5), *others, max_total=2)) == []

    def test_waits_for_pods_that_start(self) -> None:
        assert steps(decided(3), pod(0), starting(1), starting(2)) == ()

    def test_replaces_a_pod_that_does_not_start_once_and_leaves_it(self) -> None:
        stuck = starting(1, age=600)

        assert steps(decided(2), pod(0), stuck) == (Create(2),)
        assert steps(decided(2), pod(0), stuck, starting(2)) == ()


class TestFinish:
    def test_a_cordoned_pod_is_told_to_drain_each_round(self) -> None:
        draining = pod(1, admission=CORDONED, load=known(5))

        assert steps(decided(1), pod(0), draining) == (Drain(draining),)

    def test_a_sealed_pod_is_deleted(self) -> None:
        sealed = pod(1, admission=SEALED)

        assert steps(decided(1), pod(0), sealed) == (Delete(sealed, Reason.SEALED),)

    def test_a_terminating_pod_is_left_alone(self) -> None:
        assert steps(decided(1), pod(0), pod(1, admission=SEALED, terminating=True)) == ()

    def test_a_cordoned_pod_without_a_process_cannot_answer_and_is_deleted(self) -> None:
        dead = pod(1, admission=CORDONED, ready=False, process=Process.NEVER_STARTED)

        assert steps(decided(1), pod(0), dead) == (Delete(dead, Reason.NO_PROCESS),)

    def test_a_cordoned_pod_that_may_run_is_never_deleted_however_empty_it_looks(self) -> None:
        draining = pod(1, admission=CORDONED, load=known(0), ready=False)

        assert steps(decided(1), pod(0), draining) == (Drain(draining),)

    def test_a_pod_without_an_address_cannot_be_told(self) -> None:
        assert steps(decided(1), pod(0), pod(1, admission=CORDONED, address="")) == ()

    def test_dry_run_finishes_drains_and_begins_nothing(self) -> None:
        draining, sealed = pod(4, admission=CORDONED), pod(5, admission=SEALED)
        decision = decided(1, steering=Steering.DRAINS_ONLY)

        taken = steps(decision, pod(0), pod(1), draining, sealed)

        assert taken == (Delete(sealed, Reason.SEALED), Drain(draining))

    def test_paused_does_nothing(self) -> None:
        decision = decided(3, steering=Steering.NONE)

        assert steps(decision, pod(0), pod(4, admission=CORDONED)) == ()


class TestVictims:
    @pytest.mark.parametrize(
        ("pods", "victim"),
        [
            (loaded(5, 2, 9), 1),
            ((pod(0), pod(1), starting(2)), 2),  # empty and not even ready
            ((pod(0, load=known(3)), pod(1, load=unknown()), pod(2, load=known(4))), 0),
            ((pod(0), pod(1, revision="older"), pod(2)), 1),
            ((pod(0, zone="a"), pod(1, zone="b"), pod(2, zone="b")), 2),
            ((pod(0, zone="a"), pod(1, zone="a"), pod(2, zone="b")), 1),
            (loaded(0, 0, 0), 2),
        ],
    )
    def test_the_pod_that_is_missed_least_goes(
        self, pods: tuple[FleetPod, ...], victim: int
    ) -> None:
        assert cordoned(steps(decided(2), *pods)) == [victim]

    def test_zones_stay_balanced_over_several_victims(self) -> None:
        zones = "aaabb"
        pods = [pod(ordinal, zone=zone) for ordinal, zone in enumerate(zones)]

        left = {0, 1, 2, 3, 4} - set(cordoned(steps(decided(2), *pods)))

        assert {zones[ordinal] for ordinal in left} == {"a", "b"}

    def test_a_ready_pod_stays_while_its_successors_start(self) -> None:
        pods = (*loaded(0, 50), starting(2, load=known(70)))

        assert cordoned(steps(decided(2), *pods)) == [2]

    def test_nothing_is_cordoned_below_what_the_data_allow(self) -> None:
        assert cordoned(steps(decided(2, drain_above=9), *loaded(0, 0, 0, 0))) == []

    def test_without_a_rollout_pods_of_an_older_revision_are_left_alone(self) -> None:
        assert steps(decided(2), pod(0, revision="older"), pod(1)) == ()

    @pytest.mark.parametrize(
        ("zones", "victim"), [(("", "", "a"), 1), (("", "a", "a"), 2), (("", "", ""), 2)]
    )
    def test_pods_of_unknown_zone_count_as_one_zone(
        self, zones: tuple[str, ...], victim: int
    ) -> None:
        pods = [pod(ordinal, zone=zone) for ordinal, zone in enumerate(zones)]

        assert cordoned(steps(decided(2), *pods)) == [victim]


class TestUndrain:
    def reopened(self, taken: tuple[Step, ...]) -> list[int]:
        return [step.pod.ordinal for step in taken if isinstance(step, Undrain)]

    def test_a_draining_pod_is_reopened_before_a_new_one_is_made(self) -> None:
        draining = pod(1, admission=CORDONED, load=known(30))

        taken = steps(decided(3), pod(0), draining)

        assert (self.reopened(taken), created(taken)) == ([1], [2])
        assert not any(isinstance(step, Drain) for step in taken)

    def test_the_one_that_would_be_drained_last_comes_first(self) -> None:
        pods = [pod(n, admission=CORDONED, load=known(used)) for n, used in enumerate((9, 40, 3))]

        taken = steps(decided(2), *pods)

        assert self.reopened(taken) == [1, 0]
        assert [step.pod.ordinal for step in taken if isinstance(step, Drain)] == [2]

    def test_it_needs_no_room(self) -> None:
        taken = steps(decided(2), pod(0), pod(1, admission=CORDONED), max_total=2)

        assert self.reopened(taken) == [1]

    @pytest.mark.parametrize(
        "kept",
        [
            pod(1, admission=SEALED),
            pod(1, admission=CORDONED, terminating=True),
            pod(1, admission=CORDONED, revision="older"),
            pod(1, admission=CORDONED, node="gone"),
            pod(1, admission=CORDONED, ready=False),
            pod(1, admission=CORDONED, address=""),
            pod(1, admission=CORDONED, drain_reason=Reason.REQUESTED),
            pod(1, admission=CORDONED, drain_reason=""),  # by whom is not known
        ],
    )
    def test_some_are_never_reopened(self, kept: FleetPod) -> None:
        taken = steps(decided(2), pod(0), kept, gone="gone")

        assert (self.reopened(taken), created(taken)) == ([], [2])

    def test_one_that_has_refused_is_not_waited_for(self) -> None:
        draining = pod(1, admission=CORDONED)
        seen = replace(observed(pod(0), draining), unwilling=frozenset({draining.uid}))

        taken = next_steps(decided(2), seen, max_total=10, revision=REVISION)

        assert (self.reopened(taken), created(taken)) == ([], [2])

    def test_a_pod_that_somebody_has_labelled_open_is_told_so(self) -> None:
        opened = replace(pod(0), drain_id="drain-0")

        assert self.reopened(steps(decided(1), opened)) == [0]
        dry = decided(1, steering=Steering.DRAINS_ONLY)
        assert self.reopened(steps(dry, opened)) == [0]


class TestUnavailableNodes:
    def test_a_replacement_is_made_before_the_pod_is_drained(self) -> None:
        old = pod(0, node="gone", load=known(20))

        assert steps(decided(1), old, gone="gone") == (Create(1),)
        assert steps(decided(1), old, starting(1), gone="gone") == ()
        assert cordoned(steps(decided(1), old, pod(1), gone="gone")) == [0]

    def test_as_many_are_drained_as_are_replaced_the_emptiest_first(self) -> None:
        old = [pod(ordinal, node="gone", load=known(10 - ordinal)) for ordinal in range(3)]

        taken = steps(decided(3), *old, pod(3), starting(4), starting(5), gone="gone")

        assert cordoned(taken) == [2]

    def test_where_there_is_no_room_for_a_replacement_one_is_drained_first(self) -> None:
        old = pod(0, node="gone", load=known(20))

        assert cordoned(steps(decided(1), old, gone="gone", max_total=1)) == [0]

    def test_not_while_another_pod_makes_room(self) -> None:
        old = pod(0, node="gone")
        leaving = pod(1, admission=CORDONED, drain_reason=Reason.REQUESTED)

        taken = steps(decided(1), old, leaving, gone="gone", max_total=2)

        assert taken == (Drain(leaving),)

    def test_it_needs_no_data(self) -> None:
        old = pod(0, node="gone", load=unknown())
        decision = decided(1, drain_above=20)

        assert cordoned(steps(decision, old, pod(1), gone="gone")) == [0]


class TestPodsWithoutAProcess:
    def failing(self, process: Process, revision: str = REVISION) -> FleetPod:
        return pod(
            1,
            ready=False,
            ready_for=600,
            failure="CrashLoopBackOff",
            process=process,
            revision=revision,
        )

    def test_an_ended_pod_is_removed_and_replaced(self) -> None:
        taken = steps(decided(2), pod(0), self.failing(Process.ENDED))

        assert (cordoned(taken), created(taken)) == ([1], [2])

    def test_a_failing_pod_of_the_present_revision_is_kept_and_may_recover(self) -> None:
        taken = steps(decided(2), pod(0), self.failing(Process.STOPPED))

        assert (cordoned(taken), created(taken)) == ([], [2])

    def test_a_failing_pod_of_an_older_revision_makes_room_for_the_corrected_one(self) -> None:
        taken = steps(
            decided(1), self.failing(Process.NEVER_STARTED, revision="older"), max_total=1
        )

        assert (cordoned(taken), created(taken)) == ([1], [])

    def test_a_failing_pod_that_may_run_is_not_removed_for_its_revision(self) -> None:
        taken = steps(decided(1), self.failing(Process.POSSIBLE, revision="older"), max_total=1)

        assert taken == ()

    def test_a_failing_pod_goes_once_enough_others_serve(self) -> None:
        taken = steps(decided(1, drain_above=20), pod(0), self.failing(Process.STOPPED))

        assert cordoned(taken) == [1]

    def test_a_broken_pod_that_may_run_goes_only_on_known_data(self) -> None:
        broken = self.failing(Process.POSSIBLE)

        assert cordoned(steps(decided(1, drain_above=20), pod(0), broken)) == []
        assert cordoned(steps(decided(1), pod(0), broken)) == [1]
