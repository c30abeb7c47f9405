"""Every state of a fleet of four pods and six participants; `python -m tests.model` has more.

The number of states stands here so that a change of the plan that opens or closes ways is seen. A
new number is right when the search still closes and the change is meant; then write it here.
"""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from callfleet_operator.api.v1alpha1 import CallClusterSpec
from callfleet_operator.observation import Admission, Observation
from callfleet_operator.plan import engines
from callfleet_operator.plan import steps as plan_steps
from callfleet_operator.plan.decision import Decision, Delete, Drain, Memory, Step
from tests.model.fleet import Model, Pod, Remembered, State
from tests.model.search import BrokenRuleError, search

pytestmark = pytest.mark.slow

CHECKOUT = Path(__file__).parents[3]

SMALL = Model(max_replicas=2, max_total=2, participants=3)


def test_every_state_of_a_fleet_is_as_it_must_be() -> None:
    """In a process of its own, as people start it: under coverage it takes three times as long."""
    fleet = ("--pods=4", "--participants=6", "--capacity=2")
    done = subprocess.run(
        [sys.executable, "-m", "tests.model", *fleet],
        cwd=CHECKOUT, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    found, steps = done.stdout.splitlines()
    assert found.startswith("53580 states, 424621 transitions; at rest after 15 ticks at most; ")
    assert steps == "steps taken: Cordon, Create, Delete, Drain, Undrain"


def test_every_state_of_a_small_fleet_is_as_it_must_be() -> None:
    found = search(SMALL)

    assert found.closed
    assert found.states == 1412
    assert found.longest_settling <= 9


def test_a_search_that_is_cut_short_says_so() -> None:
    assert not search(SMALL, most_states=100).closed


TWO = Model(max_replicas=2, max_total=2, participants=2)


def test_it_finds_a_pod_deleted_in_use(monkeypatch: pytest.MonkeyPatch) -> None:
    real = plan_steps.next_steps

    def careless(
        decision: Decision, seen: Observation, *, max_total: int, revision: str
    ) -> tuple[Step, ...]:
        """Deletes what it should ask to seal itself."""
        steps = real(decision, seen, max_total=max_total, revision=revision)
        return tuple(Delete(one.pod, "none") if isinstance(one, Drain) else one for one in steps)

    monkeypatch.setattr(plan_steps, "next_steps", careless)
    with pytest.raises(BrokenRuleError, match="had calls"):
        search(replace(TWO))


def test_it_finds_a_cycle(monkeypatch: pytest.MonkeyPatch) -> None:
    real = engines.plan

    def restless(
        spec: CallClusterSpec, seen: Observation, memory: Memory
    ) -> tuple[Decision, Memory]:
        """Wants one pod and two in turn, as long as it sees anything."""
        decision, after = real(spec, seen, memory)
        if seen.metrics.problem or memory.desired_open is None:
            return decision, after
        other = 3 - memory.desired_open
        turned = replace(decision, desired_open=other, drain_above=other)
        return turned, replace(after, desired_open=other)

    monkeypatch.setattr(engines, "plan", restless)
    with pytest.raises(BrokenRuleError, match="no rest"):
        search(replace(TWO))


def test_it_finds_a_drain_on_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    real = engines.plan

    def blind(spec: CallClusterSpec, seen: Observation, memory: Memory) -> tuple[Decision, Memory]:
        decision, after = real(spec, seen, memory)
        return replace(decision, drain_above=1), after

    monkeypatch.setattr(engines, "plan", blind)
    with pytest.raises(BrokenRuleError, match="1 of 2 pods are left"):
        search(replace(TWO))


def test_states_that_differ_in_the_order_of_their_pods_are_one() -> None:
    used, empty = Pod(ready=True, used=1), Pod(ready=True)
    memory = Remembered(desired=2, recommendations=((1, 2), (0, 2)), reported=2)
    model = Model(max_replicas=2, max_total=2, participants=3)

    arrivals = [
        after for name, after, _ in model.events(State((empty, empty), memory)) if "arrive" in name
    ]

    assert arrivals == [State((empty, used), memory)]


def test_a_surplus_pod_may_be_any_that_looks_the_same() -> None:
    pods = (Pod(ready=True, used=0), Pod(ready=True, used=2))
    silent = State(pods, Remembered(desired=2, reported=2), silent=True)
    model = Model(max_replicas=1, max_total=2, participants=3)

    left = {
        tuple(one.used for one in made.after.pods if one.admission is Admission.OPEN)
        for made in model.rounds(silent)
    }

    assert left == {(0,), (2,)}
