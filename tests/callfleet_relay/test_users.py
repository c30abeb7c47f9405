from __future__ import annotations

import pytest

from callfleet_relay import users
from callfleet_relay.events import Outcome
from callfleet_relay.users import UserMinutes, UserResult, result_of


@pytest.mark.parametrize(
    ("outcome", "result"),
    [
        (Outcome.OK, UserResult.SERVED),
        (Outcome.CAPACITY, UserResult.CAPACITY),
        (Outcome.PORT_EXHAUSTED, UserResult.CAPACITY),
        (Outcome.QUOTA, UserResult.OTHER),
        (Outcome.DRAINING, UserResult.OTHER),
        (Outcome.UNSUPPORTED, UserResult.OTHER),
    ],
)
def test_an_outcome_is_a_result_of_its_user(outcome: Outcome, result: UserResult) -> None:
    assert result_of(outcome) is result


def test_a_user_counts_once_a_clock_minute_with_the_worst_result() -> None:
    minutes = UserMinutes()
    for result in (UserResult.SERVED, UserResult.CAPACITY, UserResult.OTHER):
        minutes.add("a", result, 60.0)
    minutes.add("b", UserResult.SERVED, 119.9)
    assert minutes.totals[UserResult.CAPACITY] == 0

    minutes.advance(120.0)

    assert minutes.totals == {"served": 1, "other": 0, "capacity": 1}
    minutes.add("a", UserResult.SERVED, 121.0)
    minutes.advance(200.0)
    assert minutes.totals == {"served": 2, "other": 0, "capacity": 1}


def test_users_of_a_minute_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(users, "MAX_USERS", 2)
    minutes = UserMinutes()
    for user in ("a", "b", "c", "c"):
        minutes.add(user, UserResult.SERVED, 60.0)

    assert minutes.totals[UserResult.SERVED] == 2
    minutes.advance(120.0)
    assert minutes.totals[UserResult.SERVED] == 4
