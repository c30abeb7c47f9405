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


class FakeLoop:
    """Sleeps in no time."""

    def __init__(self) -> None:
        self.now = 100.0
        self.pauses: list[float] = []

    def clock(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds
        await asyncio.sleep(0)

    def turns(self) -> Turns:
        return Turns(self.clock, self.sleep)


async def test_where_nobody_waits_for_an_answer_offers_do_not_wait() -> None:
    loop = FakeLoop()
    turns = loop.turns()
    await turns.wait()
    await turns.wait()
    assert loop.pauses == [0.0, 0.0]


async def test_an_offer_waits_for_those_who_wait_for_an_answer_and_a_moment_longer() -> None:
    loop = FakeLoop()
    turns = loop.turns()
    with turns.answering():
        waiting = asyncio.create_task(turns.wait())
        for _ in range(4):
            await asyncio.sleep(0)
        assert len(loop.pauses) > 1
        assert not waiting.done()
        answered = loop.now
    await waiting
    assert answered + CALM_SECONDS <= loop.now < 100 + PATIENCE_SECONDS
    await turns.wait()
    assert loop.pauses[-1] == 0.0


async def test_no_offer_waits_for_ever_also_behind_others() -> None:
    loop = FakeLoop()
    turns = loop.turns()
    waited: dict[str, float] = {}

    async def offer(name: str) -> None:
        asked = loop.now
        await turns.wait()
        waited[name] = loop.now - asked

    with turns.answering():
        await asyncio.gather(*(offer(name) for name in "abc"))
    assert list(waited) == ["a", "b", "c"]
    assert max(waited.values()) <= PATIENCE_SECONDS + 1e-6
    assert waited["a"] >= PATIENCE_SECONDS - 1e-6
