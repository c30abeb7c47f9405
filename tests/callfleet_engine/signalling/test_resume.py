"""Sockets that drop, and participants who stay."""

from __future__ import annotations

from pathlib import Path

import pytest

from callfleet_engine.calls import host
from callfleet_engine.engine import Engine
from tests.callfleet_engine.engines import Caller, running, settings, until
from tests.callfleet_engine.keys import join_keys, join_token
from tests.callfleet_engine.signalling.conftest import Connect


async def test_resume_after_a_dropped_socket(engine: Engine, connect: Connect) -> None:
    ada, bob = Caller(await connect(engine)), Caller(await connect(engine))
    try:
        joined = await ada.join(name="Ada")
        await bob.join()
        await ada.publish()
        await bob.hears()
        await ada.client.drop()
        await until(lambda: engine.parts.host.graces == 1, "the grace begins")
        bob.loudness.clear()
        await bob.hears()

        again = await connect(engine)
        resumed = await again.join(name="Ada", resume=joined["resume"])
        assert resumed["participant"] == joined["participant"]
        assert resumed["resume"] == joined["resume"]
        assert [one["participant"] for one in resumed["participants"]] == [
            bob.joined["participant"]
        ]
        assert engine.parts.host.graces == 0
        assert (await again.ask("stats"))["participants"][0]["published"]
        assert not [m for m in bob.client.received if m.get("event") == "left"]
    finally:
        await ada.close()
        await bob.close()


async def test_who_does_not_come_back_leaves(
    engine: Engine, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine.parts.host.resume_grace_seconds = 0.05
    ada, bob = await connect(engine), await connect(engine)
    joined = await ada.join()
    await bob.join()
    await ada.drop()
    left = await bob.expect(lambda message: message.get("event") == "left", "left")
    assert left["participant"] == joined["participant"]
    again = await connect(engine)
    assert (await again.join(resume=joined["resume"]))["participant"] != joined["participant"]


async def test_a_second_socket_replaces_the_first(engine: Engine, connect: Connect) -> None:
    first, second = await connect(engine), await connect(engine)
    joined = await first.join()
    resumed = await second.join(resume=joined["resume"])
    assert resumed["participant"] == joined["participant"]
    assert (await first.expect_type("ended"))["reason"] == "replaced"
    await first.closed()
    assert (await second.ask("stats"))["type"] == "stats"
    assert engine.parts.admission.participants == 1


async def test_an_offer_that_was_missed_comes_again(engine: Engine, connect: Connect) -> None:
    ada, bob = await connect(engine), Caller(await connect(engine))
    try:
        joined = await ada.join()
        await bob.join()
        await bob.publish()
        missed = await ada.expect_type("offer")
        await ada.drop()
        again = await connect(engine)
        await again.join(resume=joined["resume"])
        assert (await again.expect_type("offer"))["offer"] == missed["offer"]
    finally:
        await bob.close()


async def test_nobody_else_resumes(tmp_path: Path, connect: Connect) -> None:
    keys = join_keys(tmp_path)
    async with running(settings(tmp_path, keys_file=keys)) as [engine]:
        ada, eve = await connect(engine), await connect(engine)
        joined = await ada.join(token=join_token(keys))
        other = await eve.join(token=join_token(keys, identity="eve"), resume=joined["resume"])
        assert other["participant"] != joined["participant"]


async def test_a_call_lives_through_the_grace_of_its_last_participant(
    engine: Engine, connect: Connect
) -> None:
    assert host.RESUME_GRACE_SECONDS == 10
    ada = await connect(engine)
    joined = await ada.join()
    await ada.drop()
    await until(lambda: engine.parts.host.graces == 1, "the grace begins")
    engine.parts.drain.begin("test")
    again = await connect(engine)
    resumed = await again.join(resume=joined["resume"])
    assert resumed["call"] == joined["call"]
