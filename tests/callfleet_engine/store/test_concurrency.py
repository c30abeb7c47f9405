"""Many pods at once on one database: one outcome, the same for all."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from typing import Any

import pytest
from sqlalchemy import func, select, text, update

from callfleet_engine.store import SqlStore, maintenance
from callfleet_engine.store.interface import (
    NoActiveCall,
    Owner,
    Participant,
    StaleOwner,
    TurnProbe,
)
from callfleet_engine.store.schema import calls, now, participants, schema_history, turn_hours

from .conftest import ADA, BOB, MakeStore, rows

WAITING = text("SELECT 1 FROM pg_locks WHERE NOT granted")


def pod(number: int) -> Owner:
    return Owner(uid=f"uid-{number}", address=f"10.0.0.{number}")


async def test_ten_stores_that_start_together_migrate_once(make_store: MakeStore) -> None:
    stores = [make_store() for _ in range(10)]

    await asyncio.gather(*(store.open() for store in stores))

    assert len(await rows(stores[0], select(schema_history))) == 1
    routes = await asyncio.gather(
        *(store.initiate_call("demo", pod(number)) for number, store in enumerate(stores))
    )
    assert len(set(routes)) == 1


async def test_twenty_tasks_start_one_call(store: SqlStore) -> None:
    routes = await asyncio.gather(*(store.initiate_call("demo", pod(n)) for n in range(20)))

    assert len(set(routes)) == 1
    assert len(await rows(store, select(calls))) == 1


async def test_one_pod_takes_over(store: SqlStore) -> None:
    call = await store.initiate_call("demo", ADA)

    routes = await asyncio.gather(*(store.take_over(call.call_id, 1, pod(n)) for n in range(20)))

    assert len(set(routes)) == 1
    assert routes[0].epoch == 2


async def test_a_start_and_an_end_at_once_leave_at_most_one_call(store: SqlStore) -> None:
    for _ in range(10):
        call = await store.initiate_call("demo", ADA)
        ending = asyncio.create_task(store.end_call(call.call_id, 1, "ended"))
        routes = await asyncio.gather(*(store.initiate_call("demo", pod(n)) for n in range(5)))
        await ending
        active = await rows(store, select(calls).where(calls.c.ended_at.is_(None)))
        assert len(active) <= 1
        others = {route.call_id for route in routes} - {call.call_id}
        assert others == {row.call_id for row in active}
        for row in active:
            await store.end_call(row.call_id, 1, "ended")


async def test_writes_of_the_owner_end_where_a_takeover_begins(store: SqlStore) -> None:
    call = await store.initiate_call("demo", ADA)

    async def join(number: int) -> str:
        try:
            await store.join_call(call.call_id, 1, Participant(f"p-{number}", "eve", ""))
        except StaleOwner:
            return "stale"
        return "joined"

    joining = [asyncio.create_task(join(n)) for n in range(20)]
    taken = await store.take_over(call.call_id, 1, BOB)
    outcomes = await asyncio.gather(*joining)

    (recorded,) = await rows(store, select(func.count()).select_from(participants))
    assert recorded[0] == Counter(outcomes)["joined"]
    assert taken.epoch == 2
    assert await join(99) == "stale"


async def test_nobody_is_left_in_a_call_that_ends_while_they_join(store: SqlStore) -> None:
    call = await store.initiate_call("demo", ADA)

    async def join(number: int) -> None:
        with contextlib.suppress(NoActiveCall):
            await store.join_call(call.call_id, 1, Participant(f"p-{number}", "eve", ""))

    joining = [asyncio.create_task(join(n)) for n in range(20)]
    await joining[0]
    await store.end_call(call.call_id, 1, "ended")
    await asyncio.gather(*joining)

    assert not await rows(store, select(participants).where(participants.c.left_at.is_(None)))


@pytest.mark.peer
@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
@pytest.mark.parametrize("change", [{"epoch": 2}, {"ended_at": now()}], ids=["taken", "ended"])
async def test_a_join_waits_for_a_change_under_way_and_respects_it(
    store: SqlStore, change: dict[str, Any]
) -> None:
    call = await store.initiate_call("demo", ADA)
    async with store._database.transactions.begin() as connection:
        await connection.execute(update(calls).values(**change))
        joining = asyncio.create_task(
            store.join_call(call.call_id, 1, Participant("p-1", "eve", ""))
        )
        async with asyncio.timeout(10):
            while not joining.done() and not await rows(store, WAITING):
                pass
    with pytest.raises((StaleOwner, NoActiveCall)):
        await joining
    assert not await rows(store, select(participants))


async def test_probes_of_many_pods_are_all_counted(store: SqlStore) -> None:
    servers = [f"turn:relay-{n}" for n in range(5)]
    batches = [[TurnProbe(s, 0.01) for s in servers], [TurnProbe(s, None) for s in servers[::-1]]]

    await asyncio.gather(*(store.update_turn_metrics(batches[n % 2]) for n in range(20)))

    counted = await rows(store, select(turn_hours))
    assert sum(row.probes for row in counted) == 100
    assert sum(row.failures for row in counted) == 50


@pytest.mark.peer
@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_maintenance_is_done_by_one_at_a_time(store: SqlStore) -> None:
    async with store._database.transactions.begin() as another_pod:
        assert await maintenance.has_lock(another_pod)
        assert await store.maintain() is None

    assert await store.maintain() is not None
