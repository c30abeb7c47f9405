"""Which value of each input counts, and where it comes from: flag, object, or default. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import TypeVar

Value = TypeVar("Value", int, Decimal, str)


@dataclass(frozen=True, slots=True)
class Assumption:
    """An input as it is used."""

    key: str
    """For programs."""
    label: str
    value: int | Decimal | str | None
    """None: not known."""
    unit: str
    source: str
    money: bool = False


@dataclass(slots=True)
class Choices:
    """Chooses, and keeps what was chosen."""

    made: list[Assumption] = field(default_factory=list)

    def choose(
        self,
        key: str,
        label: str,
        unit: str,
        *,
        flag: str,
        given: Value | None,
        otherwise: Value,
        source: str,
    ) -> Value:
        """The flag if it is given, else the other, which comes from `source`."""
        value = otherwise if given is None else given
        self.note(key, label, value, unit, flag if given is not None else source)
        return value

    def price(
        self,
        key: str,
        label: str,
        unit: str,
        *candidates: tuple[Decimal | None, str],
        missing: str = "not known",
    ) -> Decimal | None:
        """The first that is known, of values with their sources."""
        for value, source in candidates:
            if value is not None:
                self.made.append(Assumption(key, label, value, unit, source, money=True))
                return value
        self.made.append(Assumption(key, label, None, unit, missing, money=True))
        return None

    def note(
        self, key: str, label: str, value: int | Decimal | str | None, unit: str, source: str
    ) -> None:
        """Keep an input."""
        self.made.append(Assumption(key, label, value, unit, source))
