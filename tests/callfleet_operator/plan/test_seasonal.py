"""Forecasts: what they make of a history, how they judge themselves, and what they do not need."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callfleet_operator.observation import NoOutlook, Outlook
from callfleet_operator.plan.seasonal import HISTORY, STEP, History, outlook
from tests.callfleet_operator.plan import strategies as any_
from tests.callfleet_operator.plan.samples import NOW

DAY = timedelta(days=1) // STEP
HOUR = timedelta(hours=1)
NAN = math.nan


def look(
    values: list[float], horizon: timedelta = HOUR, age: timedelta = timedelta()
) -> Outlook | NoOutlook:
    return outlook(History(NOW - age, values), horizon=horizon, now=NOW)


def known(values: list[float], horizon: timedelta = HOUR) -> Outlook:
    found = look(values, horizon)
    assert isinstance(found, Outlook), found
    return found


def reason(found: Outlook | NoOutlook) -> str:
    assert isinstance(found, NoOutlook), found
    return found.reason


def days(number: float, shape: Callable[[int], float], end: int = 0) -> list[float]:
    """A history of so many days that ends `end` steps into one."""
    last = round(number * DAY)
    return [shape(at % DAY) for at in range(end - last, end)]


def office(step: int) -> float:
    """20 at night and 200 from 8:00 to 18:00."""
    return 200.0 if 8 * 6 <= step < 18 * 6 else 20.0


def test_it_knows_what_comes_at_eight_before_it_comes() -> None:
    found = known(days(15, office, end=7 * 6 + 3), horizon=HOUR)

    assert found.peak == pytest.approx(200)
    assert found.error == pytest.approx(0, abs=1e-9)
    # the hour before eight, and ten minutes before six, out of 144 times
    assert found.last_value_error == pytest.approx(180 * 7 / 144)
    assert found.beats_last_value
    assert found.judged == 7 * DAY


def test_the_horizon_is_how_far_it_looks() -> None:
    at_half_past_six = days(15, office, end=6 * 6 + 3)

    assert known(at_half_past_six, HOUR).peak == pytest.approx(20)
    assert known(at_half_past_six, 2 * HOUR).peak == pytest.approx(200)


def test_a_day_busier_than_usual_lifts_what_is_forecast_of_it() -> None:
    def busier(factor: float) -> float:
        values = days(15, office, end=12 * 6)
        today = [value * factor for value in values[-4 * 6 :]]
        return known(values[: -4 * 6] + today).peak

    assert busier(1.5) == pytest.approx(300)
    assert busier(0.5) == pytest.approx(100)
    assert busier(10) == pytest.approx(600), (
        "a rush is no matter of the season: three times at most"
    )


def test_a_weekend_is_told_from_the_week() -> None:
    def week(at: int) -> float:
        return office(at % DAY) if at % (7 * DAY) < 5 * DAY else 20.0

    friday_night = [week(at) for at in range(21 * DAY - DAY - DAY)]
    found = known(friday_night, 24 * HOUR)

    assert found.season == "week"
    assert found.peak == pytest.approx(20)


def test_one_week_is_enough_for_the_season_of_a_day() -> None:
    found = known(days(7, office, end=7 * 6 + 3))

    assert found.season == "day"
    assert found.beats_last_value


def test_a_load_that_follows_no_season_is_no_better_than_the_last_value_and_says_so() -> None:
    jump = random.Random(7)  # noqa: S311  # no secret
    values = [500.0]
    while len(values) < 15 * DAY:
        values.append(max(0.0, values[-1] + jump.gauss(0, 10)))
    found = known(values, STEP)

    assert not found.beats_last_value
    assert found.error > found.last_value_error > 0


def test_a_constant_load_needs_no_forecast() -> None:
    found = known([50.0] * (15 * DAY))

    assert (found.error, found.last_value_error) == (0, 0)
    assert not found.beats_last_value


def test_nothing_is_judged_by_hindsight() -> None:
    """Noise that is new each day: a profile that had seen the day itself would be exact."""
    noise = random.Random(3)  # noqa: S311  # no secret
    values = [noise.uniform(0, 100) for _ in range(15 * DAY)]
    found = known(values, STEP)

    assert found.error > 15


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ([], "no history"),
        ([NAN] * 3000, "no history"),
        ([-1.0, math.inf], "no history"),
        (days(1, office), "too short or has holes: 144 values, and 0 past times"),
        (days(1.5, office), "too short or has holes"),
        ([*days(15, office), NAN], "no value since 2026-01-01T11:50:00Z"),
        ([NAN if at % 2 else 5.0 for at in range(15 * DAY)][:-1], "too short or has holes"),
    ],
)
def test_without_a_usable_history_there_is_a_reason(values: list[float], says: str) -> None:
    assert says in reason(look(values))


def test_an_old_history_says_nothing_of_now() -> None:
    values = days(15, office, end=60)

    assert isinstance(look(values, age=STEP), Outlook)
    assert "no value since 2026-01-01T11:40:00Z" in reason(look(values, age=2 * STEP))


def test_a_gap_of_a_night_is_bridged_by_the_other_days() -> None:
    values = days(15, office, end=7 * 6 + 3)
    values[-2 * DAY : -2 * DAY + 60] = [NAN] * 60

    assert known(values).peak == pytest.approx(200)


anything = st.floats() | st.just(NAN)
histories = st.builds(
    lambda pattern, number, changes: [
        changes.get(at, pattern[at % len(pattern)]) for at in range(number)
    ],
    st.lists(anything, min_size=1, max_size=12),
    st.integers(0, HISTORY // STEP),
    st.dictionaries(st.integers(0, HISTORY // STEP), anything, max_size=8),
)


@any_.modest
@given(histories, st.timedeltas(timedelta(seconds=60), timedelta(days=1)), st.integers(-9, 9))
def test_every_history_gives_an_answer(values: list[float], horizon: timedelta, late: int) -> None:
    found = look(values, horizon, STEP * late)

    if isinstance(found, Outlook):
        assert not math.isnan(found.peak)
        assert min(found.peak, found.error, found.last_value_error) >= 0
    else:
        assert found.reason


@any_.modest
@given(st.lists(st.floats(1, 1000), min_size=DAY // 6, max_size=DAY // 6), st.integers(2, 50))
def test_twice_the_people_are_twice_the_forecast(pattern: list[float], factor: int) -> None:
    values = days(9, lambda step: pattern[step // 6] + 10)
    once, more = known(values), known([value * factor for value in values])

    assert more.peak == pytest.approx(once.peak * factor)
    assert more.error == pytest.approx(once.error * factor, abs=1e-6)
