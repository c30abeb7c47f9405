from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from callfleet_relay.admin import admin_app, metrics_app
from callfleet_relay.events import FiveTuple
from callfleet_relay.relay import Relay
from callfleet_relay.tokens import TokenVerifier, read_keys

from .conftest import POD_UID
from .support import Client, World, error_of
from .test_tokens import UID, jwk_set, token

DRAIN = {"podUid": POD_UID, "drainId": "d1"}
Http = TestClient[web.Request, web.Application]


@pytest.fixture
async def admin(relay: Relay) -> AsyncIterator[Http]:
    async with TestClient(TestServer(admin_app(relay, None))) as client:
        yield client


@pytest.fixture
async def metrics(relay: Relay) -> AsyncIterator[Http]:
    async with TestClient(TestServer(metrics_app(relay))) as client:
        yield client


async def ask(client: Http, method: str, path: str, body: object = None) -> tuple[int, Any]:
    async with client.request(method, path, json=body) as response:
        return response.status, await response.json() if response.status != 204 else None


def allocate(relay: Relay) -> Client:
    """An allocation of a client that is not on the network."""
    client = Client(World(relay.server), ("127.0.0.1", 9))
    client.nonce = relay.server.authenticator.challenge(client.address, client.world.now)[1][1]
    request = client.build(3, [(0x0019, b"\x11\0\0\0")])  # Allocate
    relay._run(relay.server.receive(request, FiveTuple(0, client.address), client.world.now))
    assert relay.server.allocations == 1
    return client


async def test_status_has_the_shape_of_the_contract(admin: Http) -> None:
    status, body = await ask(admin, "GET", "/admin/v1/status")

    assert status == 200
    started = body.pop("startedAt")
    assert started.endswith("Z")
    release = body.pop("release")
    assert release
    transports = [listener.partition("://127.0.0.1:")[0] for listener in body.pop("listen")]
    assert transports == ["tls", "udp", "tcp"]
    assert body == {
        "version": 1,
        "component": "relay",
        "podName": "relays-relay-0",
        "podUid": POD_UID,
        "admission": "open",
        "drainId": None,
        "allocations": 0,
        "allocationCapacity": 2000,
        "stress": {"packets": 0.0, "cpu": 0.0, "loop": 0.0},
        "peers": 0,
        "dataplane": "native",
        "addresses": [{"address": "127.0.0.1", "source": "--relay-address"}],
        "connections": {"tcp": 0, "tls": 0},
        "traffic": {
            "packetsFromClient": 0,
            "bytesFromClient": 0,
            "packetsToClient": 0,
            "bytesToClient": 0,
        },
        "files": {"secrets": True, "certificate": True},
    }


async def test_drains_undrains_and_seals(admin: Http, metrics: Http) -> None:
    assert (await ask(admin, "POST", "/admin/v1/seal", DRAIN))[1]["code"] == "not_draining"
    for _ in range(2):
        answer = await ask(admin, "POST", "/admin/v1/drain", DRAIN)
        assert answer == (200, {"admission": "draining"})
    assert (await ask(metrics, "GET", "/readyz"))[0] == 200
    assert await ask(admin, "DELETE", "/admin/v1/drain", DRAIN) == (200, {"admission": "open"})
    await ask(admin, "POST", "/admin/v1/drain", DRAIN)
    for _ in range(2):
        answer = await ask(admin, "POST", "/admin/v1/seal", DRAIN)
        assert answer == (200, {"admission": "sealed"})
    status, body = await ask(admin, "DELETE", "/admin/v1/drain", DRAIN)
    assert (status, body["code"]) == (409, "sealed")
    assert (await ask(metrics, "GET", "/readyz"))[0] == 503
    assert (await ask(metrics, "GET", "/healthz"))[0] == 200


async def test_a_relay_with_allocations_is_not_sealed(admin: Http, relay: Relay) -> None:
    client = allocate(relay)
    await ask(admin, "POST", "/admin/v1/drain", DRAIN)

    status, body = await ask(admin, "POST", "/admin/v1/seal", DRAIN)

    assert (status, body["code"], body["allocations"]) == (409, "not_empty", 1)
    assert error_of(client.refresh()) is None


async def test_another_pods_uid_is_refused(admin: Http) -> None:
    status, body = await ask(admin, "POST", "/admin/v1/drain", DRAIN | {"podUid": "other"})

    assert (status, body["code"]) == (409, "wrong_pod")


@pytest.mark.parametrize(
    ("method", "path", "body", "field"),
    [
        ("POST", "/admin/v1/drain", {}, "podUid"),
        ("POST", "/admin/v1/drain", {"podUid": POD_UID, "drainId": 1}, "drainId"),
        ("POST", "/admin/v1/drain", [], "body"),
        ("PUT", "/admin/v1/peers", {}, "body"),
        ("PUT", "/admin/v1/peers", [{"address": "engine"}], "0.address"),
        ("PUT", "/admin/v1/peers", [{"address": "10.0.0.1", "port": 0}], "0.port"),
        ("PUT", "/admin/v1/alternatives", [{"address": "10.0.0.1"}], "0.port"),
        ("PUT", "/admin/v1/alternatives", [{"address": "turn.example", "port": 1}], "0.address"),
        (
            "PUT",
            "/admin/v1/alternatives",
            [{"address": "10.0.0.1", "port": 1}] * 65,
            "At most 64 alternatives",
        ),
    ],
)
async def test_a_bad_request_names_the_field(
    admin: Http, method: str, path: str, body: object, field: str
) -> None:
    status, answer = await ask(admin, method, path, body)

    assert (status, answer["code"]) == (400, "bad_request")
    assert answer["message"].startswith(f"{field}")


async def test_peers_are_replaced_and_unknown_fields_ignored(admin: Http, relay: Relay) -> None:
    peers = [{"address": "10.0.0.1"}, {"address": "10.0.0.2", "port": 7, "since": "later"}]
    assert await ask(admin, "PUT", "/admin/v1/peers", peers) == (204, None)

    policy = relay.server.policy
    assert policy.allows(("10.0.0.1", 1))
    assert policy.allows(("10.0.0.2", 7))
    assert not policy.allows(("10.0.0.2", 8))
    assert (await ask(admin, "PUT", "/admin/v1/peers", []))[0] == 204
    assert not policy.allows(("10.0.0.1", 1))


async def test_with_keys_every_call_needs_a_token(relay: Relay) -> None:
    verifier = TokenVerifier(read_keys(jwk_set()), UID)
    async with TestClient(TestServer(admin_app(relay, verifier))) as admin:
        status, body = await ask(admin, "GET", "/admin/v1/status")
        assert (status, body["code"]) == (401, "token_missing")
        headers = {"Authorization": f"Bearer {token(aud='other-pod')}"}
        async with admin.get("/admin/v1/status", headers=headers) as response:
            assert (await response.json())["code"] == "wrong_audience"
        headers = {"Authorization": f"Bearer {token()}"}
        async with admin.get("/admin/v1/status", headers=headers) as response:
            assert response.status == 200


async def test_unknown_paths_are_answered_in_the_same_form(admin: Http) -> None:
    status, body = await ask(admin, "GET", "/admin/v1/nothing")

    assert (status, body["code"]) == (404, "bad_request")


OUTCOMES = """ok challenged unauthorized expired stale_nonce quota capacity port_exhausted
    unsupported mismatch bad_request draining"""
DROPS = "no_permission no_channel kernel malformed too_long rate reply_rate slow_reader icmp_rate"
ENDS = "expired deleted credential_expired closed slow_reader malformed pod_terminated"
CLOSED = """closed reset idle slow_reader malformed proxy_header tls total_limit source_limit
    peer_closed slow_peer replaced terminated"""
PEER_RESULTS = "connected accepted failed denied limit unbound"
CONTRACT = {
    "allocations": [],
    "allocation_capacity": [],
    "stress_ratio": ['resource="packets"', 'resource="cpu"', 'resource="loop"'],
    "admission": ['state="open"', 'state="draining"', 'state="sealed"'],
    "allocate_requests_total": [f'outcome="{outcome}"' for outcome in OUTCOMES.split()],
    "users_total": ['result="served"', 'result="capacity"', 'result="other"'],
    "bytes_total": ['direction="from_client"', 'direction="to_client"'],
    "packets_total": ['direction="from_client"', 'direction="to_client"'],
    "dropped_packets_total": [f'cause="{cause}"' for cause in DROPS.split()],
    "peer_denied_total": [],
    "sessions_ended_total": [f'cause="{cause}"' for cause in ENDS.split()],
    "connections": ['transport="tcp"', 'transport="tls"'],
    "connections_closed_total": [f'cause="{cause}"' for cause in CLOSED.split()],
    "accept_errors_total": [],
    "peer_connections_open": [],
    "peer_connections_total": [f'result="{result}"' for result in PEER_RESULTS.split()],
    "file_readings_total": [
        'file="secrets",result="ok"',
        'file="secrets",result="failed"',
        'file="certificate",result="ok"',
    ],
    "file_usable": ['file="secrets"', 'file="certificate"'],
    "certificate_expiry_timestamp_seconds": [],
    "info": ['dataplane="native"'],
}


async def test_every_metric_of_the_contract_is_there_from_the_start(metrics: Http) -> None:
    async with metrics.get("/metrics") as response:
        assert response.content_type == "text/plain"
        text = await response.text()

    names = {line.split("{")[0].split()[0] for line in text.splitlines() if line[0] != "#"}
    assert {name for name in names if name.startswith("callfleet_relay_")} == {
        f"callfleet_relay_{name}" for name in CONTRACT
    }
    for name, labels in CONTRACT.items():
        for label in labels:
            found = [line for line in text.splitlines() if f"relay_{name}{{" in line]
            assert any(label in line for line in found), (name, label)


async def test_openmetrics_is_served_to_who_asks(metrics: Http) -> None:
    headers = {"Accept": "application/openmetrics-text; version=1.0.0"}
    async with metrics.get("/metrics", headers=headers) as response:
        assert response.content_type == "application/openmetrics-text"
        assert (await response.text()).endswith("# EOF\n")


async def test_figures_follow_what_happens(relay: Relay, metrics: Http) -> None:
    client = allocate(relay)
    relay._run(relay.server.receive(b"\0\1garbage", client.five_tuple, client.world.now))
    async with metrics.get("/metrics") as response:
        text = await response.text()

    assert "callfleet_relay_allocations 1.0" in text
    assert 'callfleet_relay_allocate_requests_total{outcome="ok"} 1.0' in text
    assert 'callfleet_relay_dropped_packets_total{cause="malformed"} 1.0' in text


async def test_alternatives_are_replaced(admin: Http, relay: Relay) -> None:
    others = [{"address": "10.0.0.8", "port": 3478}, {"address": "fd00::8", "port": 3478}]
    assert await ask(admin, "PUT", "/admin/v1/alternatives", others) == (204, None)
    relay.drain("d")

    reply = Client(World(relay.server)).allocate()

    assert error_of(reply) == 300
    assert (await ask(admin, "PUT", "/admin/v1/alternatives", []))[0] == 204
    assert error_of(Client(World(relay.server)).allocate()) == 508
