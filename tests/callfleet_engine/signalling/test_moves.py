"""Calls that change pods: asked for by the operator, or because their pod is dead or frozen."""

from __future__ import annotations

import asyncio
import signal
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from sqlalchemy import select

from callfleet_engine.engine import Engine
from callfleet_engine.store.interface import CallRoute
from callfleet_engine.store.schema import participants
from tests.callfleet_engine.engines import Caller, Client, Message, running, settings, until
from tests.callfleet_engine.postgresql import (  # noqa: F401 - one is a fixture
    PrivatePostgresql,
    postgresql_server,
)
from tests.callfleet_engine.signalling.conftest import Connect
from tests.callfleet_engine.signalling.pods import know_each_other, knows, pod, process
from tests.callfleet_engine.store.conftest import rows

pytestmark = pytest.mark.peer

DRAIN = {"podUid": "a", "drainId": "d1"}
AT_ONCE = {**DRAIN, "batchMilliseconds": 100}


@pytest.fixture
def database(postgresql_server: PrivatePostgresql) -> str:  # noqa: F811 - the fixture
    return postgresql_server.new_database()


async def admin(
    http: aiohttp.ClientSession, engine: Engine, call: str, body: object
) -> tuple[int, dict[str, Any]]:
    url = f"http://{engine.listening.admin}/admin/v1/{call}"
    async with http.post(url, json=body) as response:
        return response.status, await response.json()


async def come_back(connect: Connect, entry: Engine, before: Message) -> Message:
    """As a client does: with the token it has, again while the pods have yet to agree."""
    while True:
        client = await connect(entry)
        answer = await client.join(before["room"], resume=before["resume"])
        if answer["type"] == "joined":
            return answer
        assert answer["retryAfterMs"] >= 0, answer
        await client.closed()


@asynccontextmanager
async def three(directory: Path, database: str, **changes: object) -> AsyncIterator[list[Engine]]:
    given = [pod(directory, database, uid, **changes) for uid in "abc"]
    async with running(*given) as engines:
        await know_each_other(*engines)
        yield engines


async def in_calls(
    connect: Connect, engines: list[Engine], rooms: tuple[str, ...], people: int
) -> list[tuple[Client, Message]]:
    """Calls on the first engine, whose people come through any of them."""
    found = []
    for room in rooms:
        first = await connect(engines[0], Callfleet_Owner=engines[0].parts.me.uid)
        found.append((first, await first.join(room)))
        for number in range(1, people):
            client = await connect(engines[number % len(engines)])
            found.append((client, await client.join(room)))
    assert engines[0].parts.admission.participants == len(rooms) * people
    return found


async def test_calls_move_whole_and_their_people_stay_who_they_are(
    tmp_path: Path, database: str, connect: Connect, http: aiohttp.ClientSession
) -> None:
    async with three(tmp_path, database) as [a, b, c]:
        people = await in_calls(connect, [a, b, c], ("red", "green"), 3)
        assert (await admin(http, a, "drain", DRAIN))[0] == 200
        assert (await admin(http, a, "reconnect", AT_ONCE))[0] == 200
        told = [await client.expect_type("reconnect") for client, _ in people]
        assert [one["resume"] for one in told] == [before["resume"] for _, before in people]
        await until(lambda: a.parts.admission.calls == 0, "nobody is left")
        assert (await admin(http, a, "seal", DRAIN))[0] == 200

        after = await asyncio.gather(
            *(
                come_back(connect, (b, c)[number % 2], before)
                for number, (_, before) in enumerate(people)
            )
        )

        for (_, before), now in zip(people, after, strict=True):
            assert now["participant"] == before["participant"]
            assert now["call"] == before["call"]
            assert now["epoch"] > before["epoch"]
        assert all(len(pods_of(after, room)) == 1 for room in ("red", "green"))
        assert b.parts.admission.participants + c.parts.admission.participants == 6
        for engine in (b, c):
            assert await engine.parts.journal.flush(10)
        present = await rows(b.parts.store, select(participants))
        assert all(row.left_at is None for row in present)
        assert Counter(row.call_id for row in present) == Counter(
            before["call"] for _, before in people
        )


def pods_of(joined: list[Message], room: str) -> set[str]:
    return {one["pod"] for one in joined if one["room"] == room}


async def test_sound_goes_on_after_a_move(
    tmp_path: Path, database: str, connect: Connect, http: aiohttp.ClientSession
) -> None:
    async with running(pod(tmp_path, database, "a"), pod(tmp_path, database, "b")) as [a, b]:
        await know_each_other(a, b)
        callers = [Caller(await connect(a, Callfleet_Owner="a")) for _ in range(2)]
        moved: list[Caller] = []
        try:
            for caller in callers:
                await caller.join()
                await caller.publish()
            for caller in callers:
                await caller.hears()
            await admin(http, a, "drain", DRAIN)
            assert (await admin(http, a, "reconnect", AT_ONCE))[0] == 200
            await until(lambda: a.parts.admission.calls == 0, "nobody is left")
            for caller in callers:
                again = Caller(await connect(a))
                moved.append(again)
                joined = await again.join(resume=caller.joined["resume"])
                assert joined["participant"] == caller.joined["participant"]
                await again.publish()
            for again in moved:
                await again.hears()
            assert b.parts.admission.participants == 2
        finally:
            for caller in (*callers, *moved):
                await caller.close()


async def test_a_repeated_request_sends_nobody_twice(
    tmp_path: Path, database: str, connect: Connect, http: aiohttp.ClientSession
) -> None:
    async with three(tmp_path, database) as [a, b, c]:
        people = await in_calls(connect, [a, b, c], ("red", "green", "blue"), 2)
        await admin(http, a, "drain", DRAIN)
        one_by_one = {**AT_ONCE, "batchParticipants": 1}
        answers = [await admin(http, a, "reconnect", one_by_one) for _ in range(20)]
        assert {status for status, _ in answers} == {200}
        await until(lambda: a.parts.admission.calls == 0, "nobody is left")
        assert (await admin(http, a, "reconnect", one_by_one))[1] == {"calls": 0, "joins": 0}
        for client, _ in people:
            await client.closed()
            assert [message["type"] for message in client.received].count("reconnect") == 1


async def test_a_drain_that_is_taken_back_keeps_the_calls_that_are_left(
    tmp_path: Path, database: str, connect: Connect, http: aiohttp.ClientSession
) -> None:
    async with three(tmp_path, database) as [a, b, c]:
        people = await in_calls(connect, [a, b, c], ("red", "green"), 2)
        await admin(http, a, "drain", DRAIN)
        slowly = {**DRAIN, "batchParticipants": 1, "batchMilliseconds": 60_000}
        await admin(http, a, "reconnect", slowly)
        await until(lambda: a.parts.admission.calls == 1, "the first batch has gone")
        a.parts.drain.cancel("d1")
        status, answer = await admin(http, a, "reconnect", slowly)
        assert (status, answer["code"]) == (409, "not_draining")
        stay = [
            client for client, before in people if a.parts.host.has(room=before["room"], call=None)
        ]
        assert len(stay) == 2
        assert {(await client.ask("stats"))["type"] for client in stay} == {"stats"}


async def test_calls_without_another_pod_stay(
    tmp_path: Path, database: str, connect: Connect, http: aiohttp.ClientSession
) -> None:
    given = [pod(tmp_path, database, uid, capacity=4) for uid in "ab"]
    async with running(*given) as [a, b]:
        await know_each_other(a, b)
        await in_calls(connect, [a], ("red",), 3)
        await in_calls(connect, [b], ("other",), 2)
        await admin(http, a, "drain", DRAIN)
        await until(lambda: [one.used for one in a.parts.peers.candidates()] == [2], "heartbeat")
        status, answer = await admin(http, a, "reconnect", AT_ONCE)
        assert (status, answer["code"]) == (409, "no_room")
        assert "No other open engine pod has room" in answer["message"]
        assert a.parts.admission.participants == 3


async def test_where_one_pod_is_all_there_is(
    tmp_path: Path, connect: Connect, http: aiohttp.ClientSession
) -> None:
    async with running(settings(tmp_path, pod_uid="a")) as [alone]:
        await (await connect(alone)).join()
        await admin(http, alone, "drain", DRAIN)
        assert (await admin(http, alone, "reconnect", AT_ONCE))[1]["code"] == "no_room"
        assert alone.parts.admission.calls == 1


async def test_which_drain_is_meant(engine: Engine, http: aiohttp.ClientSession) -> None:
    mine = {"podUid": engine.parts.me.uid, "drainId": "d1"}
    assert (await admin(http, engine, "reconnect", mine))[1]["code"] == "not_draining"
    await admin(http, engine, "drain", mine)
    assert (await admin(http, engine, "reconnect", mine))[0] == 200
    other = {**mine, "drainId": "d2"}
    assert (await admin(http, engine, "reconnect", other))[1]["code"] == "not_draining"
    stranger = {**mine, "podUid": "somebody"}
    assert (await admin(http, engine, "reconnect", stranger))[1]["code"] == "wrong_pod"
    status, answer = await admin(http, engine, "reconnect", {**mine, "batchParticipants": 0})
    assert (status, answer["message"].split(":")[0]) == (400, "batchParticipants")
    await admin(http, engine, "seal", mine)
    assert (await admin(http, engine, "reconnect", mine))[1]["code"] == "sealed"


async def test_who_does_not_return_is_out(
    tmp_path: Path, database: str, connect: Connect, http: aiohttp.ClientSession
) -> None:
    async with running(pod(tmp_path, database, "a"), pod(tmp_path, database, "b")) as [a, b]:
        await know_each_other(a, b)
        [(_, ada), (_, eve)] = await in_calls(connect, [a], ("red",), 2)
        b.parts.host.return_seconds = 0.2
        await admin(http, a, "drain", DRAIN)
        await admin(http, a, "reconnect", AT_ONCE)
        await until(lambda: a.parts.admission.calls == 0, "nobody is left")
        assert (await come_back(connect, b, ada))["participant"] == ada["participant"]
        await until(lambda: not_returned(b) == 1, "given up")
        assert await b.parts.journal.flush(5)
        left = await rows(
            b.parts.store, select(participants).where(participants.c.left_at.is_not(None))
        )
        assert [(row.participant_id, row.leave_reason) for row in left] == [
            (eve["participant"], "not_returned")
        ]
        late = await come_back(connect, b, eve)
        assert late["call"] == eve["call"]
        assert late["participant"] != eve["participant"]


def not_returned(engine: Engine) -> float | None:
    return engine.parts.metrics.registry.get_sample_value(
        "callfleet_engine_call_drops_total", {"cause": "not_returned"}
    )


async def test_nobody_comes_back_as_somebody_else(
    tmp_path: Path, database: str, connect: Connect, http: aiohttp.ClientSession
) -> None:
    async with running(pod(tmp_path, database, "a"), pod(tmp_path, database, "b")) as [a, b]:
        await know_each_other(a, b)
        [(_, ada)] = await in_calls(connect, [a], ("red",), 1)
        await admin(http, a, "drain", DRAIN)
        await admin(http, a, "reconnect", AT_ONCE)
        await until(lambda: a.parts.admission.calls == 0, "nobody is left")
        [recorded] = await rows(b.parts.store, select(participants))
        for guess in (recorded.resume_digest, "", "x"):
            other = await (await connect(b)).join("red", resume=guess)
            assert other["participant"] != ada["participant"]
        assert (await come_back(connect, b, ada))["participant"] == ada["participant"]


async def test_a_call_outlives_its_owner(
    tmp_path: Path, database: str, connect: Connect, http: aiohttp.ClientSession
) -> None:
    async with (
        running(pod(tmp_path, database, "b"), pod(tmp_path, database, "c")) as [b, c],
        process(tmp_path, database, "a") as (owner, listening),
    ):
        await knows(b, 2)
        people = [await joined_at(http, listening["listen"], "a") for _ in range(2)]
        bob = await connect(c)
        before = [*people, await bob.join()]
        assert {one["call"] for one in before} == {before[0]["call"]}
        await recorded(b, 3)
        owner.kill()
        await owner.wait()
        assert await bob.closed() == aiohttp.WSCloseCode.GOING_AWAY

        after = await asyncio.gather(
            *(come_back(connect, (b, c)[n % 2], one) for n, one in enumerate(before))
        )

        assert [now["participant"] for now in after] == [one["participant"] for one in before]
        assert {now["call"] for now in after} == {before[0]["call"]}
        assert {now["epoch"] for now in after} == {2}
        assert len({now["pod"] for now in after}) == 1
        route = await b.parts.store.get_active_call(room="room")
        assert route is not None
        assert route.owner_uid in "bc"


async def test_at_the_end_of_its_grace_an_engine_gives_its_calls_up(
    tmp_path: Path, database: str, connect: Connect, http: aiohttp.ClientSession
) -> None:
    async with (
        running(pod(tmp_path, database, "b")) as [b],
        process(tmp_path, database, "a", "--termination-grace", "0.5") as (owner, listening),
    ):
        await knows(b, 1)
        url = f"http://{listening['listen']}/api/v1/signal"
        headers = {"Callfleet-Owner": "a"}
        async with http.ws_connect(url, protocols=("callfleet.v1",), headers=headers) as socket:
            ada = Client(socket)
            before = await ada.join()
            owner.send_signal(signal.SIGTERM)
            assert (await ada.expect_type("reconnect"))["resume"] == before["resume"]
            await ada.closed()
        after = await come_back(connect, b, before)
        assert (after["call"], after["participant"]) == (before["call"], before["participant"])
        assert after["epoch"] > before["epoch"]
        assert await asyncio.wait_for(owner.wait(), 60) == 0


async def test_a_call_that_everybody_leaves_while_it_is_given_up_is_over(
    tmp_path: Path, database: str, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(pod(tmp_path, database, "a")) as [a]:
        client = await connect(a)
        await client.join("red")
        [call] = a.parts.host.calls
        release = a.parts.store.release_call

        async def release_slowly(call_id: str, epoch: int) -> CallRoute:
            route = await release(call_id, epoch)
            assert (await client.ask("leave"))["reason"] == "left"
            return route

        monkeypatch.setattr(a.parts.store, "release_call", release_slowly)
        await a.parts.host.move(call, within_ms=100)
        assert await a.parts.journal.flush(10)
        assert await a.parts.store.get_active_call(room="red") is None


async def test_a_draining_owner_that_was_restarted_gives_its_calls_up(
    tmp_path: Path, database: str, connect: Connect
) -> None:
    async with running(pod(tmp_path, database, "a"), pod(tmp_path, database, "b")) as [a, b]:
        await know_each_other(a, b)
        left_behind = await a.parts.store.initiate_call("red", a.parts.me)
        a.parts.drain.begin("d1")
        for entry in (a, b):
            joined = await (await connect(entry)).join("red")
            assert joined["call"] == left_behind.call_id
            assert joined["pod"] == "pod-b"


async def test_an_owner_that_was_frozen_closes_its_part(
    tmp_path: Path, database: str, connect: Connect, http: aiohttp.ClientSession
) -> None:
    async with (
        running(pod(tmp_path, database, "b")) as [b],
        process(tmp_path, database, "a") as (owner, listening),
    ):
        await knows(b, 1)
        url = f"http://{listening['listen']}/api/v1/signal"
        headers = {"Callfleet-Owner": "a"}
        async with http.ws_connect(url, protocols=("callfleet.v1",), headers=headers) as socket:
            ada = Client(socket)
            joined = await ada.join()
            await recorded(b, 1)
            owner.send_signal(signal.SIGSTOP)
            bob = await come_back(connect, b, {"room": "room", "resume": None})
            assert (bob["call"], bob["epoch"]) == (joined["call"], 2)
            owner.send_signal(signal.SIGCONT)
            assert (await ada.expect_type("reconnect"))["resume"] == joined["resume"]
            await ada.closed()
        back = await come_back(connect, b, joined)
        assert (back["participant"], back["epoch"]) == (joined["participant"], 2)
        async with http.get(f"http://{listening['admin']}/admin/v1/status") as response:
            assert (await response.json())["calls"] == 0


async def recorded(engine: Engine, people: int) -> None:
    """Wait until the database knows of so many: journals write beside the calls."""
    while len(await rows(engine.parts.store, select(participants))) < people:  # noqa: ASYNC110
        await asyncio.sleep(0.01)


async def joined_at(http: aiohttp.ClientSession, address: str, uid: str) -> Message:
    """A participant whose client is not heard of any more."""
    socket = await http.ws_connect(
        f"http://{address}/api/v1/signal",
        protocols=("callfleet.v1",),
        headers={"Callfleet-Owner": uid},
    )
    await socket.send_json({"type": "join", "room": "room"})
    joined: Message = await socket.receive_json()
    assert joined["type"] == "joined"
    return joined
