"""Calls and their routes against a model of a few dictionaries, in any order of operations."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule
from sqlalchemy import select

from callfleet_engine.store import SqlStore, StoreSettings
from callfleet_engine.store.interface import (
    CallRoute,
    NoActiveCall,
    Owner,
    Participant,
    StaleOwner,
)
from callfleet_engine.store.schema import participants
from callfleet_engine.store.settings import SqliteFile
from tests.hypothesis_profiles import examples

from .conftest import rows

T = TypeVar("T")
ROOMS = st.sampled_from(["red", "green"])
OWNERS = st.sampled_from([Owner("uid-a", "10.0.0.1"), Owner("uid-b", "10.0.0.2")])
PEOPLE = st.sampled_from(["p-1", "p-2", "p-3"])


@dataclass
class Call:
    """What the model knows of one call."""

    room: str
    owner: Owner
    epoch: int = 1
    ended: bool = False
    released: bool = False
    present: set[str] = field(default_factory=set)
    came: set[str] = field(default_factory=set)


class Calls(RuleBasedStateMachine):
    """Every operation with right and wrong epochs, on calls that are active and that have ended."""

    routes: Bundle[CallRoute] = Bundle("routes")

    def __init__(self) -> None:
        super().__init__()
        self._directory = tempfile.TemporaryDirectory(prefix="callfleet-store-")
        self._runner = asyncio.Runner()
        file = SqliteFile(Path(self._directory.name) / "calls.db")
        self._store = SqlStore(StoreSettings(file))
        self._run(self._store.open())
        self._model: dict[str, Call] = {}

    def teardown(self) -> None:
        self._run(self._store.close())
        self._runner.close()
        self._directory.cleanup()

    def _run(self, operation: Coroutine[object, object, T]) -> T:
        return self._runner.run(operation)

    def _write(self, operation: Coroutine[object, object, None], route: CallRoute) -> bool:
        """Whether the owner that holds the route may write; checks that the store agrees."""
        if route.epoch == self._model[route.call_id].epoch:
            self._run(operation)
            return True
        with pytest.raises(StaleOwner):
            self._run(operation)
        return False

    def _active(self, room: str) -> tuple[str, Call] | None:
        found = [
            (i, call) for i, call in self._model.items() if call.room == room and not call.ended
        ]
        assert len(found) <= 1
        return found[0] if found else None

    @rule(target=routes, room=ROOMS, owner=OWNERS)
    def initiate(self, room: str, owner: Owner) -> CallRoute:
        active = self._active(room)
        route = self._run(self._store.initiate_call(room, owner))
        if active is None:
            assert route.call_id not in self._model
            self._model[route.call_id] = Call(room, owner)
        else:
            assert route.call_id == active[0]
        return route

    @rule(target=routes, route=routes, owner=OWNERS)
    def take_over(self, route: CallRoute, owner: Owner) -> CallRoute:
        call = self._model[route.call_id]
        operation = self._store.take_over(route.call_id, route.epoch, owner)
        if call.ended:
            with pytest.raises(NoActiveCall):
                self._run(operation)
            return route
        if call.epoch == route.epoch:
            call.owner, call.epoch, call.released = owner, call.epoch + 1, False
        return self._run(operation)

    @rule(target=routes, route=routes)
    def give_up(self, route: CallRoute) -> CallRoute:
        call = self._model[route.call_id]
        operation = self._store.release_call(route.call_id, route.epoch)
        if call.ended:
            with pytest.raises(NoActiveCall):
                self._run(operation)
            return route
        if call.epoch == route.epoch:
            call.epoch, call.released = call.epoch + 1, True
        return self._run(operation)

    @rule(route=routes, person=PEOPLE)
    def join(self, route: CallRoute, person: str) -> None:
        call = self._model[route.call_id]
        operation = self._store.join_call(
            route.call_id, route.epoch, Participant(person, "identity", "")
        )
        if call.ended and call.epoch == route.epoch:
            with pytest.raises(NoActiveCall):
                self._run(operation)
        elif self._write(operation, route) and person not in call.came:
            call.came.add(person)
            call.present.add(person)

    @rule(route=routes, person=PEOPLE)
    def leave(self, route: CallRoute, person: str) -> None:
        if self._write(self._store.leave_call(route.call_id, route.epoch, person, "left"), route):
            self._model[route.call_id].present.discard(person)

    @rule(route=routes)
    def end(self, route: CallRoute) -> None:
        if self._write(self._store.end_call(route.call_id, route.epoch, "ended"), route):
            call = self._model[route.call_id]
            call.ended = True
            call.present.clear()

    @invariant()
    def each_room_has_the_call_the_model_says(self) -> None:
        for room in ("red", "green"):
            active = self._active(room)
            route = self._run(self._store.get_active_call(room=room))
            if active is None:
                assert route is None
            else:
                call_id, call = active
                assert route is not None
                assert (route.call_id, route.epoch) == (call_id, call.epoch)
                assert route.released is call.released
                assert Owner(route.owner_uid, route.owner_address) == call.owner

    @invariant()
    def those_are_present_who_came_and_did_not_leave(self) -> None:
        query = select(participants).where(participants.c.left_at.is_(None))
        recorded = {
            (row.call_id, row.participant_id) for row in self._run(rows(self._store, query))
        }
        assert recorded == {
            (i, person) for i, call in self._model.items() for person in call.present
        }


TestCalls = Calls.TestCase
TestCalls.settings = settings(
    max_examples=examples(10),
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
