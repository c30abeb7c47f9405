"""CSV files as people write them, and what they are told of those that cannot be read."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callfleet_operator.simulate.csv_history import CsvError, read_csv
from callfleet_operator.simulate.traffic import History, Shown


def test_participants_at_times_with_zones() -> None:
    read = read_csv(
        "\ufeffTime, Participants\r\n"
        "2026-01-05T08:00:00Z,120\r\n"
        "\r\n"
        '"2026-01-05T10:00:00+01:00",134.5\r\n'
        "2026-01-05T09:30:00Z,0\r\n"
    )
    assert read == History(
        datetime(2026, 1, 5, 8, tzinfo=UTC),
        (0.0, 3600.0, 5400.0),
        (120.0, 134.5, 0.0),
        Shown.PARTICIPANTS,
    )


def test_seconds_are_since_1970() -> None:
    read = read_csv("time,participants\n60,1\n120,2\n")
    assert (read.start, read.seconds) == (datetime(1970, 1, 1, 0, 1, tzinfo=UTC), (0.0, 60.0))


def test_calls_last_to_the_next_line_and_the_last_line_as_long_as_the_one_before() -> None:
    read = read_csv("time,calls\n0,5\n600,7\n")
    assert read == History(
        datetime(1970, 1, 1, tzinfo=UTC), (0.0, 600.0, 1200.0), (5.0, 7.0, 0.0), Shown.CALLS
    )


def test_with_both_columns_the_first_participants_are_those_at_the_start() -> None:
    read = read_csv("participants,time,calls\n90,0,5\n80,600,7\n")
    assert (read.shown, read.participants_at_start) == (Shown.CALLS, 90.0)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "line 1: the file is empty: write time,participants or time,calls as its header."),
        ("time;participants\n0;1\n", "line 1: the fields are not separated by commas"),
        ("time,users\n0,1\n", "line 1, column 2: 'users' is no column: write time,participants"),
        ("0,1\n60,2\n", "line 1, column 1: '0' is no column: write time,participants or"),
        ("time,calls,calls\n", "line 1, column 2: 'calls' stands there twice"),
        ("participants,calls\n", "line 1: the column time is missing"),
        ("time\n0\n", "line 1: the column participants or calls is missing"),
        ("time,calls\n", "line 1: a history takes two lines of values at least, and there is none"),
        ("time,calls\n0,1\n", "line 2: a history takes two lines of values at least, and there is"),
        ("time,calls\n0,1\n60\n", "line 3: 1 fields where the header names 2 (time, calls)"),
        ("time,calls\n0,1\n60,1,2\n", "line 3: 3 fields where the header names 2"),
        ("time,calls\n\n0,1\n60,abc\n", "line 4, column calls: 'abc' is no number: write one"),
        ("time,calls\n0,1\n60,\n", "line 3, column calls: '' is empty, and unknown is not 0"),
        ("time,calls\n0,nan\n", "line 2, column calls: 'nan' is no number"),
        ("time,calls\n0,inf\n", "line 2, column calls: 'inf' is no number"),
        ("time,calls\n0,1e12\n", "line 2, column calls: '1e12' is no number of a fleet"),
        ("time,calls\n0,-1\n", "line 2, column calls: '-1' is negative: write 0 or more"),
        ("time,calls\nnoon,1\n", "line 2, column time: 'noon' is no time: write ISO 8601 such as"),
        ("time,calls\nnan,1\n", "line 2, column time: 'nan' is no time"),
        ("time,calls\n1e30,1\n", "line 2, column time: '1e30' is no time"),
        (
            "time,calls\n2026-01-05T08:00:00,1\n",
            "line 2, column time: '2026-01-05T08:00:00' has no time zone: write ISO 8601 such as",
        ),
        ("time,calls\n60,1\n60,2\n", "line 3, column time: '60' is not later than the line before"),
        ("time,calls\n60,1\n\n0,2\n", "(line 2): sort the lines by time, one line a time."),
        ('time,calls\n0,"1\n', "no CSV (unexpected end of data): separate fields by commas"),
        ('time,calls\n0,"1"2\n', "line 2: no CSV ("),
    ],
)
def test_a_bad_file_is_told_where_and_what_to_do(text: str, said: str) -> None:
    with pytest.raises(CsvError) as refused:
        read_csv(text)
    assert said in str(refused.value)


@given(st.text(st.sampled_from('time,calls\n0159-TZ:."; \r\x00é'), max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        read = read_csv(f"time,calls\n{text}")
    except CsvError as refused:
        assert str(refused).startswith("line ")  # noqa: PT017  # either is fine
    else:
        assert len(read.seconds) == len(read.values) >= 3
