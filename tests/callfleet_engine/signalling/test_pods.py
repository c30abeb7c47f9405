"""Several engine pods that share a PostgreSQL database."""

from __future__ import annotations

from pathlib import Path

import aiohttp
import pytest

from callfleet_engine.engine import Engine
from tests.callfleet_engine.engines import Caller, running, until
from tests.callfleet_engine.keys import join_keys, join_token
from tests.callfleet_engine.postgresql import (  # noqa: F401 - one is a fixture
    PrivatePostgresql,
    postgresql_server,
    private_postgresql,
)
from tests.callfleet_engine.signalling.conftest import Connect
from tests.callfleet_engine.signalling.pods import know_each_other, knows, pod

pytestmark = pytest.mark.peer


@pytest.fixture
def database(postgresql_server: PrivatePostgresql) -> str:  # noqa: F811 - the fixture
    return postgresql_server.new_database()


async def test_signalling_is_forwarded_to_the_owner(
    tmp_path: Path, database: str, connect: Connect
) -> None:
    async with running(pod(tmp_path, database, "a"), pod(tmp_path, database, "b")) as [a, b]:
        await know_each_other(a, b)
        ada, bob = Caller(await connect(a)), Caller(await connect(b))
        try:
            first = await ada.join(name="Ada")
            second = await bob.join(name="Bob")
            assert first["call"] == second["call"]
            assert sorted([a.parts.admission.participants, b.parts.admission.participants]) == [
                0,
                2,
            ]
            await ada.publish()
            await bob.publish()
            await ada.hears()
            await bob.hears()
            assert (await bob.client.ask("leave"))["reason"] == "left"
            assert await bob.client.closed() == aiohttp.WSCloseCode.OK
        finally:
            await ada.close()
            await bob.close()


async def test_a_full_pod_passes_new_calls_on(
    tmp_path: Path, database: str, connect: Connect
) -> None:
    small = [pod(tmp_path, database, uid, capacity=4) for uid in "ab"]
    async with running(*small) as [a, b]:
        await know_each_other(a, b)
        joined = [await (await connect(a)).join(f"room-{n}") for n in range(2)]
        assert {one["type"] for one in joined} == {"joined"}
        assert (a.parts.admission.calls, b.parts.admission.calls) == (1, 1)
        client = await connect(b)
        await client.send(type="join", room="room-2")
        assert (await client.expect_type("error"))["code"] == "full"


async def test_a_draining_pod_passes_new_calls_on(
    tmp_path: Path, database: str, connect: Connect
) -> None:
    async with running(pod(tmp_path, database, "a"), pod(tmp_path, database, "b")) as [a, b]:
        await know_each_other(a, b)
        a.parts.drain.begin("test")
        for n in range(3):
            assert (await (await connect(a)).join(f"room-{n}"))["type"] == "joined"
        assert (a.parts.admission.calls, b.parts.admission.calls) == (0, 3)


async def test_a_heartbeat_that_is_late_costs_a_retry_only(
    tmp_path: Path, database: str, connect: Connect
) -> None:
    """The entry pod believes the other one open, which has begun to drain since."""
    async with running(
        pod(tmp_path, database, "a", heartbeat_seconds=30),
        pod(tmp_path, database, "b", heartbeat_seconds=30),
    ) as [a, b]:
        await b.parts.peers.beat()
        await knows(b, 1)
        assert [candidate.open for candidate in b.parts.peers.candidates()] == [True]
        # Of two empty pods the first by uid is chosen.
        a.parts.drain.begin("test")
        assert (await (await connect(b)).join())["type"] == "joined"
        assert (a.parts.admission.calls, b.parts.admission.calls) == (0, 1)
        assert rejected_for_draining(a) == 1


def rejected_for_draining(engine: Engine) -> float | None:
    return engine.parts.metrics.registry.get_sample_value(
        "callfleet_engine_admission_rejected_total", {"reason": "draining"}
    )


async def test_a_sealed_pod_sends_those_who_pass_through_elsewhere(
    tmp_path: Path, database: str, connect: Connect
) -> None:
    async with running(pod(tmp_path, database, "a"), pod(tmp_path, database, "b")) as [a, b]:
        await know_each_other(a, b)
        a.parts.drain.begin("test")
        client = await connect(a)
        joined = await client.join()
        assert b.parts.admission.participants == 1
        a.parts.drain.seal("test", a.parts.admission.occupancy)
        assert (await client.expect_type("reconnect"))["afterMs"] >= 0
        assert await client.closed() == aiohttp.WSCloseCode.SERVICE_RESTART
        again = await connect(b)
        resumed = await again.join(resume=joined["resume"])
        assert resumed["participant"] == joined["participant"]


async def test_the_owner_verifies_the_token_itself(
    tmp_path: Path, database: str, connect: Connect
) -> None:
    keys = join_keys(tmp_path)
    given = pod(tmp_path, database, "a", keys_file=keys)
    async with running(given) as [a]:
        client = await connect(a, Callfleet_Owner="a")
        await client.send(type="join", room="room", token=join_token(keys, room="other"))
        assert (await client.expect_type("error"))["code"] == "wrong_room"


async def test_a_call_that_another_pod_owns_is_not_taken(
    tmp_path: Path, database: str, connect: Connect
) -> None:
    async with running(pod(tmp_path, database, "a"), pod(tmp_path, database, "b")) as [a, b]:
        await know_each_other(a, b)
        await (await connect(a, Callfleet_Owner="a")).join()
        client = await connect(b, Callfleet_Owner="b")
        await client.send(type="join", room="room")
        assert (await client.expect_type("error"))["code"] == "wrong_pod"
        assert b.parts.admission.calls == 0


async def test_an_owner_that_was_replaced_gives_its_call_up(
    tmp_path: Path, database: str, connect: Connect
) -> None:
    async with running(pod(tmp_path, database, "a"), pod(tmp_path, database, "b")) as [a, b]:
        await know_each_other(a, b)
        ada = await connect(a, Callfleet_Owner="a")
        joined = await ada.join()
        route = await a.parts.store.get_active_call(room="room")
        assert route is not None
        await b.parts.store.take_over(route.call_id, route.epoch, b.parts.me)
        a.parts.host.doubt_ownership()
        assert (await ada.expect_type("reconnect"))["resume"] == joined["resume"]
        await ada.closed()
        assert a.parts.admission.occupancy.calls == 0
        again = await connect(a)
        assert (await again.join())["call"] == joined["call"]
        assert b.parts.admission.calls == 1


async def test_calls_go_on_while_the_database_is_away(tmp_path: Path, connect: Connect) -> None:
    with private_postgresql("fsync=off") as server:
        async with running(pod(tmp_path, server.new_database(), "a")) as [a]:
            ada, bob = Caller(await connect(a)), Caller(await connect(a))
            try:
                await ada.join()
                await ada.publish()
                await until(lambda: a.parts.journal.backlog == 0, "records written")
                server.stop()
                await bob.join()
                await bob.hears()
                other = await connect(a)
                await other.send(type="join", room="other")
                refused = await other.expect_type("error")
                assert refused["code"] == "store_unavailable"
                assert refused["retryAfterMs"] > 0
                assert a.parts.journal.backlog == 1
                assert await ready(a)
                server.start("fsync=off")
                await until(lambda: a.parts.journal.backlog == 0, "records written")
                assert (await ada.client.ask("stats"))["type"] == "stats"
                assert (await (await connect(a)).join("other"))["type"] == "joined"
            finally:
                await ada.close()
                await bob.close()


async def ready(engine: Engine) -> bool:
    async with (
        aiohttp.ClientSession() as http,
        http.get(f"http://{engine.listening.metrics}/readyz") as response,
    ):
        return response.status == 200
