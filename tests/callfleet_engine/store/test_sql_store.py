"""What each operation of the store promises, on both databases."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select, update

from callfleet_engine.store import SqlStore
from callfleet_engine.store.interface import (
    Admission,
    Direction,
    InvalidValue,
    Joining,
    MetricsWritten,
    NoActiveCall,
    Participant,
    PodBeat,
    QualitySample,
    StaleOwner,
    TurnProbe,
)
from callfleet_engine.store.schema import (
    ago,
    calls,
    participants,
    pods,
    quality_samples,
    turn_hours,
)

from .conftest import ADA, BOB, MakeStore, rows

BEAT = PodBeat(
    uid="uid-a",
    name="demo-engine-0",
    address="10.0.0.1",
    admission=Admission.OPEN,
    participants=3,
    pending_joins=1,
    capacity=150,
    release="0.1.0",
)
EVE = Participant(participant_id="p-1", identity="eve", name="Eve 👩‍👩‍👧")
MOMENT = datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=UTC)


def sample(call_id: str, epoch: int = 1, **changes: object) -> QualitySample:
    whole = QualitySample(
        call_id=call_id,
        epoch=epoch,
        participant_id="p-1",
        direction=Direction.IN,
        at=MOMENT,
        packets=500,
        packets_lost=-2,
        jitter_seconds=None,
        round_trip_seconds=0.025,
        bits_per_second=64_000.0,
    )
    return replace(whole, **changes)  # type: ignore[arg-type]  # any field


async def test_a_heartbeat_is_seen_and_the_next_one_takes_its_place(store: SqlStore) -> None:
    await store.heartbeat(BEAT)
    later = replace(BEAT, admission=Admission.DRAINING, participants=2)
    await store.heartbeat(later)

    (live,) = await store.live_pods(timedelta(seconds=30))

    assert live.pod == later
    assert live.at.tzinfo is not None


async def test_a_silent_pod_is_not_alive(store: SqlStore) -> None:
    await store.heartbeat(BEAT)
    await store.heartbeat(replace(BEAT, uid="uid-b", name="demo-engine-1"))
    async with store._database.transactions.begin() as connection:
        await connection.execute(update(pods).where(pods.c.uid == "uid-a").values(at=ago(31.0)))

    assert [live.pod.uid for live in await store.live_pods(timedelta(seconds=30))] == ["uid-b"]
    assert len(await store.live_pods(timedelta(seconds=40))) == 2


async def test_a_room_has_one_active_call(store: SqlStore) -> None:
    first = await store.initiate_call("demo", ADA)

    assert await store.initiate_call("demo", BOB) == first
    assert (first.owner_uid, first.owner_address, first.epoch) == (ADA.uid, ADA.address, 1)
    assert await store.get_active_call(room="demo") == first
    assert await store.get_active_call(call=first.call_id) == first
    assert (await store.initiate_call("other", BOB)).call_id != first.call_id


async def test_an_ended_call_frees_its_room(store: SqlStore) -> None:
    first = await store.initiate_call("demo", ADA)
    await store.end_call(first.call_id, 1, "ended")

    assert await store.get_active_call(room="demo") is None
    assert await store.get_active_call(call=first.call_id) is None
    assert (await store.initiate_call("demo", BOB)).call_id != first.call_id


async def test_rooms_are_told_apart_exactly(store: SqlStore) -> None:
    await store.initiate_call("Büro", ADA)

    assert await store.get_active_call(room="büro") is None
    assert await store.get_active_call(room="Bu\u0308ro") is None
    assert await store.get_active_call(room="' OR ''='") is None


async def test_get_active_call_wants_one_of_the_two(store: SqlStore) -> None:
    with pytest.raises(TypeError):
        await store.get_active_call()
    with pytest.raises(TypeError):
        await store.get_active_call(room="demo", call="c")


async def test_taking_over_gives_the_call_a_new_owner_and_epoch(store: SqlStore) -> None:
    first = await store.initiate_call("demo", ADA)

    taken = await store.take_over(first.call_id, 1, BOB)

    assert taken == replace(first, owner_uid=BOB.uid, owner_address=BOB.address, epoch=2)
    assert await store.get_active_call(room="demo") == taken


async def test_taking_over_with_an_old_epoch_gives_the_winners_route(store: SqlStore) -> None:
    first = await store.initiate_call("demo", ADA)
    taken = await store.take_over(first.call_id, 1, BOB)

    assert await store.take_over(first.call_id, 1, ADA) == taken


async def test_an_ended_or_unknown_call_cannot_be_taken_over(store: SqlStore) -> None:
    first = await store.initiate_call("demo", ADA)
    await store.end_call(first.call_id, 1, "ended")

    for call_id in (first.call_id, "no-such-call"):
        with pytest.raises(NoActiveCall, match=call_id):
            await store.take_over(call_id, 1, BOB)


async def test_a_call_that_is_given_up_is_taken_over_under_the_next_epoch(store: SqlStore) -> None:
    first = await store.initiate_call("demo", ADA)

    given_up = await store.release_call(first.call_id, 1)

    assert given_up == replace(first, epoch=2, released=True)
    assert await store.release_call(first.call_id, 1) == given_up
    assert await store.get_active_call(room="demo") == given_up
    with pytest.raises(StaleOwner):
        await store.join_call(first.call_id, 1, EVE)
    taken = await store.take_over(first.call_id, 2, BOB)
    assert taken == replace(first, owner_uid=BOB.uid, owner_address=BOB.address, epoch=3)
    assert await store.release_call(first.call_id, 1) == taken


async def test_an_ended_or_unknown_call_cannot_be_given_up(store: SqlStore) -> None:
    first = await store.initiate_call("demo", ADA)
    await store.end_call(first.call_id, 1, "ended")

    for call_id in (first.call_id, "no-such-call"):
        with pytest.raises(NoActiveCall, match=call_id):
            await store.release_call(call_id, 1)


async def test_the_next_owner_learns_who_is_present(store: SqlStore) -> None:
    call = await store.initiate_call("demo", ADA)
    eve = replace(EVE, resume_digest="d" * 64)
    bob = Participant("p-2", "bob", "Bob")
    await store.join_call(call.call_id, 1, eve)
    await store.join_call(call.call_id, 1, bob)
    await store.join_call(call.call_id, 1, Participant("p-3", "carol", ""))
    await store.leave_call(call.call_id, 1, "p-3", "left")

    assert await store.present_participants(call.call_id) == (eve, bob)
    assert await store.present_participants("no-such-call") == ()


async def test_presence_is_recorded_from_join_to_leave(store: SqlStore) -> None:
    call = await store.initiate_call("demo", ADA)
    await store.join_call(call.call_id, 1, EVE)
    (present,) = await rows(store, select(participants))
    await store.leave_call(call.call_id, 1, EVE.participant_id, "left")
    await store.leave_call(call.call_id, 1, EVE.participant_id, "media_lost")

    (gone,) = await rows(store, select(participants))

    assert (present.identity, present.name, present.left_at) == (EVE.identity, EVE.name, None)
    assert gone.left_at >= gone.joined_at == present.joined_at >= call.started_at
    assert gone.leave_reason == "left"


async def test_the_end_of_a_call_ends_the_presence_of_those_in_it(store: SqlStore) -> None:
    call = await store.initiate_call("demo", ADA)
    await store.join_call(call.call_id, 1, EVE)
    await store.join_call(call.call_id, 1, replace(EVE, participant_id="p-2"))
    await store.leave_call(call.call_id, 1, "p-2", "left")

    await store.end_call(call.call_id, 1, "pod_terminated")

    (ended,) = await rows(store, select(calls))
    people = await rows(store, select(participants).order_by(participants.c.participant_id))
    assert ended.end_reason == "pod_terminated"
    assert [person.leave_reason for person in people] == ["pod_terminated", "left"]
    assert people[0].left_at == ended.ended_at


async def test_operations_can_be_repeated(store: SqlStore) -> None:
    call = await store.initiate_call("demo", ADA)
    for _ in range(2):
        await store.join_call(call.call_id, 1, EVE)
    for _ in range(2):
        assert await store.insert_metrics([sample(call.call_id)]) == MetricsWritten(1, 0)
    for reason in ("ended", "again"):
        await store.end_call(call.call_id, 1, reason)
    await store.leave_call(call.call_id, 1, EVE.participant_id, "left")

    assert len(await rows(store, select(participants))) == 1
    assert len(await rows(store, select(quality_samples))) == 1
    assert (await rows(store, select(calls)))[0].end_reason == "ended"
    assert (await rows(store, select(participants)))[0].leave_reason == "ended"


async def test_a_stale_owner_can_write_nothing(store: SqlStore) -> None:
    call = await store.initiate_call("demo", ADA)
    await store.join_call(call.call_id, 1, EVE)
    taken = await store.take_over(call.call_id, 1, BOB)

    for write in (
        store.join_call(call.call_id, 1, replace(EVE, participant_id="p-2")),
        store.leave_call(call.call_id, 1, EVE.participant_id, "left"),
        store.end_call(call.call_id, 1, "ended"),
    ):
        with pytest.raises(StaleOwner) as stale:
            await write
        assert stale.value.current == taken
        assert stale.value.code == "wrong_pod"
    assert await store.insert_metrics([sample(call.call_id)]) == MetricsWritten(0, 1)

    (person,) = await rows(store, select(participants))
    assert person.left_at is None
    assert await store.get_active_call(room="demo") == taken
    assert await rows(store, select(quality_samples)) == []


async def test_a_stale_owner_of_an_ended_call_learns_that_it_is_over(store: SqlStore) -> None:
    call = await store.initiate_call("demo", ADA)
    await store.take_over(call.call_id, 1, BOB)
    await store.end_call(call.call_id, 2, "ended")

    with pytest.raises(StaleOwner) as stale:
        await store.end_call(call.call_id, 1, "ended")

    assert stale.value.current is None


async def test_nobody_joins_a_call_that_has_ended_or_never_was(store: SqlStore) -> None:
    call = await store.initiate_call("demo", ADA)
    await store.end_call(call.call_id, 1, "ended")

    for call_id in (call.call_id, "no-such-call"):
        with pytest.raises(NoActiveCall):
            await store.join_call(call_id, 1, EVE)
    for write in (
        store.leave_call("no-such-call", 1, "p-1", "left"),
        store.end_call("no-such-call", 1, "ended"),
    ):
        with pytest.raises(NoActiveCall):
            await write


async def test_samples_keep_what_is_not_known(store: SqlStore) -> None:
    call = await store.initiate_call("demo", ADA)
    outward = sample(call.call_id, direction=Direction.OUT)
    await store.insert_metrics([sample(call.call_id), outward])

    inward, _ = await rows(store, select(quality_samples).order_by(quality_samples.c.direction))

    assert inward.at == MOMENT
    assert (inward.packets, inward.packets_lost) == (500, -2)
    assert inward.jitter_seconds is None
    assert inward.round_trip_seconds == 0.025


async def test_one_lost_call_harms_no_others_samples(store: SqlStore) -> None:
    mine = await store.initiate_call("mine", ADA)
    lost = await store.initiate_call("lost", ADA)
    await store.take_over(lost.call_id, 1, BOB)

    batch = [sample(mine.call_id), sample(lost.call_id), sample("deleted-long-ago")]

    assert await store.insert_metrics(batch) == MetricsWritten(written=1, refused=2)
    assert await store.insert_metrics([]) == MetricsWritten(written=0, refused=0)


async def test_samples_of_a_call_that_has_just_ended_are_still_taken(store: SqlStore) -> None:
    call = await store.initiate_call("demo", ADA)
    await store.end_call(call.call_id, 1, "ended")

    assert (await store.insert_metrics([sample(call.call_id)])).written == 1


async def test_probes_add_up_by_relay_and_hour(store: SqlStore) -> None:
    near, far = "turn:near:3478?transport=udp", "turn:far:3478?transport=udp"
    await store.update_turn_metrics([TurnProbe(near, None), TurnProbe(far, None)])
    await store.update_turn_metrics([TurnProbe(near, 0.5), TurnProbe(near, 0.25)])
    await store.update_turn_metrics([])

    figures = {row.server: row for row in await rows(store, select(turn_hours))}

    assert (figures[near].probes, figures[near].failures) == (3, 1)
    assert (figures[near].latency_seconds_sum, figures[near].latency_seconds_max) == (0.75, 0.5)
    assert (figures[far].probes, figures[far].latency_seconds_max) == (1, None)
    assert figures[near].hour.minute == figures[near].hour.second == 0


@pytest.mark.parametrize("room", ["", "x" * 129, "a\x00b", "\ud800"])
async def test_a_room_that_cannot_be_stored_is_refused(store: SqlStore, room: str) -> None:
    with pytest.raises(InvalidValue, match="room"):
        await store.initiate_call(room, ADA)
    with pytest.raises(InvalidValue, match="room"):
        await store.get_active_call(room=room)


async def test_the_longest_texts_are_stored(store: SqlStore) -> None:
    call = await store.initiate_call("\U0001f600" * 128, ADA)
    await store.join_call(call.call_id, 1, Participant("p" * 64, "\U0001f600" * 256, ""))

    assert (await rows(store, select(participants)))[0].identity == "\U0001f600" * 256


@pytest.mark.parametrize(
    "changes",
    [
        {"at": MOMENT.replace(tzinfo=None)},
        {"packets": -1},
        {"packets_lost": 2**63},
        {"jitter_seconds": float("nan")},
        {"round_trip_seconds": float("inf")},
        {"bits_per_second": -1.0},
    ],
)
async def test_a_sample_that_would_spoil_an_average_is_refused(
    store: SqlStore, changes: dict[str, object]
) -> None:
    with pytest.raises(InvalidValue):
        await store.insert_metrics([sample("call", 1, **changes)])


async def test_batches_are_bounded(store: SqlStore) -> None:
    with pytest.raises(InvalidValue, match="10001"):
        await store.insert_metrics([sample("call")] * 10_001)
    with pytest.raises(InvalidValue, match="1001"):
        await store.update_turn_metrics([TurnProbe("turn:x", None)] * 1_001)


async def test_what_was_written_is_there_after_a_restart(make_store: MakeStore) -> None:
    before = make_store()
    await before.open()
    call = await before.initiate_call("demo", ADA)
    await before.close()
    after = make_store()
    await after.open()

    assert await after.get_active_call(room="demo") == call


async def test_many_join_at_once_but_those_who_cannot(store: SqlStore) -> None:
    mine = await store.initiate_call("demo", ADA)
    gone = await store.initiate_call("gone", ADA)
    await store.take_over(gone.call_id, 1, BOB)
    over = await store.initiate_call("over", ADA)
    await store.end_call(over.call_id, 1, "ended")
    bob = Participant("p-2", "bob", "Bob", "d" * 64)
    stale, late, unknown = (
        Joining(call_id, 1, EVE) for call_id in (gone.call_id, over.call_id, "no-such-call")
    )
    too_long = Joining(mine.call_id, 1, Participant("p" * 65, "eve", ""))
    fine = (Joining(mine.call_id, 1, EVE), Joining(mine.call_id, 1, bob))

    for _ in range(2):
        refused = await store.join_calls([stale, fine[0], late, too_long, fine[1], unknown])
        assert refused == (stale, late, too_long, unknown)
    assert await store.present_participants(mine.call_id) == (EVE, bob)
    assert await store.present_participants(gone.call_id) == ()
    assert await store.join_calls([]) == ()


async def test_every_operation_is_timed_failed_ones_included(store: SqlStore) -> None:
    timed: list[tuple[str, float]] = []
    store._observe = lambda operation, seconds: timed.append((operation, seconds))
    with pytest.raises(NoActiveCall):
        await store.join_call("no-such-call", 1, EVE)
    await store.live_pods(timedelta(seconds=1))

    assert [operation for operation, _ in timed] == ["join_call", "live_pods"]
    assert all(seconds > 0 for _, seconds in timed)
