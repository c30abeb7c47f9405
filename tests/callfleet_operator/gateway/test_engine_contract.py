"""The operator's side of the admin interface against real engines."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path

import aiohttp
import pytest

from callfleet_engine.engine import Engine
from callfleet_operator.gateway.admin_key import AdminKey
from callfleet_operator.gateway.pod_admin import Ok, Pod, PodAdmin, Refused
from tests.callfleet_engine.engines import Client, running, until
from tests.callfleet_engine.postgresql import (  # noqa: F401 - one is a fixture
    PrivatePostgresql,
    postgresql_server,
)
from tests.callfleet_engine.signalling.pods import know_each_other, pod

pytestmark = pytest.mark.peer


def target(engine: Engine) -> Pod:
    admin = engine.listening.admin
    return Pod(admin.host, engine.parts.me.uid, admin.port)


async def test_an_overdue_engine_is_emptied_and_sealed(
    tmp_path: Path,
    postgresql_server: PrivatePostgresql,  # noqa: F811 - the fixture
) -> None:
    key = AdminKey.generate()
    keys = tmp_path / "admin-keys.json"
    keys.write_text(json.dumps(key.jwk_set()))
    database = postgresql_server.new_database()
    given = [pod(tmp_path, database, uid, admin_keys_file=keys) for uid in "ab"]
    async with running(*given) as [a, b], aiohttp.ClientSession() as http:
        await know_each_other(a, b)
        operator = PodAdmin(http, key, timeout=5, concurrency=2, now=time.time)
        client = await Client.connect(http, a, Callfleet_Owner="a")
        await client.join()

        early = await operator.reconnect(target(a), "d1")
        assert isinstance(early, Refused)
        assert early.code == "not_draining"
        for engine in (a, b):
            assert await operator.drain(target(engine), "d1") == Ok({"admission": "draining"})
        await until(lambda: not any(one.open for one in a.parts.peers.candidates()), "heartbeat")
        nowhere = await operator.reconnect(target(a), "d1")
        assert isinstance(nowhere, Refused)
        assert nowhere.code == "no_room"
        assert nowhere.message

        assert await operator.undrain(target(b), "d1") == Ok({"admission": "open"})
        await until(lambda: any(one.open for one in a.parts.peers.candidates()), "heartbeat")
        assert await operator.reconnect(target(a), "d1") == Ok({"calls": 1, "joins": 0})
        await client.expect_type("reconnect")
        sealed = await operator.seal(target(a), "d1")
        while isinstance(sealed, Refused) and sealed.code == "not_empty":
            await asyncio.sleep(0.01)
            sealed = await operator.seal(target(a), "d1")
        assert sealed == Ok({"admission": "sealed"})
        assert await operator.leave_relays(target(b), [{"pool": "a/b", "pod": "r-0"}]) == Ok()
        await client.close()
