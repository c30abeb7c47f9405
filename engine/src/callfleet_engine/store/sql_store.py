"""The store on SQLite and PostgreSQL, in one dialect of SQL as far as they have one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from time import perf_counter
from typing import Final
from uuid import uuid4

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from callfleet_engine.store import maintenance
from callfleet_engine.store.database import check_file, connect_to
from callfleet_engine.store.failures import DRIVER_ERRORS, describe, silent
from callfleet_engine.store.fence import has_ended, no_active_call, owned_by_batch
from callfleet_engine.store.interface import (
    CallRoute,
    InvalidValue,
    Joining,
    LivePod,
    Maintenance,
    MetricsWritten,
    Observer,
    Owner,
    Participant,
    PodBeat,
    QualitySample,
    TurnProbe,
)
from callfleet_engine.store.migrate import bring_up_to_date
from callfleet_engine.store.rows import (
    ROUTE,
    joining_row,
    probe_row,
    sample_row,
    to_live_pod,
    to_participant,
    to_route,
)
from callfleet_engine.store.schema import (
    ago,
    calls,
    hour_of,
    insert_into,
    now,
    participants,
    pods,
    quality_samples,
    turn_hours,
)
from callfleet_engine.store.settings import StoreSettings
from callfleet_engine.store.statements import (
    ACTIVE,
    CALL_BY_ID,
    CALL_OF_ROOM,
    initiating,
    joining,
)
from callfleet_engine.store.values import (
    check_beat,
    check_identifier,
    check_owner,
    check_participant,
    check_probe,
    check_room,
    check_sample,
    is_valid,
)

LARGEST_BATCH: Final = 10_000
MOST_PROBES: Final = 1_000


class SqlStore:
    """Implements `interface.Store`; what each operation promises stands there."""

    def __init__(self, settings: StoreSettings, observe: Observer | None = None) -> None:
        self._settings = settings
        self._database = connect_to(settings)
        self._observe = observe

    async def open(self) -> None:
        async with self._operation("open", self._settings.migration_timeout):
            await check_file(self._settings.location)
            await bring_up_to_date(self._database, self._settings)

    async def close(self) -> None:
        await self._database.dispose()

    async def heartbeat(self, pod: PodBeat) -> None:
        check_beat(pod)
        row = {
            "name": pod.name,
            "address": pod.address,
            "admission": pod.admission.value,
            "participants": pod.participants,
            "pending_joins": pod.pending_joins,
            "capacity": pod.capacity,
            "release": pod.release,
            "at": now(),
        }
        async with self._statement("heartbeat") as connection:
            await connection.execute(
                insert_into(pods, connection.dialect)
                .values(uid=pod.uid, **row)
                .on_conflict_do_update(index_elements=[pods.c.uid], set_=row)
            )

    async def live_pods(self, within: timedelta) -> tuple[LivePod, ...]:
        async with self._read("live_pods") as connection:
            rows = await connection.execute(
                select(pods)
                .where(pods.c.at > ago(within.total_seconds()))
                .order_by(pods.c.name, pods.c.uid)
            )
            return tuple(to_live_pod(row) for row in rows)

    async def initiate_call(self, room: str, owner: Owner) -> CallRoute:
        check_room(room)
        check_owner(owner)
        async with self._statement("initiate_call") as connection:
            given = {
                "call_id": str(uuid4()),
                "room": room,
                "owner_uid": owner.uid,
                "owner_address": owner.address,
            }
            rows = await connection.execute(initiating(connection.dialect), given)
            return to_route(rows.one())

    async def get_active_call(
        self, *, room: str | None = None, call: str | None = None
    ) -> CallRoute | None:
        if room is not None and call is None:
            check_room(room)
            found, given = CALL_OF_ROOM, {"room": room}
        elif call is not None and room is None:
            check_identifier("call", call)
            found, given = CALL_BY_ID, {"call": call}
        else:
            raise TypeError("get_active_call takes either room or call")
        async with self._read("get_active_call") as connection:
            row = (await connection.execute(found, given)).one_or_none()
            return None if row is None else to_route(row)

    async def take_over(self, call_id: str, epoch: int, new_owner: Owner) -> CallRoute:
        check_owner(new_owner)
        given = {
            "owner_uid": new_owner.uid,
            "owner_address": new_owner.address,
            "released_at": None,
        }
        return await self._swap_epoch("take_over", call_id, epoch, given)

    async def release_call(self, call_id: str, epoch: int) -> CallRoute:
        return await self._swap_epoch("release_call", call_id, epoch, {"released_at": now()})

    async def _swap_epoch(
        self, operation: str, call_id: str, epoch: int, given: Mapping[str, object]
    ) -> CallRoute:
        """Compare-and-swap on the epoch; the route as it stands afterwards."""
        check_identifier("call", call_id)
        async with self._transaction(operation) as connection:
            rows = await connection.execute(
                update(calls)
                .where(calls.c.call_id == call_id, calls.c.epoch == epoch, ACTIVE)
                .values(epoch=calls.c.epoch + 1, **given)
                .returning(*ROUTE)
            )
            row = rows.one_or_none()
            if row is None:
                present = select(*ROUTE).where(calls.c.call_id == call_id, ACTIVE)
                row = (await connection.execute(present)).one_or_none()
            if row is None:
                raise no_active_call(call_id)
            return to_route(row)

    async def present_participants(self, call_id: str) -> tuple[Participant, ...]:
        check_identifier("call", call_id)
        async with self._read("present_participants") as connection:
            rows = await connection.execute(
                select(participants)
                .where(participants.c.call_id == call_id, participants.c.left_at.is_(None))
                .order_by(participants.c.joined_at, participants.c.participant_id)
            )
            return tuple(to_participant(row) for row in rows)

    async def join_call(self, call_id: str, epoch: int, participant: Participant) -> None:
        check_identifier("call", call_id)
        check_participant(participant)
        async with self._transaction("join_call") as connection:
            if await has_ended(connection, call_id, epoch):
                raise no_active_call(call_id)
            await connection.execute(
                joining(connection.dialect), [joining_row(call_id, participant)]
            )

    async def join_calls(self, batch: Sequence[Joining]) -> tuple[Joining, ...]:
        if len(batch) > LARGEST_BATCH:
            raise InvalidValue(f"{len(batch)} joins at once.", f"Write at most {LARGEST_BATCH}.")
        valid = [joining for joining in batch if is_valid(joining)]
        async with self._transaction("join_calls") as connection:
            call_ids = (joining.call_id for joining in valid)
            owned = await owned_by_batch(connection, call_ids, active=True)
            taken = [joining for joining in valid if (joining.call_id, joining.epoch) in owned]
            if taken:
                rows = [joining_row(joining.call_id, joining.participant) for joining in taken]
                await connection.execute(joining(connection.dialect), rows)
        recorded = set(taken)
        return tuple(joining for joining in batch if joining not in recorded)

    async def leave_call(self, call_id: str, epoch: int, participant_id: str, reason: str) -> None:
        check_identifier("call", call_id)
        check_identifier("participant", participant_id)
        check_identifier("reason", reason)
        async with self._transaction("leave_call") as connection:
            await has_ended(connection, call_id, epoch)
            await connection.execute(
                update(participants)
                .where(
                    participants.c.call_id == call_id,
                    participants.c.participant_id == participant_id,
                    participants.c.left_at.is_(None),
                )
                .values(left_at=now(), leave_reason=reason)
            )

    async def end_call(self, call_id: str, epoch: int, reason: str) -> None:
        check_identifier("call", call_id)
        check_identifier("reason", reason)
        async with self._transaction("end_call") as connection:
            if await has_ended(connection, call_id, epoch, will_change=True):
                return
            ended_at = await connection.scalar(
                update(calls)
                .where(calls.c.call_id == call_id)
                .values(ended_at=now(), end_reason=reason)
                .returning(calls.c.ended_at)
            )
            await connection.execute(
                update(participants)
                .where(participants.c.call_id == call_id, participants.c.left_at.is_(None))
                .values(left_at=ended_at, leave_reason=reason)
            )

    async def insert_metrics(self, batch: Sequence[QualitySample]) -> MetricsWritten:
        if len(batch) > LARGEST_BATCH:
            raise InvalidValue(
                f"{len(batch)} quality samples at once.", f"Write at most {LARGEST_BATCH}."
            )
        for sample in batch:
            check_sample(sample)
        async with self._transaction("insert_metrics") as connection:
            owned = await owned_by_batch(connection, (sample.call_id for sample in batch))
            rows = [
                sample_row(sample) for sample in batch if (sample.call_id, sample.epoch) in owned
            ]
            if rows:
                insert = insert_into(quality_samples, connection.dialect)
                await connection.execute(insert.on_conflict_do_nothing(), rows)
        return MetricsWritten(written=len(rows), refused=len(batch) - len(rows))

    async def update_turn_metrics(self, probes: Sequence[TurnProbe]) -> None:
        if len(probes) > MOST_PROBES:
            raise InvalidValue(f"{len(probes)} probes at once.", f"Write at most {MOST_PROBES}.")
        for probe in probes:
            check_probe(probe)
        if not probes:
            return
        # In one order, so that two pods that report the same relays cannot deadlock.
        rows = [probe_row(probe) for probe in sorted(probes, key=lambda probe: probe.server)]
        async with self._transaction("update_turn_metrics") as connection:
            insert = insert_into(turn_hours, connection.dialect).values(hour=hour_of(now()))
            new = insert.excluded
            await connection.execute(
                insert.on_conflict_do_update(
                    index_elements=[turn_hours.c.server, turn_hours.c.hour],
                    set_={
                        "probes": turn_hours.c.probes + new.probes,
                        "failures": turn_hours.c.failures + new.failures,
                        "latency_seconds_sum": (
                            turn_hours.c.latency_seconds_sum + new.latency_seconds_sum
                        ),
                        "latency_seconds_max": maintenance.greater(
                            turn_hours.c.latency_seconds_max, new.latency_seconds_max
                        ),
                    },
                ),
                rows,
            )

    async def maintain(self) -> Maintenance | None:
        counts = dict.fromkeys(maintenance.TASKS, 0)
        for task, run in maintenance.TASKS.items():
            for _ in range(maintenance.MOST_ROUNDS):
                async with self._snapshot("maintain") as connection:
                    if not await maintenance.has_lock(connection):
                        return None
                    done = await run(connection, self._settings.retention)
                counts[task] += done
                if done < maintenance.ROUND:
                    break
        return Maintenance(**counts)

    @asynccontextmanager
    async def _operation(self, name: str, timeout: timedelta) -> AsyncIterator[None]:  # noqa: ASYNC109
        """Bounds, times and translates the errors of one operation."""
        begun = perf_counter()
        try:
            async with asyncio.timeout(timeout.total_seconds()):
                yield
        except TimeoutError as error:
            raise silent(self._settings.location) from error
        except DRIVER_ERRORS as error:
            raise describe(error, self._settings.location) from error
        finally:
            if self._observe is not None:
                self._observe(name, perf_counter() - begun)

    @asynccontextmanager
    async def _read(self, name: str) -> AsyncIterator[AsyncConnection]:
        async with (
            self._operation(name, self._settings.operation_timeout),
            self._database.reads.connect() as connection,
        ):
            yield connection

    @asynccontextmanager
    async def _statement(self, name: str) -> AsyncIterator[AsyncConnection]:
        async with (
            self._operation(name, self._settings.operation_timeout),
            self._database.statements.begin() as connection,
        ):
            yield connection

    @asynccontextmanager
    async def _transaction(self, name: str) -> AsyncIterator[AsyncConnection]:
        async with (
            self._operation(name, self._settings.operation_timeout),
            self._database.transactions.begin() as connection,
        ):
            yield connection

    @asynccontextmanager
    async def _snapshot(self, name: str) -> AsyncIterator[AsyncConnection]:
        async with (
            self._operation(name, self._settings.operation_timeout),
            self._database.snapshots.begin() as connection,
        ):
            yield connection
