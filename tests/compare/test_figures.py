from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.compare.figures import Event, Figures, Look, Pod, figures
from tests.compare.shape import DAY
from tests.compare.table import caveat, document, markdown
from tests.compare.watch import look

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
REPORT = {"packets": 1000, "missing": 3}


def event(kind: str, who: str, second: int, **more: str) -> Event:
    return {
        "event": kind,
        "identity": who,
        "call": "c1",
        "pod": "engine-0",
        "at": f"2026-01-01T00:00:{second:02}.000+00:00",
        **more,
    }


def pods(at: float, many: int, serving: int) -> Look:
    return Look(at, tuple(Pod(f"engine-{i}", i < serving, False) for i in range(many)))


def of(looks: list[Look], *events: Event) -> Figures:
    return figures(looks, events, REPORT, began=BEGAN, seconds=100, falls_after=40)


def test_pod_seconds_are_what_was_seen_until_the_next_look() -> None:
    found = of([pods(0, 1, 1), pods(10, 3, 2), pods(50, 2, 2), pods(99, 1, 1)])

    assert found.pod_seconds == 10 + 3 * 40 + 2 * 49 + 1
    assert (found.peak_pods, found.peak_serving, found.pods_at_the_end) == (3, 2, 1)


def test_a_side_settles_with_the_last_change_after_the_fall() -> None:
    assert of([pods(1, 1, 1), pods(30, 3, 3)]).settled_after_seconds is None
    assert of([pods(1, 3, 3), pods(60, 2, 2), pods(75, 1, 1)]).settled_after_seconds == 35


def test_looks_after_the_day_do_not_count() -> None:
    assert of([pods(1, 1, 1), pods(101, 9, 9)]).peak_pods == 1
    with pytest.raises(ValueError, match="never seen"):
        of([pods(101, 9, 9)])


def test_people_who_were_refused_wait_or_never_get_in() -> None:
    found = of(
        [pods(0, 1, 1)],
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


ENDING = Look(20, (Pod("engine-0", True, True), Pod("engine-1", True, False)))


@pytest.mark.parametrize(
    "then",
    [ENDING, Look(20, (Pod("engine-1", True, False),))],
    ids=["told to end", "gone"],
)
def test_a_call_is_cut_by_the_end_of_its_pod(then: Look) -> None:
    found = of(
        [pods(0, 2, 2), then],
        event("disconnected", "ada", 18),
        event("disconnected", "alan", 50),
    )

    assert (found.cut_calls, found.cut_participants, found.lost_participants) == (1, 2, 0)


def test_who_is_lost_on_a_pod_that_stays_is_not_cut() -> None:
    found = of(
        [pods(0, 2, 2), ENDING],
        event("disconnected", "ada", 10),
        event("disconnected", "alan", 50, pod="engine-1"),
    )

    assert (found.cut_calls, found.cut_participants, found.lost_participants) == (0, 0, 2)


def test_pods_that_end_exist_and_serve_nobody_new() -> None:
    ready = {"conditions": [{"type": "Ready", "status": "True"}]}
    listed: list[dict[str, Any]] = [
        {"metadata": {"name": "a"}, "status": ready},
        {"metadata": {"name": "b", "deletionTimestamp": "2026-01-01T00:00:00Z"}, "status": ready},
        {"metadata": {"name": "c"}, "status": {}},
    ]

    found = look(3, listed)

    assert found.pods == (Pod("a", True, False), Pod("b", True, True), Pod("c", False, False))
    assert found.serving == 1


def test_a_machine_that_was_too_busy_is_named() -> None:
    quiet = of([pods(0, 1, 1)])
    busy = of([pods(0, 1, 1)], event("disconnected", "ada", 5))

    assert caveat({"CallCluster": quiet}) == ""
    assert "1 of HPA. The machine had too little CPU" in caveat({"CallCluster": quiet, "HPA": busy})


def test_the_table_has_a_column_for_each_side_and_the_document_its_figures() -> None:
    one = of([pods(0, 1, 1)], event("joined", "ada", 1))
    other = replace(one, settled_after_seconds=35)

    table = markdown({"CallCluster": one, "HPA": other}).splitlines()

    assert table[0] == "|  | CallCluster | HPA |"
    assert "| pods last changed, after the load fell | not seen | 35 s |" in table
    written = document({"HPA": other}, DAY)
    assert written["sides"] == {"HPA": {**vars(other)}}
