from __future__ import annotations

from dataclasses import replace

import pytest

from tests.compare.figures import Event, Figures, Look, figures
from tests.compare.shape import DAY
from tests.compare.table import document, markdown
from tests.compare.watch import look

REPORT = {"packets": 1000, "missing": 3}


def event(kind: str, who: str, second: int, **more: str) -> Event:
    return {
        "event": kind,
        "identity": who,
        "call": "c1",
        "at": f"2026-01-01T00:00:{second:02}.000+00:00",
        **more,
    }


def of(looks: list[Look], *events: Event) -> Figures:
    return figures(looks, events, REPORT, seconds=100, falls_after=40)


def test_pod_seconds_are_what_was_seen_until_the_next_look() -> None:
    found = of([Look(0, 1, 1), Look(10, 3, 2), Look(50, 2, 2), Look(99, 1, 1)])

    assert found.pod_seconds == 10 + 3 * 40 + 2 * 49 + 1
    assert (found.peak_pods, found.peak_serving, found.pods_at_the_end) == (3, 2, 1)


def test_a_side_settles_with_the_last_change_after_the_fall() -> None:
    assert of([Look(1, 1, 1), Look(30, 3, 3)]).settled_after_seconds is None
    assert of([Look(1, 3, 3), Look(60, 2, 2), Look(75, 1, 1)]).settled_after_seconds == 35


def test_looks_after_the_day_do_not_count() -> None:
    assert of([Look(1, 1, 1), Look(101, 9, 9)]).peak_pods == 1
    with pytest.raises(ValueError, match="never seen"):
        of([Look(101, 9, 9)])


def test_people_who_were_refused_wait_or_never_get_in() -> None:
    found = of(
        [Look(0, 1, 1)],
        event("refused", "ada", 10, code="full"),
        event("refused", "ada", 12, code="full"),
        event("joined", "ada", 14),
        event("refused", "grace", 11, code="no_relay"),
        event("joined", "alan", 11),
    )

    assert (found.refusals, found.refused_participants, found.turned_away) == (3, 2, 1)
    assert found.longest_wait_seconds == 4
    assert found.refusal_codes == {"full": 2, "no_relay": 1}
    assert (found.calls, found.participants) == (1, 2)


def test_a_call_is_cut_once_whoever_was_in_it() -> None:
    found = of([Look(0, 1, 1)], event("disconnected", "ada", 5), event("disconnected", "alan", 5))

    assert (found.cut_calls, found.cut_participants) == (1, 2)


def test_pods_that_end_exist_and_serve_nobody_new() -> None:
    ready = {"conditions": [{"type": "Ready", "status": "True"}]}
    pods = [
        {"metadata": {}, "status": ready},
        {"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}, "status": ready},
        {"metadata": {}, "status": {}},
    ]

    assert look(3, pods) == Look(3, 3, 1)


def test_the_table_has_a_column_for_each_side_and_the_document_its_figures() -> None:
    one = of([Look(0, 1, 1)], event("joined", "ada", 1))
    other = replace(one, settled_after_seconds=35)

    table = markdown({"CallCluster": one, "HPA": other}).splitlines()

    assert table[0] == "|  | CallCluster | HPA |"
    assert "| pods last changed, after the load fell | not seen | 35 s |" in table
    written = document({"HPA": other}, DAY)
    assert written["sides"] == {"HPA": {**vars(other)}}
