"""Offers that are apart, and calls that rest while nothing comes."""

from __future__ import annotations

from typing import cast

from callfleet_engine.media.negotiating import Pace
from callfleet_engine.media.plane import AWAKE_SECONDS, AiortcCall, AiortcPlane
from callfleet_engine.media.rtp import SILENCE
from callfleet_engine.media.session import AiortcSession
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


class Session:
    """Of a silent participant."""

    def take_loudest(self) -> int:
        return SILENCE

    def tick(self, now: float) -> None:
        """Nothing."""


def test_a_call_rests_when_nothing_came_until_something_does() -> None:
    call = AiortcCall(cast("AiortcPlane", None), "call")
    call.sessions["alice"] = cast("AiortcSession", Session())
    assert call.is_awake(100.0)
    call.tick(100.0)
    assert call.is_awake(100.0 + AWAKE_SECONDS)
    call.tick(100.0 + AWAKE_SECONDS)
    assert not call.is_awake(100.1 + AWAKE_SECONDS)
    call.touched = True
    assert call.is_awake(200.0)
    call.tick(200.0)
    assert call.is_awake(200.0 + AWAKE_SECONDS)
    assert not call.is_awake(200.1 + AWAKE_SECONDS)
