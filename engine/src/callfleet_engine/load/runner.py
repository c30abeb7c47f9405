"""Takes a scenario through its phases and sums the run up."""

from __future__ import annotations

import asyncio
import time
from dataclasses import asdict, dataclass, field
from statistics import median

from callfleet_engine.load.events import EventLog
from callfleet_engine.load.scenario import Phase, Scenario, Until
from callfleet_engine.load.world import World

STEP_SECONDS = 0.05
SAMPLE_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class PhaseOutcome:
    """How one phase went."""

    name: str
    met: bool
    seconds: float


@dataclass(slots=True)
class Summary:
    """How the run went. `events` counts every event by name, so nothing is left out."""

    phases: list[PhaseOutcome] = field(default_factory=list)
    events: dict[str, int] = field(default_factory=dict)
    packets: int = 0
    missing: int = 0
    disconnected: int = 0
    moved: int = 0
    """Times that a participant's call changed pods and the participant went along."""
    median_move_gap_seconds: float | None = None
    """Without any media from others, at these times and when a relay was left; None: there was no
    such time."""
    longest_move_gap_seconds: float | None = None

    @property
    def met(self) -> bool:
        """Every phase reached its end, and nobody was disconnected against their will."""
        return all(phase.met for phase in self.phases) and self.disconnected == 0

    def as_json(self) -> dict[str, object]:
        """The summary for the report file."""
        return {"met": self.met, **asdict(self)}


Commands = asyncio.Queue[dict[str, str]]


class Runner:
    """One run of one scenario."""

    def __init__(
        self, scenario: Scenario, world: World, events: EventLog, *, linger_seconds: float = 0
    ) -> None:
        """`linger_seconds`: how long a phase that ends when reached stays after that."""
        self.commands: Commands = asyncio.Queue()
        """`{"command": "next"}`, `{"command": "end-calls", "pod": NAME}`, `{"command": "stop"}`."""
        self._scenario = scenario
        self._world = world
        self._events = events
        self._linger_seconds = linger_seconds
        self._stopped = False

    async def run(self) -> Summary:
        """Go through all phases; the first that passes its limit ends the run."""
        summary = Summary()
        try:
            for phase in self._scenario.phases:
                outcome = await self._phase(phase)
                summary.phases.append(outcome)
                if not outcome.met or self._stopped:
                    break
        finally:
            summary.packets, summary.missing = self._world.packets()
            if gaps := self._world.move_gaps():
                summary.median_move_gap_seconds = round(median(gaps), 3)
                summary.longest_move_gap_seconds = round(max(gaps), 3)
            await self._world.everybody_leaves()
        summary.events = dict(self._events.counts)
        summary.disconnected = summary.events.get("disconnected", 0)
        summary.moved = summary.events.get("moved", 0)
        return summary

    async def _phase(self, phase: Phase) -> PhaseOutcome:
        started = time.monotonic()
        self._world.ended_calls_wanted = 0
        self._events.write("phase-started", phase=phase.name)
        reached: float | None = None
        sampled = 0.0
        while True:
            now = time.monotonic()
            self._world.adjust(phase)
            if now - sampled >= SAMPLE_SECONDS:
                sampled = now
                self._events.write("sample", phase=phase.name, **self._world.sample())
                if reached is None and self._world.reached(phase):
                    reached = now
                    self._events.write("phase-reached", phase=phase.name)
            done = (
                reached is not None
                and phase.until is Until.REACHED
                and now - reached >= self._linger_seconds
            )
            if self._told_to_go_on(phase) or done:
                return self._ended(phase, started, met=True)
            waiting = reached is None or phase.until is Until.COMMAND
            if waiting and now - started > phase.limit_seconds:
                return self._ended(phase, started, met=False)
            await asyncio.sleep(STEP_SECONDS)

    def _ended(self, phase: Phase, started: float, *, met: bool) -> PhaseOutcome:
        outcome = PhaseOutcome(phase.name, met, round(time.monotonic() - started, 3))
        self._events.write("phase-ended", phase=phase.name, met=met, seconds=outcome.seconds)
        return outcome

    def _told_to_go_on(self, phase: Phase) -> bool:
        while not self.commands.empty():
            command = self.commands.get_nowait()
            match command:
                case {"command": "next"} if phase.until is Until.COMMAND:
                    return True
                case {"command": "end-calls", "pod": pod}:
                    ended = self._world.end_calls_on(pod)
                    self._events.write("calls-ended", pod=pod, calls=ended)
                case {"command": "stop"}:
                    self._stopped = True
                    return True
                case _:
                    self._events.write("command-refused", command=command, phase=phase.name)
        return False
