"""Pods that host the calls of a replay, whoever scales them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from heapq import heappop, heappush
from random import Random

from callfleet_operator.simulate.traffic import Call


@dataclass(frozen=True, slots=True)
class Room:
    """What one pod takes, in participants."""

    capacity: int
    target_percent: int
    new_call_limit_percent: int

    def within_target(self, participants: int) -> bool:
        """Whether so many are within the target utilisation."""
        return participants * 100 <= self.capacity * self.target_percent

    def within_limit(self, participants: int) -> bool:
        """Whether so many are within what new calls may fill."""
        return participants * 100 <= self.capacity * self.new_call_limit_percent


@dataclass(slots=True, eq=False)
class Pod:
    """One pod that exists."""

    ordinal: int
    created: float
    """Seconds since the start of the replay."""
    ready_at: float
    admits: bool = True
    """Whether it takes new calls once it is ready."""
    used: int = 0
    """Participants."""
    calls: set[int] = field(default_factory=set)
    """Numbers of the calls that it carries."""

    def ready(self, now: float) -> bool:
        """Whether it serves."""
        return self.ready_at <= now


@dataclass(slots=True)
class Tally:
    """What became of the calls, and how they looked to Prometheus."""

    offered: int = 0
    blocked: int = 0
    """Calls that found no pod with room."""
    cut: int = 0
    """Calls whose pod ended under them."""
    cut_participants: int = 0
    started: list[float] = field(default_factory=list)
    """When each call began that found room."""
    ended: list[tuple[float, float, int]] = field(default_factory=list)
    """Of each call that ended by itself: when, its seconds, its participants."""


@dataclass(slots=True)
class Pods:
    """The pods of one fleet and the calls on them."""

    room: Room
    random: Random
    present: list[Pod] = field(default_factory=list)
    tally: Tally = field(default_factory=Tally)
    _ends: list[tuple[float, int]] = field(default_factory=list)
    _where: dict[int, tuple[Pod, Call]] = field(default_factory=dict)
    _number: int = 0

    @property
    def participants(self) -> int:
        """On all pods."""
        return sum(pod.used for pod in self.present)

    def add(self, ordinal: int, created: float, ready_at: float) -> Pod:
        """A new pod without calls."""
        pod = Pod(ordinal, created, ready_at)
        self.present.append(pod)
        return pod

    def remove(self, pod: Pod) -> None:
        """The pod ends, and with it what it carries."""
        self.present.remove(pod)
        for number in pod.calls:
            _, call = self._where.pop(number)
            self.tally.cut += 1
            self.tally.cut_participants += call.participants

    def resume(self, calls: Iterable[Call]) -> None:
        """Calls that are under way at the start, spread evenly."""
        for call in calls:
            pod = min(self.present, key=lambda one: (one.used, one.ordinal), default=None)
            if pod is not None:
                self._host(call, pod)

    def begin(self, call: Call) -> None:
        """A new call comes: it finds a pod as engines place calls, or is blocked.

        The fullest pod that stays within the target, else the emptier of two drawn at random
        that stay within the new-call limit; an empty pod takes a call in any case.
        """
        self.tally.offered += 1
        ready = [pod for pod in self.present if pod.admits and pod.ready(call.begins)]
        fits = self._fitting(ready, call, self.room.within_limit)
        best = self._fitting(fits, call, self.room.within_target)
        if best:
            pod = max(best, key=lambda one: (one.used, -one.ordinal))
        elif fits:
            drawn = self.random.sample(fits, min(2, len(fits)))
            pod = min(drawn, key=lambda one: one.used)
        else:
            self.tally.blocked += 1
            return
        self.tally.started.append(call.begins)
        self._host(call, pod)

    @staticmethod
    def _fitting(pods: list[Pod], call: Call, within: Callable[[int], bool]) -> list[Pod]:
        return [pod for pod in pods if not pod.used or within(pod.used + call.participants)]

    def _host(self, call: Call, pod: Pod) -> None:
        self._number += 1
        pod.calls.add(self._number)
        pod.used += call.participants
        self._where[self._number] = pod, call
        heappush(self._ends, (call.ends, self._number))

    def end_until(self, now: float) -> None:
        """Calls that are over by then leave."""
        while self._ends and self._ends[0][0] <= now:
            time, number = heappop(self._ends)
            if number not in self._where:
                continue
            pod, call = self._where.pop(number)
            pod.calls.remove(number)
            pod.used -= call.participants
            self.tally.ended.append((time, call.ends - call.begins, call.participants))
