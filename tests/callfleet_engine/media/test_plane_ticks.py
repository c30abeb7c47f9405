"""What all sessions of a plane are told by its one timer."""

from __future__ import annotations

from typing import Any

from callfleet_engine.media.plane import REPORT_TICKS, AiortcPlane, MediaSettings


class Session:
    """Notes its reports."""

    def __init__(self) -> None:
        self.reports: list[float] = []

    def report(self, now: float) -> None:
        self.reports.append(now)


class Call:
    """Only what a tick uses."""

    def __init__(self, people: int) -> None:
        self.sessions = {str(number): Session() for number in range(people)}

    def tick(self, now: float) -> None:
        """Nothing."""


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
