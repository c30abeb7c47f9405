"""The people of a run: makes calls and TURN clients as a phase wants them, and keeps them so."""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections import Counter, defaultdict
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any

from callfleet_engine.load.participant import Client, Participant
from callfleet_engine.load.scenario import Credentials, Phase
from callfleet_engine.load.turn_client import TurnClient

LEAVE_SECONDS = 20.0


@dataclass(slots=True)
class Room:
    """One call's people."""

    name: str
    ends_at: float | None = None
    """Monotonic time at which its people hang up of themselves."""
    participants: list[Participant] = field(default_factory=list)

    @property
    def pod(self) -> str:
        """Where the call is; empty before anybody has joined."""
        return next((p.pod for p in self.participants if p.pod), "")

    def complete(self, wanted: int) -> bool:
        """Everybody is connected and hears everybody else."""
        if len(self.participants) != wanted:
            return False
        everybody = {p.participant for p in self.participants}
        return all(
            p.connected and p.hears() >= everybody - {p.participant} for p in self.participants
        )


class World:
    """Everybody who takes part, and the tasks they live in."""

    def __init__(
        self, client: Client, room_prefix: str, joins_per_second: float, *, seed: int = 1
    ) -> None:
        self.rooms: list[Room] = []
        self.turn_clients: list[TurnClient] = []
        self.ended_calls_wanted = 0
        """Calls that `end_calls_on` ended: the phase wants so many fewer."""
        self._packets_of_the_gone = 0
        self._missing_of_the_gone = 0
        self._gaps_of_the_gone: list[float] = []
        self._client = client
        self._prefix = room_prefix
        self._interval = 1 / joins_per_second
        self._next_join = 0.0
        self._lengths = random.Random(seed)  # noqa: S311 (no secret)
        self._numbers = itertools.count(1)
        self._one_at_a_time = asyncio.Lock()
        self._tasks: dict[Participant | TurnClient, asyncio.Task[None]] = {}
        self._leaving: set[asyncio.Task[None]] = set()

    # What a phase wants

    def adjust(self, phase: Phase) -> None:
        """Take one step towards the phase; call it again and again."""
        self._bury()
        calls = max(0, phase.calls - self.ended_calls_wanted)
        for ending in self._over(calls):
            self.rooms.remove(ending)
            self._end(ending)
        for room in self.rooms:
            while len(room.participants) > phase.participants_per_call:
                self._let_go(room.participants.pop())
        self._adjust_turn_clients(phase.allocations, phase.credentials)
        if not self._may_join():
            return
        for room in self.rooms:
            if len(room.participants) < phase.participants_per_call:
                self._come(room)
                return
        if len(self.rooms) < calls:
            room = Room(f"{self._prefix}-{next(self._numbers)}", self._end_of_a_call(phase))
            self.rooms.append(room)
            self._come(room)

    def _end_of_a_call(self, phase: Phase) -> float | None:
        if phase.call_seconds is None:
            return None
        return time.monotonic() + self._lengths.expovariate(1 / phase.call_seconds)

    def _over(self, calls: int) -> list[Room]:
        """Calls whose time is over, and of those without a length as many as are too many, from
        the busiest pod each: they end everywhere alike, so that pods empty evenly."""
        now = time.monotonic()
        over = [room for room in self.rooms if room.ends_at is not None and now >= room.ends_at]
        left = [room for room in self.rooms if room not in over]
        endless = [room for room in left if room.ends_at is None]
        while len(left) > calls and endless:
            calls_of = Counter(room.pod for room in left)
            ending = max(endless, key=lambda room: calls_of[room.pod])
            for rooms in (left, endless):
                rooms.remove(ending)
            over.append(ending)
        return over

    def _adjust_turn_clients(self, wanted: int, credentials: Credentials) -> None:
        for client in [c for c in self.turn_clients if c.credentials is not credentials]:
            self.turn_clients.remove(client)
            self._let_go(client)
        while len(self.turn_clients) > wanted:
            self._let_go(self.turn_clients.pop())
        if len(self.turn_clients) < wanted and self._may_join():
            number = next(self._numbers)
            room = self.rooms[0].name if self.rooms else f"{self._prefix}-turn"
            client = TurnClient(
                self._client, room, f"turn-{number}", credentials, self._one_at_a_time
            )
            self.turn_clients.append(client)
            self._start(client, client.run())
            self._joined()

    def reached(self, phase: Phase) -> bool:
        """The world is as the phase wants it."""
        calls = max(0, phase.calls - self.ended_calls_wanted)
        held = sum(client.held for client in self.turn_clients)
        return (
            len(self.rooms) == calls
            and all(room.complete(phase.participants_per_call) for room in self.rooms)
            and held == phase.allocations
            and not self._leaving
        )

    def end_calls_on(self, pod: str) -> int:
        """Everybody in the calls of one pod hangs up; they do not call again in this phase."""
        ending = [room for room in self.rooms if room.pod == pod]
        for room in ending:
            self.rooms.remove(room)
            self._end(room)
        self.ended_calls_wanted += len(ending)
        return len(ending)

    async def everybody_leaves(self) -> None:
        """End everything in good order."""
        for room in self.rooms:
            self._end(room)
        for client in self.turn_clients:
            self._let_go(client)
        self.rooms, self.turn_clients = [], []
        if self._leaving:
            _, stuck = await asyncio.wait(self._leaving, timeout=LEAVE_SECONDS)
            for task in stuck:
                task.cancel()
            await asyncio.gather(*stuck, return_exceptions=True)

    # What there is

    def sample(self) -> dict[str, Any]:
        """Counts for the event `sample`."""
        calls: list[dict[str, Any]] = []
        for room in self.rooms:
            streams = [s for p in room.participants for s in p.streams()]
            calls.append(
                {
                    "room": room.name,
                    "pod": room.pod,
                    "participants": sum(p.connected for p in room.participants),
                    "packets": sum(stream.packets for stream in streams),
                    "missing": sum(stream.missing for stream in streams),
                    "longestGapMs": round(
                        1000 * max((s.longest_gap_seconds for s in streams), default=0)
                    ),
                }
            )
        per_pod: dict[str, int] = defaultdict(int)
        for call in calls:
            per_pod[call["pod"]] += call["participants"]
        return {
            "calls": calls,
            "participants": sum(call["participants"] for call in calls),
            "participantsWanted": sum(len(room.participants) for room in self.rooms),
            "allocations": sum(client.held for client in self.turn_clients),
            "allocationsWanted": len(self.turn_clients),
            "participantsPerPod": dict(per_pod),
        }

    def packets(self) -> tuple[int, int]:
        """RTP packets that participants received in the whole run, and those that are missing."""
        streams = [s for p in self._present() for s in p.streams()]
        return (
            self._packets_of_the_gone + sum(stream.packets for stream in streams),
            self._missing_of_the_gone + sum(stream.missing for stream in streams),
        )

    def move_gaps(self) -> list[float]:
        """Seconds without media, of each participant whose call has changed pods."""
        return [*self._gaps_of_the_gone, *(gap for p in self._present() for gap in p.move_gaps)]

    def _present(self) -> list[Participant]:
        return [participant for room in self.rooms for participant in room.participants]

    # Coming and going

    def _may_join(self) -> bool:
        return time.monotonic() >= self._next_join

    def _joined(self) -> None:
        self._next_join = time.monotonic() + self._interval

    def _come(self, room: Room) -> None:
        participant = Participant(self._client, room.name, f"{room.name}-{next(self._numbers)}")
        room.participants.append(participant)
        self._start(participant, participant.run())
        self._joined()

    def _start(self, who: Participant | TurnClient, life: Coroutine[Any, Any, None]) -> None:
        self._tasks[who] = asyncio.create_task(life)

    def _end(self, room: Room) -> None:
        for participant in room.participants:
            self._let_go(participant)

    def _let_go(self, who: Participant | TurnClient) -> None:
        who.leave()
        if isinstance(who, Participant):
            self._remember(who)
        task = self._tasks.pop(who)
        self._leaving.add(task)

    def _remember(self, participant: Participant) -> None:
        self._gaps_of_the_gone += participant.move_gaps
        for stream in participant.streams():
            self._packets_of_the_gone += stream.packets
            self._missing_of_the_gone += stream.missing

    def _bury(self) -> None:
        """Forget those who have left, replace those who were dropped, raise what went wrong."""
        for task in [task for task in self._leaving if task.done()]:
            self._leaving.remove(task)
            task.result()
        for who, task in [(who, task) for who, task in self._tasks.items() if task.done()]:
            del self._tasks[who]
            task.result()
            if isinstance(who, Participant):
                self._remember(who)
                for room in self.rooms:
                    if who in room.participants:
                        room.participants.remove(who)
