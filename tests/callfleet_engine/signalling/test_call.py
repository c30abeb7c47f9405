"""Calls over the real WebSocket, with the real media plane and store."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from callfleet_engine.calls.participant import Participant
from callfleet_engine.engine import Engine
from callfleet_engine.media import negotiating
from callfleet_engine.signalling.access import Access
from callfleet_engine.signalling.messages import Offer
from callfleet_engine.signalling.outbox import MAX_MESSAGES
from callfleet_engine.store.interface import CallRoute
from tests.callfleet_engine.engines import Caller, running, settings, until
from tests.callfleet_engine.signalling.conftest import Connect


async def test_two_participants_hear_each_other(engine: Engine, connect: Connect) -> None:
    ada, bob = Caller(await connect(engine)), Caller(await connect(engine))
    try:
        await ada.join(name="Ada")
        joined = await bob.join(name="Bob")
        assert [one["name"] for one in joined["participants"]] == ["Ada"]
        await ada.publish()
        await bob.publish()
        await ada.hears()
        await bob.hears()
        stats = await ada.client.ask("stats")
        mine = next(
            one for one in stats["participants"] if one["participant"] == ada.joined["participant"]
        )
        assert mine["published"][0]["packetsReceived"] > 0
        assert mine["subscribed"][0]["participant"] == bob.joined["participant"]
        [call] = engine.parts.host.calls
        engine.parts.sampler.sample(call, datetime.now(UTC), asyncio.get_running_loop().time())
        assert engine.parts.samples.backlog == 4
        assert await engine.parts.samples.flush()
        count = engine.parts.metrics.registry.get_sample_value
        assert count("callfleet_engine_ice_attempts_total", {"path": "direct"}) == 4
        assert count("callfleet_engine_join_seconds_count") == 2
        assert count("callfleet_engine_forwarded_packets_total")
    finally:
        await ada.close()
        await bob.close()


async def test_offers_wait_for_a_join_under_way(
    tmp_path: Path, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(negotiating, "PATIENCE_SECONDS", 60.0)
    async with running(settings(tmp_path, capacity=20)) as [engine]:
        ada, bob, eve = Caller(await connect(engine)), await connect(engine), await connect(engine)
        answers, look = asyncio.Event(), engine.parts.store.get_active_call

        async def late(*, room: str | None = None, call: str | None = None) -> CallRoute | None:
            await answers.wait()
            return await look(room=room, call=call)

        try:
            await ada.join()
            await bob.join()
            monkeypatch.setattr(engine.parts.store, "get_active_call", late)
            joining = asyncio.create_task(eve.join("other"))
            await until(lambda: engine.parts.plane.turns.awaited, "eve's join waits for the store")
            await ada.publish()
            await until(engine.parts.plane.turns._one.locked, "bob's offer waits")
            assert "offer" not in [message["type"] for message in bob.received]
            answers.set()
            assert (await joining)["type"] == "joined"
            await bob.expect_type("offer")
        finally:
            await ada.close()


async def test_a_token_is_verified_once(
    engine: Engine, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    verified: list[str | None] = []

    def verify(_: Access, token: str | None) -> None:
        verified.append(token)

    monkeypatch.setattr(Access, "verify", verify)
    for token in ("first", "second"):
        await (await connect(engine)).join(token=token)
    assert verified == ["first", "second"]


async def test_others_are_told_who_comes_toggles_and_leaves(
    engine: Engine, connect: Connect
) -> None:
    ada, bob = await connect(engine), await connect(engine)
    await ada.join()
    joined = await bob.join(name="Bob")
    about_bob = await ada.expect_type("participant")
    assert about_bob == {
        "type": "participant",
        "event": "joined",
        "participant": joined["participant"],
        "name": "Bob",
        "identity": "guest",
        "audio": False,
        "video": False,
        "screen": False,
    }
    await bob.ask("leave")
    left = await ada.expect_type("participant")
    assert (left["event"], left["participant"]) == ("left", joined["participant"])


async def test_toggle(engine: Engine, connect: Connect) -> None:
    ada, bob = await connect(engine), Caller(await connect(engine))
    try:
        await ada.join()
        await bob.join()
        await bob.publish()
        events = [await ada.expect_type("participant") for _ in range(2)]
        assert [(e["event"], e["audio"]) for e in events] == [("joined", False), ("toggled", True)]
        await bob.client.send(type="toggle", audio=False)
        assert (await ada.expect_type("participant"))["audio"] is False
    finally:
        await bob.close()


async def test_a_call_ends_with_its_last_participant(engine: Engine, connect: Connect) -> None:
    ada, bob = await connect(engine), await connect(engine)
    first = await ada.join("one")
    ended = await ada.ask("leave")
    assert ended["reason"] == "left"
    await ada.closed()
    assert engine.parts.admission.calls == 0
    second = await bob.join("one")
    assert second["call"] != first["call"]


async def test_end_ends_it_for_all(engine: Engine, connect: Connect) -> None:
    clients = [await connect(engine) for _ in range(3)]
    for client in clients:
        await client.join("one")
    await clients[0].send(type="end")
    for client in clients:
        assert (await client.expect_type("ended"))["reason"] == "ended"
        assert await client.closed() == 1000
    assert engine.parts.admission.participants == 0
    await until(lambda: engine.parts.journal.backlog == 0, "records written")
    assert await engine.parts.store.get_active_call(room="one") is None


async def test_the_end_of_the_process_is_told(engine: Engine, connect: Connect) -> None:
    client = await connect(engine)
    await client.join("one")
    await engine.__aexit__(None, None, None)
    assert (await client.expect_type("ended"))["reason"] == "pod_terminated"
    assert await client.closed() == 1001


async def test_a_room_is_started_once_by_many_at_a_time(engine: Engine, connect: Connect) -> None:
    clients = [await connect(engine) for _ in range(4)]
    for client in clients:
        await client.send(type="join", room="one")
    joined = [await client.expect_type("joined") for client in clients]
    assert len({one["call"] for one in joined}) == 1
    assert engine.parts.admission.participants == 4


@pytest.mark.parametrize("text", ["candidate:1 1 udp 1 10.0.0.1 1 typ host", ""])
async def test_candidates_before_an_offer_do_no_harm(
    engine: Engine, connect: Connect, text: str
) -> None:
    client = await connect(engine)
    await client.join()
    await client.send(type="candidate", pc="publish", candidate={"candidate": text, "sdpMid": "0"})
    await client.send(type="candidate", pc="publish", candidate=None)
    assert (await client.ask("stats"))["type"] == "stats"


def participants(engine: Engine) -> Iterator[Participant]:
    return (participant for call in engine.parts.host.calls for participant in call)


async def test_a_client_that_does_not_read_is_cut_off(engine: Engine, connect: Connect) -> None:
    ada, bob = await connect(engine), await connect(engine)
    await ada.join()
    [slow] = participants(engine)
    await bob.join()
    for _ in range(MAX_MESSAGES + 1):
        slow.send(Offer(offer="x" * 1000, tracks=()))
    assert await ada.closed() == 1008
    await until(lambda: engine.parts.host.graces == 1, "the grace to resume begins")
    assert (await bob.ask("stats"))["type"] == "stats"


@pytest.mark.parametrize(
    ("report", "path", "cause"),
    [
        (None, "direct", "unreported"),
        (
            {"iceErrors": [{"url": "turn:10.0.0.1", "errorCode": 701}]},
            "relayed",
            "relay_unreachable",
        ),
    ],
)
async def test_a_connection_that_does_not_come_about(
    engine: Engine,
    connect: Connect,
    report: dict[str, object] | None,
    path: str,
    cause: str,
) -> None:
    engine.parts.plane.settings = replace(engine.parts.plane.settings, attempt_seconds=0.3)
    ada = Caller(await connect(engine))
    try:
        await ada.join()
        offer = await ada.offer()
        answer = await ada.client.ask("publish", offer=offer)
        assert answer["type"] == "published"
        if report:
            await ada.client.send(type="report", **report)
        assert (await ada.client.expect_type("ended"))["reason"] == "media_lost"
        count = engine.parts.metrics.registry.get_sample_value
        assert count("callfleet_engine_ice_attempts_total", {"path": path}) == 1
        labels = {"path": path, "cause": cause}
        assert count("callfleet_engine_ice_failures_total", labels) == 1
        assert engine.parts.admission.participants == 0
    finally:
        await ada.close()


async def test_credentials_are_renewed_before_they_expire(tmp_path: Path, connect: Connect) -> None:
    secret = tmp_path / "secret"
    secret.write_text("s" * 32)
    given = settings(tmp_path, turn=("turn:192.0.2.1:3478",), turn_secret_file=secret)
    async with running(given) as [engine]:
        engine.parts.ice.lifetime_seconds = 2
        client = await connect(engine)
        joined = await client.join()
        renewed = await client.expect_type("iceServers")
        assert "restart" not in renewed or renewed["restart"] is False
        [before], [after] = joined["iceServers"], renewed["iceServers"]
        assert after["urls"] == before["urls"]
        assert int(after["username"].split(":")[0]) > int(before["username"].split(":")[0])


async def test_behind_relays_every_connection_counts_as_relayed(
    tmp_path: Path, connect: Connect
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("s" * 32)
    given = settings(
        tmp_path, turn=("turn:192.0.2.1:3478",), turn_secret_file=secret, require_relay=True
    )
    async with running(given) as [engine]:
        ada = Caller(await connect(engine))
        try:
            await ada.join()
            await ada.publish()
            count = engine.parts.metrics.registry.get_sample_value
            name = "callfleet_engine_ice_attempts_total"
            await until(lambda: count(name, {"path": "relayed"}) == 1, "connected")
            assert count(name, {"path": "direct"}) == 0
        finally:
            await ada.close()
