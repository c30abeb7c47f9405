"""Reads a history from CSV (RFC 4180): a header, then a line a time.

    time,participants
    2026-01-05T08:00:00Z,120
    2026-01-05T08:10:00Z,134

`time` is ISO 8601 with a zone, or seconds since 1970. Beside it stands `participants`, present at
that time, or `calls`, that began from then to the next line; the last line lasts as long as the
one before it. With both columns `calls` counts, and the first line's participants are those at the
start.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Final

from callfleet_operator.simulate.traffic import History, Shown

MOST_LINES: Final = 200_000
_TIME: Final = "time"
_COLUMNS: Final = (_TIME, *Shown)
_EXAMPLE: Final = "2026-01-05T08:00:00Z"
_MOST: Final = 1e9
"""No fleet has more people or calls."""


class CsvError(Exception):
    """A file that cannot be read; the message names the line, the column and the remedy."""


def read_csv(text: str) -> History:
    """The history in a CSV file. Raises CsvError."""
    rows = _rows(text)
    _, header = next(rows, (1, []))
    names = _header([name.strip().lower() for name in header])
    seconds: list[float] = []
    values: dict[str, list[float]] = {name: [] for name in names if name != _TIME}
    start, lines = datetime.fromtimestamp(0, UTC), 1
    for line, row in rows:
        if len(row) != len(names):
            raise CsvError(
                f"line {line}: {len(row)} fields where the header names {len(names)} "
                f"({', '.join(names)}): write one for each."
            )
        fields = dict(zip(names, row, strict=True))
        time = _time(fields[_TIME].strip(), line)
        if not seconds:
            start = time
        elapsed = (time - start).total_seconds()
        if seconds and elapsed <= seconds[-1]:
            raise CsvError(
                f"line {line}, column time: {fields[_TIME].strip()!r} is not later than the line "
                f"before (line {lines}): sort the lines by time, one line a time."
            )
        seconds.append(elapsed)
        for name, column in values.items():
            column.append(_number(fields[name].strip(), line, name))
        lines = line
    if len(seconds) < 2:
        raise CsvError(
            f"line {lines}: a history takes two lines of values at least, and there "
            f"{'is one' if seconds else 'is none'}: add lines such as {_EXAMPLE},120."
        )
    return _history(start, seconds, values)


def _history(start: datetime, seconds: list[float], values: Mapping[str, list[float]]) -> History:
    there = values.get(Shown.PARTICIPANTS)
    begun = values.get(Shown.CALLS)
    if begun is None:
        return History(start, tuple(seconds), tuple(there or ()), Shown.PARTICIPANTS)
    end = 2 * seconds[-1] - seconds[-2]
    return History(
        start,
        (*seconds, end),
        (*begun, 0.0),
        Shown.CALLS,
        participants_at_start=there[0] if there else None,
    )


def _rows(text: str) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader(StringIO(text.removeprefix("\ufeff"), newline=""), strict=True)
    read = 0
    while True:
        try:
            row = next(reader, None)
        except csv.Error as broken:
            raise CsvError(
                f"line {reader.line_num}: no CSV ({broken}): separate fields by commas, and close "
                "every quote."
            ) from broken
        if row is None:
            return
        if not any(field.strip() for field in row):
            continue
        read += 1
        if read > MOST_LINES + 1:
            raise CsvError(
                f"line {reader.line_num}: more than {MOST_LINES} lines of values: choose a "
                "shorter time, or longer steps."
            )
        yield reader.line_num, row


def _header(names: list[str]) -> list[str]:
    wanted = "write time,participants or time,calls"
    if not names:
        raise CsvError(f"line 1: the file is empty: {wanted} as its header.")
    if len(names) == 1 and any(mark in names[0] for mark in ";\t"):
        raise CsvError(f"line 1: the fields are not separated by commas: {wanted} as its header.")
    for number, name in enumerate(names, 1):
        if name not in _COLUMNS:
            raise CsvError(f"line 1, column {number}: {name!r} is no column: {wanted}.")
        if names.count(name) > 1:
            raise CsvError(f"line 1, column {number}: {name!r} stands there twice: {wanted}.")
    if _TIME not in names or len(names) < 2:
        missing = "participants or calls" if _TIME in names else _TIME
        raise CsvError(f"line 1: the column {missing} is missing: {wanted}.")
    return names


def _time(text: str, line: int) -> datetime:
    where = f"line {line}, column time: {text!r}"
    remedy = f"write ISO 8601 such as {_EXAMPLE}, or seconds since 1970"
    try:
        return datetime.fromtimestamp(0, UTC) + timedelta(seconds=float(text))
    except (OverflowError, ValueError):
        pass
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise CsvError(f"{where} is no time: {remedy}.") from None
    if time.tzinfo is None:
        raise CsvError(f"{where} has no time zone: {remedy}.")
    return time.astimezone(UTC)


def _number(text: str, line: int, column: str) -> float:
    where = f"line {line}, column {column}: {text!r}"
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or value > _MOST:
        reason = "is no number of a fleet" if value > _MOST else "is no number"
        reason = reason if text else "is empty, and unknown is not 0"
        raise CsvError(f"{where} {reason}: write one such as 120, or leave the whole line out.")
    if value < 0:
        raise CsvError(f"{where} is negative: write 0 or more, or leave the whole line out.")
    return value
