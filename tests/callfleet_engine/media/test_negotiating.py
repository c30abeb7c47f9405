"""Offers that are apart, and that wait for their turn."""

from __future__ import annotations

import asyncio

from callfleet_engine.media.negotiating import CALM_SECONDS, PATIENCE_SECONDS, Pace, Turns
from tests.callfleet_engine.media.peers import until


async def test_an_offer_that_waits_is_called_for_once() -> None:
    due: list[bool] = []
    pace = Pace(lambda: due.append(True))
    assert pace.ready()
    assert [pace.ready() for _ in range(3)] == [False] * 3
    assert due == []
    await until(lambda: due, "the offer is due")
    assert due == [True]
    await until(pace.ready, "the next may be made")


async def test_nothing_is_due_after_the_end() -> None:
    due: list[str] = []
    ended, other = Pace(lambda: due.append("ended")), Pace(lambda: due.append("other"))
    for pace in (ended, other):
        assert pace.ready()
        assert not pace.ready()
    ended.cancel()
    await until(lambda: due, "the other's offer is due")
    assert due == ["other"]


class BusyLoop:
    """Comes back so much later than asked, in seconds; when that is told no more, in time."""

    def __init__(self, *late: float) -> None:
        self.late = list(late)
        self.now = 100.0
        self.pauses: list[float] = []

    def clock(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds + (self.late.pop(0) if self.late else 0.0)
        await asyncio.sleep(0)

    def turns(self) -> Turns:
        return Turns(self.clock, self.sleep)


async def test_a_loop_that_keeps_up_has_nobody_wait() -> None:
    loop = BusyLoop()
    turns = loop.turns()
    await turns.wait()
    await turns.wait()
    assert loop.pauses == [0.0, 0.0]


async def test_an_offer_waits_until_the_loop_is_calm_and_the_next_does_not() -> None:
    loop = BusyLoop(0.004, 0.02)
    turns = loop.turns()
    await turns.wait()
    await turns.wait()
    assert loop.pauses == [0.0, CALM_SECONDS, CALM_SECONDS, 0.0]


async def test_an_offer_waits_for_those_whom_the_store_keeps_waiting() -> None:
    loop = BusyLoop()
    turns = loop.turns()
    with turns.answering():
        waiting = asyncio.create_task(turns.wait())
        for _ in range(3):
            await asyncio.sleep(0)
        assert loop.pauses[:2] == [0.0, CALM_SECONDS]
        assert not waiting.done()
    await waiting
    assert loop.now < 100 + PATIENCE_SECONDS


async def test_no_offer_waits_for_ever_also_behind_others() -> None:
    loop = BusyLoop(*[0.1] * 99)
    turns = loop.turns()
    waited: dict[str, float] = {}

    async def offer(name: str) -> None:
        asked = loop.now
        await turns.wait()
        waited[name] = loop.now - asked

    await asyncio.gather(*(offer(name) for name in "abc"))
    assert list(waited) == ["a", "b", "c"]
    assert all(PATIENCE_SECONDS <= seconds < PATIENCE_SECONDS + 0.2 for seconds in waited.values())
