"""The soak's first two minutes; `python -m tests.soak` goes on for half an hour."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.callfleet_engine.media.conftest import loopback_clients  # noqa: F401 - a fixture
from tests.soak.rounds import soak, soaked

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("loopback_clients")]

SECONDS = 120.0


async def test_nothing_stays_of_those_who_came_and_went(tmp_path: Path) -> None:
    looked: list[int] = []
    late: list[str] = []  # beside other tests; nothing may be left of them either
    end = time.monotonic() + SECONDS
    async with soaked(tmp_path) as engine:
        left = await soak(
            engine,
            lambda _: time.monotonic() < end,
            lambda number, _: looked.append(number),
            tell_late=lambda error: late.append(str(error)),  # itself it would hold all of a round
        )
    assert left == {}
    assert looked == list(range(1, len(looked) + 1))
    assert len(late) < len(looked), late
