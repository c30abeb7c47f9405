"""The schedule of work, with times given by the test."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from callfleet_operator.handlers.work import BACKOFF_FIRST, BACKOFF_MAX, LEAD, Schedule, backoff


def schedule() -> Schedule[str]:
    return Schedule(jitter=lambda: 0.0)


def test_keys_come_in_the_order_in_which_they_are_due() -> None:
    work = schedule()
    work.add("late", 3.0)
    work.add("first", 1.0)
    work.add("second", 1.0)
    assert [work.take(2.0), work.take(2.0), work.take(2.0)] == ["first", "second", None]
    assert work.next_due() == 3.0


def test_a_change_goes_ahead_of_what_comes_back_by_itself() -> None:
    work = schedule()
    for key in ("routine", "later"):
        work.add(key, 0.0)
        work.take(0.0)
    work.done("routine", 1.0)
    work.done("later", 3.0)
    work.add("changed", 5.0)
    assert [work.take(5.0) for _ in range(4)] == ["changed", "routine", "later", None]


def test_what_has_waited_long_goes_ahead_of_a_change() -> None:
    work = schedule()
    work.add("routine", 0.0)
    work.take(0.0)
    work.done("routine", 1.0)
    work.add("changed", 1.0 + LEAD)
    work.add("changed too", 1.1 + LEAD)
    taken = [work.take(2.0 + LEAD) for _ in range(3)]
    assert taken == ["changed", "routine", "changed too"]


def test_a_change_while_it_is_worked_on_goes_ahead_as_well() -> None:
    work = schedule()
    for key in ("a", "b"):
        work.add(key, 0.0)
        work.take(0.0)
    work.done("b", 1.0)
    work.add("a", 2.0)
    work.done("a", 15.0)
    assert [work.take(2.0), work.take(2.0)] == ["a", "b"]


def test_a_waiting_key_is_handed_out_once() -> None:
    work = schedule()
    work.add("a", 1.0)
    work.add("a", 1.0)
    work.add("a", 0.5)
    assert work.take(1.0) == "a"
    work.done("a", None)
    assert work.take(100.0) is None
    assert len(work) == 0


def test_adding_again_never_makes_a_key_later() -> None:
    work = schedule()
    work.add("a", 1.0)
    work.add("a", 50.0)
    assert work.take(1.0) == "a"


def test_a_key_being_worked_on_waits_for_its_end() -> None:
    work = schedule()
    work.add("a", 0.0)
    assert work.take(0.0) == "a"
    work.add("a", 0.0)
    assert work.take(10.0) is None
    work.done("a", 60.0)
    assert work.take(10.0) == "a"


def test_a_key_comes_back_after_the_tick() -> None:
    work = schedule()
    work.add("a", 0.0)
    work.take(0.0)
    work.done("a", 15.0)
    assert work.take(14.9) is None
    assert work.take(15.0) == "a"


def test_errors_delay_and_success_forgets_them() -> None:
    work = schedule()
    delays = []
    now = 0.0
    work.add("a", now)
    for _ in range(4):
        assert work.take(now) == "a"
        delays.append(work.failed("a", now))
        now += delays[-1]
    assert delays == [0.5, 1.0, 2.0, 4.0]
    assert work.take(now) == "a"
    work.done("a", now)
    assert work.take(now) == "a"
    assert work.failed("a", now) == 0.5


def test_an_error_waits_as_long_as_the_server_asks() -> None:
    work = schedule()
    work.add("a", 0.0)
    work.take(0.0)
    assert work.failed("a", 0.0, at_least=9.0) == 9.0


def test_a_change_does_not_bring_a_failing_key_back_sooner() -> None:
    work = schedule()
    work.add("a", 0.0)
    work.take(0.0)
    work.add("a", 0.0)
    delay = work.failed("a", 0.0)
    work.add("a", 0.1)
    assert work.take(delay - 0.01) is None
    assert work.take(delay) == "a"


def test_longest_wait_counts_waiting_and_running_keys() -> None:
    work = schedule()
    assert work.longest_wait(5.0) == 0.0
    work.add("a", 10.0)
    assert work.longest_wait(5.0) == 0.0
    assert work.longest_wait(12.0) == 2.0
    work.take(12.0)
    assert work.longest_wait(20.0) == 8.0
    work.done("a", None)
    assert work.longest_wait(20.0) == 0.0


@given(st.integers(1, 10_000), st.floats(0, 1, exclude_max=True))
def test_backoff_stays_within_its_bounds(errors: int, jitter: float) -> None:
    assert BACKOFF_FIRST / 2 <= backoff(errors, jitter) <= BACKOFF_MAX


class Working(RuleBasedStateMachine):
    """However calls are mixed, no key is worked on twice at once and none is lost."""

    def __init__(self) -> None:
        super().__init__()
        self.work = schedule()
        self.now = 0.0
        self.working: set[str] = set()
        self.wanted: set[str] = set()

    @rule(key=st.sampled_from("abcd"), delay=st.floats(0, 5))
    def add(self, key: str, delay: float) -> None:
        self.work.add(key, self.now + delay)
        self.wanted.add(key)

    @rule(passed=st.floats(0, 10))
    def wait(self, passed: float) -> None:
        self.now += passed

    @rule()
    def take(self) -> None:
        key = self.work.take(self.now)
        if key is not None:
            assert key not in self.working
            self.working.add(key)
            self.wanted.discard(key)

    @precondition(lambda self: self.working)
    @rule(data=st.data())
    def done(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.working)))
        self.working.remove(key)
        self.work.done(key, None)

    @precondition(lambda self: self.working)
    @rule(data=st.data())
    def fail(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.working)))
        self.working.remove(key)
        self.work.failed(key, self.now)
        self.wanted.add(key)

    @invariant()
    def nothing_is_lost(self) -> None:
        assert len(self.work) == len(self.wanted | self.working)
        if self.wanted - self.working:
            assert self.work.next_due() is not None

    def teardown(self) -> None:
        for key in sorted(self.working):
            self.work.done(key, None)
        self.now += 10 * BACKOFF_MAX
        left = set()
        while (waiting := self.work.take(self.now)) is not None:
            left.add(waiting)
        assert left == self.wanted


TestWorking = Working.TestCase
