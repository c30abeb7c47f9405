"""Times, numbers and bars in words."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

UNKNOWN: Final = "unknown"
BAR: Final = 20


def age(since: datetime, now: datetime) -> str:
    """How long ago, in one or two units: `45s`, `12m`, `2h05m`, `3d04h`."""
    seconds = max(0, int((now - since).total_seconds()))
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86400
    if seconds < 60:
        return f"{seconds}s"
    if minutes < 60:
        return f"{minutes}m"
    if hours < 24:
        return f"{hours}h{minutes % 60:02}m"
    return f"{days}d{hours % 24:02}h"


def moment(time: datetime) -> str:
    """A time in UTC."""
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def number(value: int | None) -> str:
    """A figure; unknown is never 0."""
    return UNKNOWN if value is None else str(value)


def percent(value: float | None) -> str:
    """A percentage; unknown is never 0."""
    return UNKNOWN if value is None else f"{value:.0f} %"


def bar(value: float | None, width: int = BAR) -> str:
    """A percentage as a bar. What is not nothing is never shown as nothing."""
    if value is None:
        return "?" * width
    filled = round(min(100.0, max(0.0, value)) * width / 100)
    if value > 0:
        filled = max(1, filled)
    return "█" * filled + "░" * (width - filled)


def count(value: int, noun: str, plural: str = "") -> str:
    """`1 call`, `3 calls`."""
    return f"{value} {noun if value == 1 else plural or noun + 's'}"


def duration(text: str) -> timedelta:
    """`90s`, `30m`, `2h`, `1d`, and several of them, as `1h30m`; raises ValueError."""
    units = {"s": 1, "m": 60, "h": 3600, "d": 86400}
    total, digits = 0, ""
    for letter in text:
        if letter.isascii() and letter.isdigit():
            digits += letter
        elif letter in units and digits and len(digits) <= 9:
            total += int(digits) * units[letter]
            digits = ""
        else:
            total = 0
            break
    if digits or not total:
        raise ValueError("write a time such as 90s, 30m, 2h, 1d or 1h30m")
    return timedelta(seconds=total)
