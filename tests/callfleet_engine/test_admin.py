"""The admin interface over HTTP, with the operator's tokens."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from callfleet_engine.engine import Engine
from tests.callfleet_engine.engines import Client, running, settings, until
from tests.callfleet_engine.keys import Operator

UID = "uid-1"
DRAIN = {"podUid": UID, "drainId": "d1"}


class Pod:
    """One engine, seen through its admin port."""

    def __init__(self, engine: Engine, http: aiohttp.ClientSession, operator: Operator) -> None:
        self.engine = engine
        self.http = http
        self.operator = operator

    async def call(
        self, method: str, path: str, body: object = None, authorization: str | None = None
    ) -> tuple[int, dict[str, Any]]:
        headers = self.operator.headers(UID)
        if authorization is not None:
            headers = {"Authorization": authorization}
        url = f"http://{self.engine.listening.admin}/admin/v1/{path}"
        async with self.http.request(method, url, json=body, headers=headers) as response:
            return response.status, await response.json() if response.status != 204 else {}


@pytest.fixture
async def pod(tmp_path: Path) -> AsyncIterator[Pod]:
    operator = Operator(tmp_path)
    given = settings(tmp_path, pod_uid=UID, pod_name="pod-0", admin_keys_file=operator.path)
    async with running(given) as [engine], aiohttp.ClientSession() as http:
        yield Pod(engine, http, operator)


async def test_status(pod: Pod) -> None:
    code, status = await pod.call("GET", "status")
    assert code == 200
    assert status.pop("startedAt").endswith("Z")
    assert status.pop("release")
    assert {type(value) for value in status.pop("stress").values()} == {float}
    assert status == {
        "version": 1,
        "component": "engine",
        "podName": "pod-0",
        "podUid": UID,
        "admission": "open",
        "drainId": None,
        "calls": 0,
        "participants": 0,
        "pendingJoins": 0,
        "capacityParticipants": 150,
        "relays": 0,
        "addresses": [
            {
                "address": "127.0.0.1",
                "port": pod.engine.parts.plane.port,
                "source": "--media-address",
            }
        ],
        "addressProblem": "",
    }


async def test_drain_undrain_seal_each_of_them_twice(pod: Pod) -> None:
    for _ in range(2):
        assert await pod.call("POST", "drain", DRAIN) == (200, {"admission": "draining"})
    assert (await pod.call("GET", "status"))[1]["drainId"] == "d1"
    for _ in range(2):
        assert await pod.call("DELETE", "drain", DRAIN) == (200, {"admission": "open"})
    code, body = await pod.call("POST", "seal", DRAIN)
    assert (code, body["code"]) == (409, "not_draining")
    await pod.call("POST", "drain", DRAIN)
    for _ in range(2):
        assert await pod.call("POST", "seal", DRAIN) == (200, {"admission": "sealed"})
    for method in ("POST", "DELETE"):
        code, body = await pod.call(method, "drain", DRAIN)
        assert (code, body["code"]) == (409, "sealed")


async def test_seal_is_refused_while_there_is_a_call(pod: Pod) -> None:
    client = await Client.connect(pod.http, pod.engine)
    try:
        await client.join()
        await pod.call("POST", "drain", DRAIN)
        code, body = await pod.call("POST", "seal", DRAIN)
        assert code == 409
        assert body["message"]
        assert (body["code"], body["calls"], body["joins"]) == ("not_empty", 1, 0)
        await client.ask("leave")
        assert (await pod.call("POST", "seal", DRAIN))[0] == 200
    finally:
        await client.close()


async def test_who_may_not_call(pod: Pod) -> None:
    token = pod.operator.token
    cases = {
        "": "token_missing",
        "Basic abc": "token_missing",
        "Bearer abc": "token_invalid",
        f"Bearer {token(UID, kid='other')}": "token_invalid",
        f"Bearer {token(UID, iss='somebody')}": "token_invalid",
        f"Bearer {token(UID, lifetime=3600)}": "token_invalid",
        f"Bearer {token(UID, age=120)}": "token_expired",
        f"Bearer {token(UID, age=-120)}": "token_invalid",
        f"Bearer {token('uid-2')}": "wrong_audience",
    }
    for authorization, code in cases.items():
        status, body = await pod.call("POST", "drain", DRAIN, authorization)
        assert (status, body["code"]) == (401, code), authorization
        assert body["message"]
    assert pod.engine.parts.drain.drain_id is None


async def test_a_new_key_of_the_operator_is_taken_at_once(pod: Pod) -> None:
    former, pod.operator = pod.operator, Operator(pod.operator.path.parent)
    assert (await pod.call("GET", "status"))[0] == 200
    pod.operator = former
    assert (await pod.call("GET", "status"))[0] == 401


async def test_another_pods_drain(pod: Pod) -> None:
    code, body = await pod.call("POST", "drain", {**DRAIN, "podUid": "uid-2"})
    assert (code, body["code"]) == (409, "wrong_pod")


@pytest.mark.parametrize(
    ("method", "path", "body", "named"),
    [
        ("POST", "drain", None, "body"),
        ("POST", "drain", [], "body"),
        ("POST", "seal", {"podUid": UID}, "drainId"),
        ("DELETE", "drain", {"podUid": 7, "drainId": "a"}, "podUid"),
        ("POST", "reconnect", {"podUid": UID}, "drainId"),
        ("POST", "reconnect", {**DRAIN, "batchMilliseconds": 1}, "batchMilliseconds"),
        ("POST", "leave-relays", {}, "body"),
        ("POST", "leave-relays", [{"pool": "a/b"}], "0.pod"),
        ("PUT", "relays", {}, "body"),
        ("PUT", "relays", [{"pool": "a/b", "pod": "c", "urls": ["x"]}], "0.urls.0"),
    ],
)
async def test_a_bad_request_names_the_field(
    pod: Pod, method: str, path: str, body: object, named: str
) -> None:
    code, answer = await pod.call(method, path, body)
    assert (code, answer["code"]) == (400, "bad_request")
    assert answer["message"].startswith(named)


async def test_relays_are_replaced(pod: Pod) -> None:
    relay = {
        "pool": "infra/relays",
        "pod": "relay-0",
        "region": "",
        "urls": ["turn:192.0.2.1:3478?transport=udp"],
        "freeAllocations": 10,
    }
    assert (await pod.call("PUT", "relays", [relay]))[0] == 204
    assert (await pod.call("GET", "status"))[1]["relays"] == 1
    assert (await pod.call("PUT", "relays", []))[0] == 204
    assert (await pod.call("GET", "status"))[1]["relays"] == 0


async def test_relays_reach_clients_and_a_report_brings_another(tmp_path: Path, pod: Pod) -> None:
    keys = tmp_path / "turn"
    keys.mkdir()
    (keys / "infra.relays").write_text("3d94befc " + "k" * 44)
    given = settings(
        tmp_path,
        require_relay=True,
        turn_keys_directory=keys,
        consumer="team/calls",
        database=f"sqlite:///{tmp_path}/other.db",
    )
    async with running(given) as [engine]:
        admin = f"http://{engine.listening.admin}/admin/v1/relays"
        relays = [
            {"pool": "infra/relays", "pod": f"relay-{n}", "urls": [f"turn:192.0.2.{n}:3478"]}
            for n in (1, 2)
        ]
        # Without --admin-keys-file the port is on loopback and asks for no token.
        async with pod.http.put(admin, json=relays) as response:
            assert response.status == 204
        client = await Client.connect(pod.http, engine)
        try:
            joined = await client.join()
            assert joined["iceTransportPolicy"] == "relay"
            [first] = joined["iceServers"]
            assert first["username"].endswith(f":3d94befc:team/calls:{joined['participant']}")
            [url] = first["urls"]
            await client.send(type="report", iceErrors=[{"url": url, "errorCode": 486}])
            update = await client.expect_type("iceServers")
            assert update["restart"] is True
            assert update["iceServers"][0]["urls"] != [url]
        finally:
            await client.close()
        await until(lambda: engine.parts.host.graces == 1, "the socket is gone")
