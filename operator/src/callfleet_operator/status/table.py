"""Every condition and every reason it can have, value by value: the reference is made of this."""

from __future__ import annotations

from typing import Final

from callfleet_operator.status.documented import Documented
from callfleet_operator.status.kind_reasons import KIND_REASONS
from callfleet_operator.status.shared_reasons import SHARED_REASONS

REASONS: Final[tuple[Documented, ...]] = SHARED_REASONS + KIND_REASONS

_BY_KEY: Final[dict[tuple[str, str], Documented]] = {(one.type, one.reason): one for one in REASONS}


def documented(type_: str, reason: str) -> Documented:
    """The entry of a condition's reason. Raises KeyError for one that is not in the table."""
    return _BY_KEY[type_, reason]
