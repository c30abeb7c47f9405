"""An engine behind an address that it learns later."""

from __future__ import annotations

from pathlib import Path

import aiohttp
import pytest

from callfleet_engine.media.advertised import Advertised
from callfleet_engine.media_addresses import MAX_FILE_BYTES, read_addresses
from callfleet_engine.settings import InvalidSettings
from callfleet_engine.store.interface import Admission
from tests.callfleet_engine.engines import Caller, Client, running, settings


async def test_no_call_is_taken_before_the_address_is_known(tmp_path: Path) -> None:
    told = tmp_path / "external-address"
    told.touch()
    given = settings(tmp_path, external_address_file=told, advertise="both")
    async with running(given) as [engine], aiohttp.ClientSession() as http:

        async def readiness() -> tuple[int, str]:
            async with http.get(f"http://{engine.listening.metrics}/readyz") as response:
                return response.status, (await response.json()).get("reason", "")

        status, reason = await readiness()
        assert status == 503
        assert "no external address" in reason
        assert engine.parts.beat().admission is Admission.DRAINING
        assert engine.parts.status().admission == "open"
        assert engine.parts.status().addresses == ()
        refused = await Client.connect(http, engine)
        assert (await refused.join())["code"] == "draining"
        await refused.close()

        told.write_text("203.0.113.7 node annotation callfleet.dev/external-address\n")
        assert (await readiness())[0] == 200
        assert engine.parts.beat().admission is Admission.OPEN
        assert [(a.address, a.port, a.source) for a in engine.parts.status().addresses] == [
            (
                "203.0.113.7",
                engine.parts.plane.port,
                "node annotation callfleet.dev/external-address",
            ),
            ("127.0.0.1", engine.parts.plane.port, "--media-address"),
        ]
        caller = Caller(await Client.connect(http, engine))
        await caller.join()
        published = await caller.client.ask("publish", offer=await caller.offer())
        port = engine.parts.plane.port
        lines = [c.split() for c in published["answer"].splitlines() if "candidate:" in c]
        assert [(c[4], int(c[5])) for c in lines] == [("203.0.113.7", port), ("127.0.0.1", port)]
        await caller.close()


async def test_a_port_that_is_taken_is_said_with_its_flag(tmp_path: Path) -> None:
    async with running(settings(tmp_path)) as [engine]:
        with pytest.raises(InvalidSettings, match="--media-port"):
            async with running(settings(tmp_path, media_port=engine.parts.plane.port)):
                pytest.fail("bound twice")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("somewhere", "does not appear to be"),
        ("2001:db8::1", "of IPv6"),
        ("192.0.2.1 " + "x" * MAX_FILE_BYTES, "longer than"),
    ],
)
async def test_a_broken_file_is_refused_at_the_start(tmp_path: Path, text: str, says: str) -> None:
    told = tmp_path / "external-address"
    told.write_text(text)
    with pytest.raises(InvalidSettings, match=says):
        async with running(settings(tmp_path, external_address_file=told)):
            pytest.fail("started")


def test_lines_have_an_address_and_where_it_comes_from(tmp_path: Path) -> None:
    told = tmp_path / "external-address"
    told.write_text("\n192.0.2.1 the node\n2001:db8::1\n")
    assert read_addresses(told, frozenset({4, 6})) == (
        Advertised("192.0.2.1", "the node"),
        Advertised("2001:db8::1", str(told)),
    )
