"""What the world does towards a phase, with people who never get as far as the network."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import pytest

from callfleet_engine.load.events import EventLog
from callfleet_engine.load.participant import Client
from callfleet_engine.load.scenario import Credentials, Phase
from callfleet_engine.load.world import World
from tests.waiting import until

NOBODY_LISTENS = "http://127.0.0.1:9"


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with aiohttp.ClientSession() as http:
        client = Client(http, NOBODY_LISTENS, lambda _room, _who: None, EventLog(None), ())
        world = World(client, "test", joins_per_second=100)
        yield world
        await world.everybody_leaves()


async def bring_to(world: World, phase: Phase, *, people: int, turn_clients: int) -> None:
    def come_to_it() -> bool:
        world.adjust(phase)
        present = sum(len(room.participants) for room in world.rooms)
        return (present, len(world.turn_clients)) == (people, turn_clients)

    await until(come_to_it)


async def test_people_come_until_there_are_as_many_as_wanted_and_leave_again(world: World) -> None:
    await bring_to(
        world, Phase(name="a", calls=2, participants_per_call=3), people=6, turn_clients=0
    )
    assert [len(room.participants) for room in world.rooms] == [3, 3]

    await bring_to(
        world, Phase(name="b", calls=1, participants_per_call=2), people=2, turn_clients=0
    )


async def test_turn_clients_of_other_credentials_are_others(world: World) -> None:
    await bring_to(world, Phase(name="a", allocations=4), people=0, turn_clients=4)
    before = list(world.turn_clients)

    wrong = Phase(name="b", allocations=3, credentials=Credentials.WRONG)
    await bring_to(world, wrong, people=0, turn_clients=3)

    assert not set(before) & set(world.turn_clients)
    assert {client.credentials for client in world.turn_clients} == {Credentials.WRONG}


async def test_a_phase_is_reached_only_by_people_who_hear_each_other(world: World) -> None:
    phase = Phase(name="a", calls=1, participants_per_call=2)
    await bring_to(world, phase, people=2, turn_clients=0)

    assert not world.reached(phase)


async def test_calls_end_on_the_pod_that_has_most_of_them(world: World) -> None:
    await bring_to(
        world, Phase(name="a", calls=3, participants_per_call=1), people=3, turn_clients=0
    )
    for room, pod in zip(world.rooms, ("engine-0", "engine-1", "engine-1"), strict=True):
        for participant in room.participants:
            participant.pod = pod

    world.adjust(Phase(name="b", calls=2, participants_per_call=1))

    assert sorted(room.pod for room in world.rooms) == ["engine-0", "engine-1"]


async def test_calls_of_a_pod_end_and_are_not_made_again_in_this_phase(world: World) -> None:
    phase = Phase(name="a", calls=2, participants_per_call=1)
    await bring_to(world, phase, people=2, turn_clients=0)
    world.rooms[0].participants[0].pod = "engine-0"

    assert world.end_calls_on("engine-0") == 1

    for _ in range(20):
        world.adjust(phase)
        await asyncio.sleep(0)
    assert len(world.rooms) == 1


async def test_a_call_with_a_length_ends_and_another_comes(world: World) -> None:
    phase = Phase(name="a", calls=1, participants_per_call=1, call_seconds=0.05)
    await bring_to(world, phase, people=1, turn_clients=0)
    first = world.rooms[0]

    def another_came() -> bool:
        world.adjust(phase)
        return [room.name for room in world.rooms] not in ([], [first.name])

    await until(another_came)
    assert first.ends_at is not None


async def test_calls_with_a_length_end_no_earlier_when_fewer_are_wanted(world: World) -> None:
    long = Phase(name="a", calls=3, participants_per_call=1, call_seconds=80_000)
    await bring_to(world, long, people=3, turn_clients=0)

    for _ in range(20):
        world.adjust(Phase(name="b", calls=1, participants_per_call=1, call_seconds=80_000))
        await asyncio.sleep(0)

    assert len(world.rooms) == 3


async def test_the_same_seed_gives_calls_the_same_lengths() -> None:
    async with aiohttp.ClientSession() as http:
        client = Client(http, NOBODY_LISTENS, lambda _room, _who: None, EventLog(None), ())
        phase = Phase(name="a", calls=4, participants_per_call=1, call_seconds=80_000)
        lengths = []
        for seed in (7, 7, 8):
            world = World(client, "test", joins_per_second=100, seed=seed)
            await bring_to(world, phase, people=4, turn_clients=0)
            ends = [room.ends_at for room in world.rooms if room.ends_at is not None]
            lengths.append([end - ends[0] for end in ends])
            await world.everybody_leaves()

    a_minute = 60  # more than it takes to make four calls
    assert lengths[0] == pytest.approx(lengths[1], abs=a_minute)
    assert lengths[0] != pytest.approx(lengths[2], abs=a_minute)
