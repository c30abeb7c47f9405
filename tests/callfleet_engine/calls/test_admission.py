"""Counts and limits."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    MultipleResults,
    RuleBasedStateMachine,
    consumes,
    invariant,
    multiple,
    precondition,
    rule,
)

from callfleet_engine.calls.admission import AdmissionControl, Ticket, new_call_limit
from callfleet_engine.drain import Drain, Occupancy
from callfleet_engine.errors import CallError
from callfleet_engine.limits import FixedLimits, Limits
from tests.hypothesis_profiles import examples


def control(capacity: int = 10, percent: int = 80) -> AdmissionControl:
    limits = Limits(
        capacity_participants=capacity,
        target_utilization_percent=percent - 10,
        new_call_limit_percent=percent,
    )
    return AdmissionControl(Drain(), FixedLimits(limits))


def refused(admission: AdmissionControl, room: str) -> str:
    with pytest.raises(CallError) as error:
        admission.begin_join(room)
    assert error.value.remedy
    assert error.value.retry_after_ms is not None
    return error.value.code


def test_a_new_call_keeps_a_place_for_its_second_participant() -> None:
    admission = control(capacity=10, percent=80)
    for room in "abcd":
        admission.begin_join(room).admit()
    assert (admission.participants, admission.committed) == (4, 8)
    assert refused(admission, "e") == "full"


def test_a_running_call_may_fill_the_capacity() -> None:
    admission = control(capacity=10)
    for _ in range(10):
        admission.begin_join("a").admit()
    assert refused(admission, "a") == "full"


def test_joins_under_way_count() -> None:
    admission = control(capacity=2)
    first, second = admission.begin_join("a"), admission.begin_join("a")
    assert refused(admission, "a") == "full"
    second.release()
    admission.begin_join("a").admit()
    first.admit()
    assert (admission.participants, admission.pending_joins, admission.calls) == (2, 0, 1)


def test_an_empty_pod_takes_a_call_however_small_it_is() -> None:
    control(capacity=1, percent=20).begin_join("a").admit()


def test_a_draining_pod_takes_joins_and_no_new_call() -> None:
    drain = Drain()
    admission = AdmissionControl(drain, FixedLimits(Limits()))
    admission.begin_join("a").admit()
    drain.begin("one")
    admission.begin_join("a").admit()
    assert refused(admission, "b") == "draining"


def test_a_sealed_pod_takes_nothing() -> None:
    drain = Drain()
    admission = AdmissionControl(drain, FixedLimits(Limits()))
    drain.begin("one")
    drain.seal("one", admission.occupancy)
    assert refused(admission, "a") == "sealed"


def test_a_call_that_moves_here_may_fill_the_capacity_not_more() -> None:
    admission = control(capacity=10, percent=80)
    admission.begin_join("a").admit()
    assert refused_move(admission, "b", people=9) == "full"
    admission.begin_join("b", moving=8).admit()


def refused_move(admission: AdmissionControl, room: str, people: int) -> str:
    with pytest.raises(CallError) as error:
        admission.begin_join(room, moving=people)
    return error.value.code


def test_those_who_are_expected_have_their_places() -> None:
    admission = control(capacity=4)
    admission.begin_join("a", moving=4).admit()
    admission.expect("a", 3)
    assert (admission.participants, admission.committed, admission.calls) == (1, 4, 1)
    assert refused(admission, "a") == "full"
    ticket = admission.begin_join("a", returning=True)
    admission.expect("a", 2)
    ticket.admit()
    assert admission.committed == 4
    admission.expect("a", 0)
    admission.begin_join("a").admit()


def test_a_pod_that_expects_people_is_not_empty() -> None:
    drain = Drain()
    admission = AdmissionControl(drain, FixedLimits(Limits()))
    admission.begin_join("a", moving=2).admit()
    admission.expect("a", 1)
    admission.leave("a")
    drain.begin("one")
    assert admission.occupancy == Occupancy(calls=1, joins=0)
    admission.begin_join("a", returning=True).release()
    admission.expect("a", 0)
    assert admission.occupancy == Occupancy(calls=0, joins=0)


def test_a_ticket_is_settled_once() -> None:
    ticket = control().begin_join("a")
    ticket.admit()
    ticket.release()
    with pytest.raises(RuntimeError):
        ticket.admit()


@given(st.builds(Limits, capacity_participants=st.integers(1, 10_000)))
def test_the_new_call_limit_is_within_the_capacity(limits: Limits) -> None:
    assert 0 <= new_call_limit(limits) <= limits.capacity_participants


class Admissions(RuleBasedStateMachine):
    """Any order of joins, leaves and drains."""

    tickets: Bundle[tuple[str, Ticket]] = Bundle("tickets")
    rooms = st.sampled_from("abcd")

    def __init__(self) -> None:
        super().__init__()
        self.limits = Limits(
            capacity_participants=7, target_utilization_percent=60, new_call_limit_percent=80
        )
        self.drain = Drain()
        self.admission = AdmissionControl(self.drain, FixedLimits(self.limits))
        self.present: dict[str, int] = {}
        self.pending: dict[str, int] = {}
        self.refused: list[tuple[str, bool]] = []

    @rule(target=tickets, room=rooms)
    def join(self, room: str) -> tuple[str, Ticket] | MultipleResults[tuple[str, Ticket]]:
        new = not self.present.get(room) and not self.pending.get(room)
        before = self.admission.committed
        try:
            ticket = self.admission.begin_join(room)
        except CallError as error:
            self.refused.append((error.code, new))
            return multiple()
        if new:
            assert self.drain.admission.value == "open"
            assert before == 0 or self.admission.committed <= new_call_limit(self.limits)
        self.pending[room] = self.pending.get(room, 0) + 1
        return room, ticket

    @rule(held=consumes(tickets), admit=st.booleans())
    def settle(self, held: tuple[str, Ticket], admit: bool) -> None:
        room, ticket = held
        if admit:
            ticket.admit()
            self.present[room] = self.present.get(room, 0) + 1
        else:
            ticket.release()
        self.pending[room] -= 1

    @precondition(lambda self: any(self.present.values()))
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        room = data.draw(st.sampled_from([r for r, count in self.present.items() if count]))
        self.admission.leave(room)
        self.present[room] -= 1

    @rule()
    def begin_drain(self) -> None:
        self.drain.begin("one")

    @precondition(lambda self: self.drain.drain_id)
    @rule()
    def undrain(self) -> None:
        self.drain.cancel("one")

    @invariant()
    def counts_are_exact(self) -> None:
        calls = sum(1 for count in self.present.values() if count)
        assert self.admission.participants == sum(self.present.values())
        assert self.admission.pending_joins == sum(self.pending.values())
        assert self.admission.occupancy == Occupancy(calls, sum(self.pending.values()))

    @invariant()
    def only_new_calls_are_refused_for_draining(self) -> None:
        assert ("draining", False) not in self.refused

    @invariant()
    def never_more_than_the_capacity(self) -> None:
        taken = self.admission.participants + self.admission.pending_joins
        assert taken <= self.limits.capacity_participants


TestAdmissions = Admissions.TestCase
TestAdmissions.settings = settings(max_examples=examples(60), stateful_step_count=40, deadline=None)
