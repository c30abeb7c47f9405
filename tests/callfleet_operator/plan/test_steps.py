"""Which step each pod takes next, example by example."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

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
            pod(1, admission=CORDONED),
            pod(2, admission=SEALED),
        )

        assert created(steps(decided(2), *others)) == [3, 4]

    def test_max_total_counts_every_pod_that_exists(self) -> None:
        others = (pod(0, terminating=True), pod(1, admission=CORDONED))

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


def drained(ordinal: int = 1, **fields: Any) -> FleetPod:  # noqa: ANN401  # as of `pod`
    """A pod that was one too many."""
    return pod(ordinal, **{"admission": CORDONED, "drain_reason": Reason.SURPLUS} | fields)


class TestUndrain:
    def reopened(self, taken: tuple[Step, ...]) -> list[int]:
        return [step.pod.ordinal for step in taken if isinstance(step, Undrain)]

    def test_a_draining_pod_is_reopened_before_a_new_one_is_made(self) -> None:
        draining = drained(load=known(30))

        taken = steps(decided(3), pod(0), draining)

        assert (self.reopened(taken), created(taken)) == ([1], [2])
        assert not any(isinstance(step, Drain) for step in taken)

    def test_the_one_that_would_be_drained_last_comes_first(self) -> None:
        pods = [drained(n, load=known(used)) for n, used in enumerate((9, 40, 3))]

        taken = steps(decided(2), *pods)

        assert self.reopened(taken) == [1, 0]
        assert [step.pod.ordinal for step in taken if isinstance(step, Drain)] == [2]

    def test_it_needs_no_room(self) -> None:
        taken = steps(decided(2), pod(0), drained(), max_total=2)

        assert self.reopened(taken) == [1]

    @pytest.mark.parametrize(
        "kept",
        [
            drained(admission=SEALED),
            drained(terminating=True),
            drained(revision="older"),
            drained(node="gone"),
            drained(ready=False),
            drained(address=""),
            drained(requested=True),
            drained(drain_reason=Reason.DRAIN_REQUESTED, requested=True),
            drained(drain_reason=""),  # by hand
        ],
    )
    def test_some_are_never_reopened(self, kept: FleetPod) -> None:
        taken = steps(decided(2), pod(0), kept, gone="gone")

        assert (self.reopened(taken), created(taken)) == ([], [2])

    def test_one_that_has_refused_is_not_waited_for(self) -> None:
        draining = drained()
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
        leaving = pod(1, admission=CORDONED)

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


class TestRequests:
    """A drain that a person has asked for, and taken back."""

    def test_a_replacement_comes_first(self) -> None:
        asked = pod(0, requested=True)

        taken = steps(decided(2), asked, pod(1))

        assert (created(taken), cordoned(taken)) == ([2], [])

    def test_then_the_pod_is_cordoned_for_this_reason(self) -> None:
        (cordon,) = steps(decided(2), pod(0, requested=True, load=known(50)), pod(1), pod(2))

        assert isinstance(cordon, Cordon)
        assert (cordon.pod.ordinal, cordon.reason) == (0, Reason.DRAIN_REQUESTED)

    def test_without_room_for_a_replacement_it_goes_all_the_same(self) -> None:
        taken = steps(decided(1), pod(0, requested=True), max_total=1)

        assert (created(taken), cordoned(taken)) == ([], [0])

    def test_a_request_is_not_scale_in(self) -> None:
        taken = steps(decided(2, drain_above=10), pod(0, requested=True), pod(1), pod(2))

        assert cordoned(taken) == [0]

    def test_taken_back_the_pod_reopens(self) -> None:
        draining = pod(0, admission=CORDONED, drain_reason=Reason.DRAIN_REQUESTED)

        (step,) = steps(decided(1), draining, pod(1))

        assert isinstance(step, Undrain)
        assert step.pod == draining

    def test_taken_back_no_other_pod_is_made_in_its_place(self) -> None:
        draining = pod(0, admission=CORDONED, drain_reason=Reason.DRAIN_REQUESTED)

        (step,) = steps(decided(2), draining, pod(1))

        assert isinstance(step, Undrain)
        assert step.pod == draining

    def test_as_long_as_it_stands_the_drain_goes_on(self) -> None:
        draining = pod(0, admission=CORDONED, drain_reason=Reason.DRAIN_REQUESTED, requested=True)

        assert steps(decided(1), draining, pod(1)) == (Drain(draining),)

    def test_a_drain_for_another_reason_is_not_taken_back(self) -> None:
        draining = pod(0, admission=CORDONED, drain_reason=Reason.SURPLUS)

        assert steps(decided(1), draining, pod(1)) == (Drain(draining),)

    def test_a_sealed_pod_never_reopens(self) -> None:
        sealed = pod(0, admission=SEALED, drain_reason=Reason.DRAIN_REQUESTED)

        assert steps(decided(1), sealed, pod(1)) == (Delete(sealed, Reason.SEALED),)

    def test_paused_nothing_is_done(self) -> None:
        draining = pod(0, admission=CORDONED, drain_reason=Reason.DRAIN_REQUESTED)

        assert steps(decided(1, steering=Steering.NONE), draining, pod(1, requested=True)) == ()

    def test_dry_run_begins_none(self) -> None:
        taken = steps(
            decided(1, steering=Steering.DRAINS_ONLY), pod(0, requested=True), pod(1), pod(2)
        )

        assert taken == ()
