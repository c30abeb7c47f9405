"""Users by their worst result, once a clock minute: what the operator's failure rate is made of."""

from __future__ import annotations

from collections import Counter
from enum import StrEnum

from callfleet_relay.events import Outcome

MAX_USERS = 100_000
"""Users told apart within a minute; beyond it each attempt counts as another user."""


class UserResult(StrEnum):
    """The label of `users_total`, from the best to the worst."""

    SERVED = "served"
    OTHER = "other"
    CAPACITY = "capacity"


_SEVERITY = {result: severity for severity, result in enumerate(UserResult)}
_CAPACITY = {Outcome.CAPACITY, Outcome.PORT_EXHAUSTED}


def result_of(outcome: Outcome) -> UserResult:
    """What an Allocate's outcome means for its user."""
    if outcome is Outcome.OK:
        return UserResult.SERVED
    return UserResult.CAPACITY if outcome in _CAPACITY else UserResult.OTHER


class UserMinutes:
    """Counts each user of a minute once the minute is over."""

    def __init__(self) -> None:
        self.totals: Counter[UserResult] = Counter(dict.fromkeys(UserResult, 0))
        self._minute = 0
        self._worst: dict[str, UserResult] = {}

    def add(self, user: str, result: UserResult, unix: float) -> None:
        """A user has got a result at Unix second `unix`."""
        self.advance(unix)
        known = self._worst.get(user)
        if known is None and len(self._worst) >= MAX_USERS:
            self.totals[result] += 1
        elif known is None or _SEVERITY[result] > _SEVERITY[known]:
            self._worst[user] = result

    def advance(self, unix: float) -> None:
        """Count those of a minute that is over."""
        minute = int(unix // 60)
        if minute != self._minute:
            self.totals.update(self._worst.values())
            self._worst.clear()
            self._minute = minute
