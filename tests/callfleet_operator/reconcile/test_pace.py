"""What is done only so often."""

from __future__ import annotations

from callfleet_operator.reconcile.pace import Pace


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_so_many_at_once_then_so_many_a_second() -> None:
    clock = Clock()
    pace = Pace(clock, a_second=2, at_once=3)
    assert [pace.take() for _ in range(5)] == [True, True, True, False, False]
    clock.now += 1
    assert [pace.take() for _ in range(3)] == [True, True, False]


def test_a_long_pause_gives_no_more_than_what_may_be_at_once() -> None:
    clock = Clock()
    pace = Pace(clock, a_second=2, at_once=3)
    assert pace.take()
    clock.now += 3600
    assert [pace.take() for _ in range(4)] == [True, True, True, False]


def test_without_a_bound_everything_is_done() -> None:
    pace = Pace(Clock())
    assert all(pace.take() for _ in range(1000))
