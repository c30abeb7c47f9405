"""Work beside requests."""

from __future__ import annotations

import asyncio

import pytest

from callfleet_engine import background as subject
from callfleet_engine.background import Background


async def test_what_fails_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def fail() -> None:
        raise RuntimeError("broken")

    background = Background()
    background.run(fail(), "work")
    await background.finish(10)
    assert [record.levelname for record in caplog.records] == ["ERROR"]


async def test_what_is_kept_begins_anew(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(subject, "RESTART_SECONDS", 0)
    third = asyncio.Event()
    tries = 0

    async def fail_twice() -> None:
        nonlocal tries
        tries += 1
        if tries < 3:
            raise RuntimeError("broken")
        third.set()
        await asyncio.Event().wait()

    background = Background()
    background.keep(fail_twice, "work")
    await asyncio.wait_for(third.wait(), 10)
    assert len(caplog.records) == 2
    await background.finish(0)
