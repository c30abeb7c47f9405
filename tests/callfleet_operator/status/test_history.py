"""The text that decisions are kept as: what goes in comes out, and no more than fits."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callfleet_operator.plan import engines
from callfleet_operator.plan.decision import Memory, Proposal, StageRecord
from callfleet_operator.status.history import (
    KEPT,
    LARGEST,
    HistoryError,
    Recorded,
    decode,
    encode,
    following,
    recorded,
)
from tests.callfleet_operator.plan.samples import NOW, cluster, loaded, observed

NUMBERS = st.integers(0, 10_000)
PROPOSALS = st.builds(Proposal, NUMBERS, NUMBERS)
WORDS = st.text("ABCxyz", max_size=64)
MESSAGES = st.text(st.characters(exclude_categories=("Cs",)), max_size=200)
STAGES = st.builds(StageRecord, WORDS, PROPOSALS, PROPOSALS, WORDS, MESSAGES)
DECISIONS = st.builds(
    Recorded,
    number=st.integers(1, 10**9),
    at=st.datetimes(timezones=st.just(UTC)),
    before=NUMBERS,
    after=NUMBERS,
    dry_run=st.booleans(),
    stage=WORDS,
    reason=WORDS,
    message=MESSAGES,
    trace=st.lists(STAGES, max_size=14).map(tuple),
)


@given(st.lists(DECISIONS, max_size=KEPT).map(tuple))
def test_what_is_written_is_read_again(decisions: tuple[Recorded, ...]) -> None:
    assert decode(encode(decisions)) == decisions


@given(DECISIONS, st.integers(1, 60))
def test_only_the_newest_are_kept(one: Recorded, count: int) -> None:
    every = [replace(one, number=number + 1) for number in range(count)]
    kept = decode(encode(every))
    assert [found.number for found in kept] == list(range(count + 1))[-KEPT:][-len(kept) :]
    assert len(kept) == min(count, KEPT)
    assert following(kept) == count + 1


def test_the_worst_texts_still_fit() -> None:
    decision, _ = engines.plan(cluster(), observed(*loaded(100, 100)), Memory())
    awful = "\x01\ud800𝔘" * 10_000
    trace = tuple(replace(one, message=awful, reason=awful) for one in decision.trace) * 9
    one = recorded(
        replace(decision, trace=trace), number=1, at=NOW, before=2, after=3, dry_run=False
    )
    text = encode([replace(one, number=number) for number in range(1, 30)])
    assert len(text.encode()) <= LARGEST
    kept = decode(text)
    assert kept[-1].number == 29
    assert all(len(record.message) <= 2048 for record in kept[-1].trace)


def test_a_decision_of_the_plan_is_kept_whole() -> None:
    decision, _ = engines.plan(cluster(), observed(*loaded(100, 100)), Memory())
    local = NOW.astimezone(tz=None) + timedelta(microseconds=5)
    one = recorded(decision, number=7, at=local, before=2, after=4, dry_run=False)
    (again,) = decode(encode([one]))
    assert again == one
    assert [record.stage for record in again.trace] == [str(r.stage) for r in decision.trace]
    assert [record.after for record in again.trace] == [r.after for r in decision.trace]


def test_unknown_fields_are_passed_over() -> None:
    text = json.dumps(
        {
            "version": 1,
            "later": [],
            "decisions": [
                {
                    "number": 1,
                    "time": "2026-01-01T12:00:00+01:00",
                    "before": 1,
                    "after": 2,
                    "stage": "Floors",
                    "reason": "MinReplicas",
                    "message": "",
                    "later": 1,
                }
            ],
        }
    )
    (one,) = decode(text)
    assert one.at == datetime(2026, 1, 1, 11, tzinfo=UTC)
    assert (one.dry_run, one.trace) == (False, ())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "JSON"),
        ("[]", "object"),
        ('{"decisions": []}', "version"),
        ('{"version": 2, "decisions": "of another kind"}', "version 2, this release reads 1"),
        ('{"version": 1, "decisions": [{"number": 0}]}', "decisions.0.number"),
        (json.dumps({"version": 1, "decisions": [{}] * 21}), "decisions"),
    ],
)
def test_other_texts_are_refused_with_a_reason(text: str, said: str) -> None:
    with pytest.raises(HistoryError, match=said):
        decode(text)


@given(st.text(max_size=50) | st.binary(max_size=50).map(lambda b: b.decode("latin-1")))
def test_no_text_breaks_the_reader(text: str) -> None:
    with pytest.raises(HistoryError):
        decode(text)
