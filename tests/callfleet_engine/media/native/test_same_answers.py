"""The native plane's parts say of every packet what the Python plane says."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from random import Random

import pytest

from tests.callfleet_engine.seeded import seeded

from . import questions, reference, walks
from .conftest import Ask
from .streams import Streams


def compare(asked: list[str], native: list[str], python: Iterable[str]) -> None:
    expected = list(python)
    for question, found, wanted in zip(asked, native, expected, strict=True):
        assert found == wanted, question
    assert len(set(expected)) > 4, "answers that are hardly ever different say nothing"


@pytest.mark.peer
@pytest.mark.parametrize(
    "subject",
    [
        questions.rtp_questions,
        questions.codec_questions,
        questions.rtcp_questions,
        questions.timeline_questions,
    ],
)
def test_of_packets(ask: Ask, subject: Callable[[Random], Iterator[str]]) -> None:
    asked = list(subject(seeded(1)))
    compare(asked, ask(asked), map(reference.answer, asked))


@pytest.mark.peer
@pytest.mark.parametrize(
    "walk",
    [walks.inbound, walks.numbering, walks.ring, walks.budget, walks.recorder, walks.rate],
)
def test_of_streams(ask: Ask, walk: Callable[[Random], Iterator[str]]) -> None:
    asked = list(walk(seeded(2)))
    compare(asked, ask(asked), map(Streams().answer, asked))
