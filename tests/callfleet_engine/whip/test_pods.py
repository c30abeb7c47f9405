"""Several pods: any takes a request, the one that owns the call answers it."""

from __future__ import annotations

from pathlib import Path

import pytest

from callfleet_engine.signalling.forwarding import OWNER_HEADER
from tests.callfleet_engine.engines import running, until
from tests.callfleet_engine.postgresql import (  # noqa: F401 - one is a fixture
    PrivatePostgresql,
    postgresql_server,
)
from tests.callfleet_engine.signalling.pods import know_each_other, pod
from tests.callfleet_engine.whip.clients import FRAGMENT, SDP, problem
from tests.callfleet_engine.whip.conftest import Connect

pytestmark = pytest.mark.peer


@pytest.fixture
def database(postgresql_server: PrivatePostgresql) -> str:  # noqa: F811 - the fixture
    return postgresql_server.new_database()


async def test_requests_reach_the_owner_through_any_pod(
    tmp_path: Path, database: str, connect: Connect
) -> None:
    async with running(pod(tmp_path, database, "a"), pod(tmp_path, database, "b")) as [a, b]:
        await know_each_other(a, b)
        a.parts.drain.begin("test")
        publisher = connect(a, "whip").publishing()
        created = await publisher.start()
        assert (a.parts.whip.sessions, b.parts.whip.sessions) == (0, 1)
        assert created.headers["ETag"]
        players = [connect(engine, "whep").playing("audio") for engine in (a, b)]
        for player in players:
            await player.start()
        await until(lambda: all(p.frames["audio"] > 3 for p in players), "sound")
        taken = await publisher.patch("a=end-of-candidates\r\n", If_Match=publisher.etag)
        assert taken.status == 204
        unmatched = await publisher.patch("a=end-of-candidates\r\n", If_Match='"another"')
        assert (unmatched.status, problem(unmatched)["code"]) == (412, "precondition_failed")
        unconditional = await publisher.patch("a=end-of-candidates\r\n")
        assert unconditional.status == 428
        for client in (*players, publisher):
            assert (await client.delete()).status == 200
        await until(lambda: b.parts.admission.occupancy.calls == 0, "the call has ended")
        assert (await publisher.delete()).status == 404


async def test_full_pods_pass_a_new_session_on_until_none_has_room(
    tmp_path: Path, database: str, connect: Connect
) -> None:
    small = [pod(tmp_path, database, uid, capacity=2) for uid in "ab"]
    async with running(*small) as [a, b]:
        await know_each_other(a, b)
        for room in ("one", "two"):
            await connect(a, "whip", room=room).publishing().start()
        assert (a.parts.admission.calls, b.parts.admission.calls) == (1, 1)
        late = connect(b, "whip", room="three").publishing()
        refused = await late.http.send("POST", late.endpoint, await late.offer(), SDP)
        assert (refused.status, problem(refused)["code"]) == (503, "full")
        assert int(refused.headers["Retry-After"]) > 0


async def test_a_session_of_a_pod_that_is_gone_is_unknown(
    tmp_path: Path, database: str, connect: Connect
) -> None:
    async with running(pod(tmp_path, database, "a"), pod(tmp_path, database, "b")) as [a, b]:
        await know_each_other(a, b)
        publisher = connect(a, "whip").publishing()
        await publisher.start()
        [owner] = [engine for engine in (a, b) if engine.parts.whip.sessions]
        route = await owner.parts.store.get_active_call(room="room")
        assert route is not None
        other = b if owner is a else a
        await other.parts.store.take_over(route.call_id, route.epoch, other.parts.me)
        owner.parts.host.doubt_ownership()
        await until(lambda: owner.parts.whip.sessions == 0, "given up")
        gone = await publisher.patch("a=end-of-candidates\r\n", If_Match=publisher.etag)
        assert (gone.status, problem(gone)["code"]) == (404, "unknown_session")
        again = connect(a, "whip").publishing()
        await again.start()
        assert other.parts.whip.sessions == 1


async def test_a_request_for_another_pod_is_misdirected(
    tmp_path: Path, database: str, connect: Connect
) -> None:
    async with running(pod(tmp_path, database, "a")) as [a]:
        publisher = connect(a, "whip").publishing()
        await publisher.start()
        for method, path, headers in (
            ("POST", publisher.endpoint, SDP),
            ("PATCH", publisher.location, FRAGMENT),
            ("DELETE", publisher.location, {}),
        ):
            refused = await publisher.http.send(
                method, path, headers={**headers, OWNER_HEADER: "somebody-else"}
            )
            assert (refused.status, problem(refused)["code"]) == (421, "wrong_pod")
        assert a.parts.whip.sessions == 1
