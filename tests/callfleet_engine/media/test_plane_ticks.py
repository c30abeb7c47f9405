"""What all sessions of a plane are told by its one timer."""

from __future__ import annotations

from typing import Any, cast

from callfleet_engine.media.plane import (
    AWAKE_SECONDS,
    REPORT_TICKS,
    AiortcCall,
    AiortcPlane,
    MediaSettings,
)
from callfleet_engine.media.rtp import SILENCE
from callfleet_engine.media.session import AiortcSession


class Session:
    """Notes its reports."""

    def __init__(self) -> None:
        self.reports: list[float] = []

    def report(self, now: float) -> None:
        self.reports.append(now)


class Call:
    """Only what a tick uses."""

    def __init__(self, people: int, *, awake: bool = True) -> None:
        self.sessions = {str(number): Session() for number in range(people)}
        self.awake = awake
        self.ticks = 0

    def is_awake(self, _: float) -> bool:
        return self.awake

    def tick(self, _: float) -> None:
        self.ticks += 1


async def test_each_session_reports_once_in_ten_ticks_and_not_all_at_once() -> None:
    plane: Any = AiortcPlane(MediaSettings(("127.0.0.1",)))
    calls = [Call(7), Call(0), Call(16)]
    plane._calls = {str(number): call for number, call in enumerate(calls)}
    together = []
    sessions = [session for call in calls for session in call.sessions.values()]
    for _ in range(2 * REPORT_TICKS):
        before = sum(len(session.reports) for session in sessions)
        plane._tick()
        plane._timer.cancel()
        together.append(sum(len(session.reports) for session in sessions) - before)
    assert [len(session.reports) for session in sessions] == [2] * len(sessions)
    assert set(together) == {2, 3}


async def test_calls_at_rest_have_no_ticks_and_no_reports() -> None:
    plane: Any = AiortcPlane(MediaSettings(("127.0.0.1",)))
    resting, awake = Call(3, awake=False), Call(3)
    plane._calls = {"resting": resting, "awake": awake}
    for _ in range(REPORT_TICKS):
        plane._tick()
        plane._timer.cancel()
    assert (resting.ticks, awake.ticks) == (0, REPORT_TICKS)
    assert [len(session.reports) for session in resting.sessions.values()] == [0, 0, 0]
    assert [len(session.reports) for session in awake.sessions.values()] == [1, 1, 1]


class SilentSession:
    """Of a silent participant."""

    def take_loudest(self) -> int:
        return SILENCE

    def tick(self, now: float) -> None:
        """Nothing."""


def test_a_call_rests_when_nothing_came_until_something_does() -> None:
    call = AiortcCall(cast("AiortcPlane", None), "call")
    call.sessions["alice"] = cast("AiortcSession", SilentSession())
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
