"""Erlang's loss formula: the share of new calls that find every place taken.

E(n, A) for n places and an offered load of A erlang (calls that begin per second times their mean
duration in seconds). The recursion E(n) = A E(n-1) / (n + A E(n-1)) is stable, but takes n steps
(V. B. Iversen, Teletraffic Engineering Handbook, ITU-D SG 2, "Recursion formula" of Erlang-B).
Unrolled for its inverse it is a sum that begins at n:

    1 / E(n, A) = 1 + n/A + n/A (n-1)/A + n/A (n-1)/A (n-2)/A + ...

All terms are positive, so nothing cancels. They fall as soon as the places left are fewer than A,
and the sum need not go on once it exceeds 1 / limit, so it takes some multiple of sqrt(A) terms.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import Final

_NEGLIGIBLE: Final = 1e-15


def blocking(places: int, erlangs: float, *, negligible: float = 0.0) -> float:
    """Share of new calls that find all places taken, 0 to 1.

    `erlangs` is finite and not negative, `places` not negative. A result below `negligible` may
    be any number below it.
    """
    if erlangs == 0:
        return 0.0 if places else 1.0
    enough = 1 / negligible if negligible > 0 else float("inf")
    total = term = 1.0
    for left in range(places, 0, -1):
        term *= left / erlangs
        total += term
        if total > enough or (left < erlangs and term < _NEGLIGIBLE * total):
            break
    return 1 / total


def groups_needed(erlangs: float, *, places: int, limit: float, most: int) -> int:
    """The fewest groups of so many places with a blocking of at most `limit` (above 0), at least
    1 and at most `most`."""

    def suffices(groups: int) -> bool:
        return blocking(groups * places, erlangs, negligible=limit) <= limit

    return 1 + bisect_left(range(1, most), True, key=suffices)
