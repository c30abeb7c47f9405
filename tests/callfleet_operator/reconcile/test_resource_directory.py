"""Custom resources as events, answers and the operator's own writes tell them, in any order."""

from __future__ import annotations

from typing import Any

import pytest

from callfleet_operator.reconcile.keys import Key, Kind
from callfleet_operator.reconcile.resource_directory import ResourceDirectory

KEY = Key(Kind.CALL_CLUSTER, "prod", "calls")


def body(version: int) -> dict[str, Any]:
    return {"metadata": {"resourceVersion": str(version)}, "spec": {}}


@pytest.fixture
def directory() -> ResourceDirectory:
    return ResourceDirectory()


def version(directory: ResourceDirectory) -> str | None:
    known = directory.of(KEY)
    return None if known is None else known["metadata"]["resourceVersion"]


def test_what_nobody_has_told_is_not_known(directory: ResourceDirectory) -> None:
    directory.note(KEY, body(5))
    assert version(directory) is None


def test_the_newest_counts_whoever_tells_it(directory: ResourceDirectory) -> None:
    directory.saw(KEY, body(5))
    directory.note(KEY, body(7))
    directory.saw(KEY, body(6))
    assert version(directory) == "7"
    directory.saw(KEY, body(10))
    assert version(directory) == "10"


def test_an_answer_is_kept(directory: ResourceDirectory) -> None:
    directory.saw(KEY, body(5))
    directory.doubt(KEY)
    assert version(directory) is None
    directory.answered(KEY, body(6))
    assert version(directory) == "6"


def test_an_answer_is_not_kept_where_no_event_would_tell_the_rest(
    directory: ResourceDirectory,
) -> None:
    directory.answered(KEY, body(6))
    assert version(directory) is None


def test_an_answer_from_before_the_end_is_not_kept(directory: ResourceDirectory) -> None:
    directory.saw(KEY, body(5))
    directory.doubt(KEY)
    directory.gone(KEY)
    directory.answered(KEY, body(6))
    assert version(directory) is None


def test_nor_is_one_from_before_an_event(directory: ResourceDirectory) -> None:
    directory.saw(KEY, body(5))
    directory.doubt(KEY)
    directory.saw(KEY, body(7))
    directory.answered(KEY, body(6))
    assert version(directory) == "7"


def test_who_has_set_which_field_is_left_out(directory: ResourceDirectory) -> None:
    directory.saw(KEY, {"metadata": {"resourceVersion": "5", "managedFields": [{}]}, "spec": {}})
    assert directory.of(KEY) == {"metadata": {"resourceVersion": "5"}, "spec": {}}
