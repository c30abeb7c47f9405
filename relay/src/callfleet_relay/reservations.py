"""Ports kept for a second allocation (EVEN-PORT and RESERVATION-TOKEN, RFC 8656 section 7.2)."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

RESERVATION_SECONDS = 30.0
"""As long as RFC 8656 section 7.2 asks for, and no longer: a reserved port is nobody's."""
TOKEN_LENGTH = 8


@dataclass(frozen=True, slots=True)
class Reservation:
    """One port, kept for one user. It counts against the user's quota while it is kept."""

    token: bytes
    user: str
    port: int
    family: int
    expires: float
    """Monotonic second."""


class Reservations:
    """All of them; how many there can be is bounded by the quota that each of them takes."""

    def __init__(self) -> None:
        self._by_token: dict[bytes, Reservation] = {}

    def __len__(self) -> int:
        return len(self._by_token)

    def keep(self, user: str, port: int, family: int, now: float) -> Reservation:
        """Keep a port for the user who has taken the one below it."""
        token = secrets.token_bytes(TOKEN_LENGTH)
        made = Reservation(token, user, port, family, now + RESERVATION_SECONDS)
        self._by_token[token] = made
        return made

    def claim(self, token: bytes, user: str, now: float) -> Reservation | None:
        """The reservation, which is over with this; None where it is another's or none."""
        found = self._by_token.get(token)
        if found is None or found.user != user or found.expires <= now:
            return None
        return self._by_token.pop(token)

    def next_expiry(self) -> float | None:
        """When the first of them ends: they are kept in the order in which they were made."""
        return next((each.expires for each in self._by_token.values()), None)

    def take_expired(self, now: float) -> list[Reservation]:
        """Those that nobody has claimed in time, which are over with this."""
        over = []
        for each in self._by_token.values():
            if each.expires > now:
                break
            over.append(each)
        for each in over:
            del self._by_token[each.token]
        return over
