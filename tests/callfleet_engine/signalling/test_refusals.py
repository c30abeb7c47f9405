"""What is refused, how it is said, and that nothing running is harmed."""

from __future__ import annotations

import json
from pathlib import Path

import aiohttp
import pytest

from callfleet_engine.engine import Engine
from callfleet_engine.signalling import connection
from callfleet_engine.signalling.messages import MAX_MESSAGE_BYTES
from callfleet_engine.tokens import Permission
from tests.callfleet_engine.engines import Client, Message, running, settings
from tests.callfleet_engine.keys import join_keys, join_token
from tests.callfleet_engine.signalling.conftest import Connect


def rejected(engine: Engine, code: str) -> float:
    value = engine.parts.metrics.registry.get_sample_value(
        "callfleet_engine_admission_rejected_total", {"reason": code}
    )
    assert value is not None
    return value


async def refused(client: Client, code: str) -> Message:
    """Wait for the refusal and the close that follows it."""
    error = await client.expect_type("error")
    assert error["code"] == code, error
    assert error["message"]
    assert error["remedy"]
    await client.closed()
    return error


@pytest.mark.parametrize("text", ["", "{", "[]", '"join"', '{"type": "dance"}', "\x00", "null"])
async def test_garbage(engine: Engine, connect: Connect, text: str) -> None:
    client = await connect(engine)
    await client.socket.send_str(text)
    await refused(client, "bad_message")
    assert rejected(engine, "bad_message") == 1


async def test_binary(engine: Engine, connect: Connect) -> None:
    client = await connect(engine)
    await client.socket.send_bytes(b'{"type": "join", "room": "a"}')
    await refused(client, "bad_message")


async def test_oversize(engine: Engine, connect: Connect) -> None:
    running_call, client = await connect(engine), await connect(engine)
    await running_call.join()
    await client.socket.send_str(
        json.dumps({"type": "join", "room": "a", "x": "y" * MAX_MESSAGE_BYTES})
    )
    assert await client.closed() == aiohttp.WSCloseCode.MESSAGE_TOO_BIG
    assert (await running_call.ask("stats"))["type"] == "stats"


async def test_garbage_in_a_call_is_answered_and_the_call_goes_on(
    engine: Engine, connect: Connect
) -> None:
    client = await connect(engine)
    await client.join()
    await client.socket.send_str("{")
    assert (await client.expect_type("error"))["code"] == "bad_message"
    answer = await client.ask("publish", offer="v=0\r\nnonsense")
    assert answer["code"] == "bad_sdp"
    assert (await client.ask("join", room="other"))["code"] == "bad_message"
    assert (await client.ask("stats"))["type"] == "stats"


async def test_another_message_before_join(engine: Engine, connect: Connect) -> None:
    client = await connect(engine)
    await client.send(type="stats", id=3)
    assert (await refused(client, "not_joined"))["id"] == 3


async def test_no_message_at_all(
    engine: Engine, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "JOIN_SECONDS", 0.1)
    await refused(await connect(engine), "not_joined")


async def test_too_many_messages(engine: Engine, connect: Connect) -> None:
    client = await connect(engine)
    await client.join()
    for _ in range(connection.MESSAGES_AT_ONCE + 50):
        await client.send(type="toggle")
    await refused(client, "bad_message")


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    return join_keys(tmp_path)


async def test_tokens(tmp_path: Path, keys: Path, connect: Connect) -> None:
    no_start = frozenset({Permission.PUBLISH, Permission.SUBSCRIBE})
    good = join_token(keys)
    cases = [
        ({}, "token_missing"),
        ({"token": "nonsense"}, "token_invalid"),
        ({"token": good[:-4] + "AAAA"}, "token_invalid"),
        ({"token": join_token(keys, seconds=-3600)}, "token_expired"),
        ({"token": join_token(keys, room="other")}, "wrong_room"),
        ({"token": join_token(keys, can=no_start)}, "unknown_call"),
    ]
    async with running(settings(tmp_path, keys_file=keys)) as [engine]:
        for fields, code in cases:
            client = await connect(engine)
            await client.send(type="join", id=1, room="room", **fields)
            assert (await refused(client, code))["id"] == 1
        client = await connect(engine)
        await client.send(type="join", call="nothing", token=good)
        await refused(client, "unknown_call")
        client = await connect(engine)
        joined = await client.join(token=good, name="Ada")
        assert (joined["type"], joined["room"], joined["iceTransportPolicy"]) == (
            "joined",
            "room",
            "all",
        )


async def test_who_may_not_start_may_join_what_runs(
    tmp_path: Path, keys: Path, connect: Connect
) -> None:
    only_listen = frozenset({Permission.SUBSCRIBE})
    async with running(settings(tmp_path, keys_file=keys)) as [engine]:
        ada, bob, eve = await connect(engine), await connect(engine), await connect(engine)
        started = await ada.join(token=join_token(keys))
        joined = await bob.ask(
            "join", call=started["call"], token=join_token(keys, identity="bob", can=only_listen)
        )
        assert joined["participants"][0]["identity"] == "ada"
        assert (await bob.ask("end"))["code"] == "not_permitted"
        assert (await bob.ask("publish", offer=OFFER))["code"] == "not_permitted"
        await eve.send(type="join", call=started["call"], token=join_token(keys, room="other"))
        await refused(eve, "wrong_room")


async def test_full(engine: Engine, connect: Connect) -> None:
    for _ in range(4):
        assert (await (await connect(engine)).join("one"))["type"] == "joined"
    for room in ("one", "two"):
        client = await connect(engine)
        await client.send(type="join", room=room)
        assert (await refused(client, "full"))["retryAfterMs"] > 0
        assert await client.closed() == aiohttp.WSCloseCode.TRY_AGAIN_LATER


async def test_a_place_that_becomes_free_is_given_again(engine: Engine, connect: Connect) -> None:
    clients = [await connect(engine) for _ in range(4)]
    for client in clients:
        await client.join("one")
    assert (await clients[0].ask("leave"))["type"] == "ended"
    assert (await (await connect(engine)).join("one"))["type"] == "joined"


async def test_a_draining_pod_takes_joins_to_its_calls_only(
    engine: Engine, connect: Connect
) -> None:
    await (await connect(engine)).join("one")
    engine.parts.drain.begin("test")
    assert (await (await connect(engine)).join("one"))["type"] == "joined"
    client = await connect(engine)
    await client.send(type="join", room="two")
    assert (await refused(client, "draining"))["retryAfterMs"] > 0


async def test_no_relay(tmp_path: Path, connect: Connect) -> None:
    async with running(settings(tmp_path, require_relay=True)) as [engine]:
        client = await connect(engine)
        await client.send(type="join", room="one")
        await refused(client, "no_relay")
        assert engine.parts.admission.calls == 0
        assert engine.parts.admission.pending_joins == 0


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({"Origin": "https://evil.example.org"}, 403, "not_permitted"),
        ({"Sec-WebSocket-Protocol": "other"}, 400, "bad_message"),
        ({"Callfleet-Owner": "somebody-else"}, 421, "wrong_pod"),
    ],
)
async def test_handshakes(
    engine: Engine, http: aiohttp.ClientSession, headers: dict[str, str], status: int, code: str
) -> None:
    url = f"http://{engine.listening.listen}/api/v1/signal"
    given = {"Sec-WebSocket-Protocol": "callfleet.v1", **headers}
    async with http.get(url, headers=given) as response:
        assert response.status == status
        body = await response.json()
        assert body["code"] == code
        assert body["remedy"]


async def test_a_sealed_pod_takes_no_sockets(engine: Engine, http: aiohttp.ClientSession) -> None:
    engine.parts.drain.begin("test")
    engine.parts.drain.seal("test", engine.parts.admission.occupancy)
    with pytest.raises(aiohttp.WSServerHandshakeError) as error:
        await Client.connect(http, engine)
    assert error.value.status == 503
    assert error.value.headers is not None
    assert int(error.value.headers["Retry-After"]) > 0


OFFER = "\r\n".join(
    [
        "v=0",
        "o=- 1 1 IN IP4 0.0.0.0",
        "s=-",
        "t=0 0",
        "a=group:BUNDLE 0",
        "m=audio 9 UDP/TLS/RTP/SAVPF 111",
        "c=IN IP4 0.0.0.0",
        "a=mid:0",
        "a=sendonly",
        "a=rtcp-mux",
        "a=rtpmap:111 opus/48000/2",
        "a=ice-ufrag:abcd",
        "a=ice-pwd:abcdefghijklmnopqrstuvwx",
        "a=fingerprint:sha-256 " + ":".join(["00"] * 32),
        "a=setup:actpass",
        "a=ssrc:1 cname:a",
        "",
    ]
)
