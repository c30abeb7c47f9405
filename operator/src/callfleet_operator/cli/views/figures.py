"""A figure with its arithmetic in words, and numbers as people read them."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Final

from callfleet_operator.cli.views.words import UNKNOWN

_FEW: Final = Decimal(100)


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of a plan."""

    key: str
    """For programs."""
    label: str
    value: int | Decimal | None
    """None: not known."""
    unit: str
    arithmetic: str
    money: bool = False

    @property
    def shown(self) -> str:
        """Value and unit."""
        if self.money:
            text = money(self.value)
        elif self.unit == "%" and self.value is not None:
            text = coarse(Decimal(self.value))
        else:
            text = plain(self.value)
        return f"{text} {self.unit}".rstrip()

    def for_programs(self) -> dict[str, Any]:
        """Counts and measures are numbers, money is a decimal string, unknown is null."""
        return {
            "value": in_program(self.value, money=self.money),
            "unit": self.unit,
            "arithmetic": self.arithmetic,
        }


@dataclass(frozen=True, slots=True)
class Section:
    """Figures that belong together."""

    key: str
    title: str
    figures: tuple[Figure, ...]


def plain(value: int | Decimal | None) -> str:
    """Digits enough to follow the arithmetic: `1,000`, `512.25`, `34.0909`, `0.00321`."""
    if value is None:
        return UNKNOWN
    exact = Decimal(value)
    if exact == exact.to_integral_value():
        return f"{exact:,.0f}"
    if abs(exact) >= _FEW:
        return _short(f"{exact:,.2f}")
    if exact.adjusted() > -3:
        return _short(f"{exact:.4f}")
    return _short(f"{exact:.{2 - exact.adjusted()}f}") if exact.adjusted() > -7 else f"{exact:.1e}"


def as_given(value: int | Decimal | None) -> str:
    """An input as it was written, with signs between thousands."""
    return UNKNOWN if value is None else f"{value:,d}" if isinstance(value, int) else f"{value:,f}"


def coarse(value: Decimal) -> str:
    """One decimal at most, none of hundreds: for a table of many."""
    return _short(f"{value:,.1f}") if abs(value) < _FEW else f"{value:,.0f}"


def money(value: int | Decimal | None) -> str:
    """Hundredths always: `1,234.50`."""
    if value is None:
        return UNKNOWN
    return f"{Decimal(value).quantize(Decimal('0.01'), ROUND_HALF_UP):,}"


def percent(share: Decimal | float) -> str:
    """A share as a percentage; what is not nothing is never shown as nothing."""
    exact = Decimal(share) * 100
    if not exact:
        return "0 %"
    if exact < Decimal("0.0001"):
        return "<0.0001 %"
    if exact.adjusted() >= 1:
        return f"{coarse(exact)} %"
    return f"{_short(f'{exact:.{2 - exact.adjusted()}f}')} %"


def in_program(value: int | Decimal | None, *, money: bool = False) -> int | float | str | None:
    """As JSON has it."""
    if value is None or isinstance(value, int):
        return value
    if money:
        return f"{value:f}"
    return int(value) if value == value.to_integral_value() else float(f"{value:.12g}")


def _short(text: str) -> str:
    return text.rstrip("0").rstrip(".") if "." in text else text
