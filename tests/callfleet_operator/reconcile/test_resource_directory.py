"""Custom resources as events, answers and the operator's own writes tell them, in any order."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from callfleet_operator.reconcile.keys import Key, Kind
from callfleet_operator.reconcile.resource_directory import ResourceDirectory

KEY = Key(Kind.CALL_CLUSTER, "prod", "calls")


def body(version: int) -> dict[str, Any]:
    return {"metadata": {"name": "calls", "namespace": "prod", "resourceVersion": str(version)}}


@pytest.fixture
def directory() -> ResourceDirectory:
    return ResourceDirectory()


def version(directory: ResourceDirectory) -> str | None:
    known = directory.of(KEY)
    return None if known is None else known.metadata.resource_version


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


def test_it_is_read_once(directory: ResourceDirectory) -> None:
    directory.saw(KEY, body(5))
    known = directory.of(KEY)
    assert known is directory.of(KEY)
    directory.saw(KEY, body(6))
    assert known is not directory.of(KEY)


def test_what_cannot_be_read_is_said_when_it_is_asked_for(directory: ResourceDirectory) -> None:
    directory.saw(KEY, {**body(5), "spec": {"capacity": {"participantsPerPod": "many"}}})
    for _ in range(2):
        with pytest.raises(ValidationError):
            directory.of(KEY)
    directory.saw(KEY, body(6))
    assert version(directory) == "6"
