"""Who is let in: exact counts of participants and joins under way, held against the limits.

A new call needs room for two, for one person alone is no call: each call's place for its second
participant stays reserved until that one has come. New calls stay within the new-call limit,
which leaves room for calls to grow; joins to a running call may fill the capacity. A pod with
nobody on it takes a call whatever its limit, or a small one could serve none.

A call that moves here brings its people, for each of whom a place is kept until they have come or
are no longer expected. It may fill the capacity, and keeps the pod from being sealed.
"""

from __future__ import annotations

from callfleet_engine.drain import Drain, Occupancy
from callfleet_engine.errors import CallError
from callfleet_engine.limits import Limits, LimitsSource
from callfleet_engine.store.interface import Admission

EXPECTED_PARTICIPANTS = 2
"""Places a new call needs."""

RETRY_AFTER_MS = 5_000
"""When a place may have become free, or another pod be there."""


def new_call_limit(limits: Limits) -> int:
    """Participants up to which new calls are taken."""
    return limits.capacity_participants * limits.new_call_limit_percent // 100


class Ticket:
    """A join under way. It is settled once: by `admit` or by `release`."""

    def __init__(self, control: AdmissionControl, room: str) -> None:
        self._control = control
        self.room = room
        self._settled = False

    def admit(self) -> None:
        """The join has become a participant."""
        self._settle(joined=1)

    def release(self) -> None:
        """The join came to nothing. Nothing happens if it was admitted."""
        if not self._settled:
            self._settle(joined=0)

    def _settle(self, *, joined: int) -> None:
        if self._settled:
            raise RuntimeError("this join is settled already")
        self._settled = True
        self._control._settled(self.room, joined)  # noqa: SLF001 - the two are one thing


class AdmissionControl:
    """Counts and decides. `limits` and `drain` are asked at each decision."""

    def __init__(self, drain: Drain, limits: LimitsSource) -> None:
        self._drain = drain
        self._limits = limits
        self._present: dict[str, int] = {}
        self._pending: dict[str, int] = {}
        self._expected: dict[str, int] = {}

    @property
    def participants(self) -> int:
        """Participants of all calls, those in their grace to resume included."""
        return sum(self._present.values())

    @property
    def pending_joins(self) -> int:
        """Joins under way."""
        return sum(self._pending.values())

    @property
    def calls(self) -> int:
        """Calls with a participant, or with one who is expected back."""
        return len(self._present.keys() | self._expected.keys())

    @property
    def occupancy(self) -> Occupancy:
        """What stands against sealing."""
        return Occupancy(self.calls, self.pending_joins)

    @property
    def committed(self) -> int:
        """Places taken or kept for those who are expected."""
        rooms = self._present.keys() | self._pending.keys() | self._expected.keys()
        return sum(max(EXPECTED_PARTICIPANTS, self._size(room)) for room in rooms)

    def holds(self, room: str) -> bool:
        """Whether the room's call is here, or is about to be."""
        return self._size(room) > 0

    def begin_join(self, room: str, *, moving: int = 0, returning: bool = False) -> Ticket:
        """Let somebody in, to the room's call if this pod has it, else to a new one.

        `moving`: this many people come with the call, which another pod had. `returning`: a place
        is kept. Raises CallError `sealed`, `draining`, `full`.
        """
        limits = self._limits.value
        if self._drain.admission is Admission.SEALED:
            raise CallError(
                "sealed",
                "This engine pod is out of service.",
                "Connect again: another pod will answer.",
                retry_after_ms=0,
            )
        if self._size(room):
            if not returning:
                self._require_place(limits)
        elif self._drain.admission is Admission.DRAINING:
            raise draining("This engine pod takes no new calls.")
        elif self.committed and not self._has_room(limits, moving):
            raise full("This engine pod has no room for a new call.")
        self._pending[room] = self._pending.get(room, 0) + 1
        return Ticket(self, room)

    def expect(self, room: str, participants: int) -> None:
        """So many people of the room's call are to come from another pod."""
        if participants:
            self._expected[room] = participants
        else:
            self._expected.pop(room, None)

    def leave(self, room: str) -> None:
        """A participant of the room's call has left."""
        self._present[room] -= 1
        if not self._present[room]:
            del self._present[room]

    def _has_room(self, limits: Limits, moving: int) -> bool:
        limit = limits.capacity_participants if moving else new_call_limit(limits)
        return self.committed + max(EXPECTED_PARTICIPANTS, moving) <= limit

    def _require_place(self, limits: Limits) -> None:
        taken = self.participants + self.pending_joins + sum(self._expected.values())
        if taken >= limits.capacity_participants:
            raise full("The engine pod of this call is full.")

    def _settled(self, room: str, joined: int) -> None:
        self._pending[room] -= 1
        if not self._pending[room]:
            del self._pending[room]
        if joined:
            self._present[room] = self._present.get(room, 0) + 1

    def _size(self, room: str) -> int:
        present, pending = self._present.get(room, 0), self._pending.get(room, 0)
        return present + pending + self._expected.get(room, 0)


def full(message: str) -> CallError:
    """The refusal for want of places."""
    return CallError(
        "full",
        message,
        "Try again in a few seconds: places become free and new pods start.",
        retry_after_ms=RETRY_AFTER_MS,
    )


def draining(message: str) -> CallError:
    """The refusal of a new call where pods only finish the calls they have."""
    return CallError(
        "draining",
        message,
        "Try again in a few seconds: the call will start on another pod.",
        retry_after_ms=RETRY_AFTER_MS,
    )
