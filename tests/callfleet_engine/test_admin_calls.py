"""Statistics of calls by the admin interface, of real media."""

from __future__ import annotations

from typing import Any

import pytest

from callfleet_engine import engine
from callfleet_engine.calls.rates import counts
from tests.callfleet_engine.engines import Caller, Client, until
from tests.callfleet_engine.media.conftest import loopback_clients  # noqa: F401 - a fixture
from tests.callfleet_engine.test_admin import Pod, pod  # noqa: F401 - a fixture

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("loopback_clients")]


@pytest.fixture(autouse=True)
def quick_rates(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "RATE_SECONDS", 0.2)


async def test_every_stream_of_a_call_is_told(pod: Pod) -> None:  # noqa: F811 - the fixture
    assert await pod.call("GET", "calls") == (200, {"version": 1, "calls": []})
    code, unknown = await pod.call("GET", "calls/nothing/stats")
    assert (code, unknown["code"]) == (404, "unknown_call")
    ada, bob = [Caller(await Client.connect(pod.http, pod.engine)) for _ in range(2)]
    try:
        joined = await ada.join()
        await bob.join()
        await ada.publish()
        await bob.hears()
        code, calls = await pod.call("GET", "calls")
        [listed] = calls["calls"]
        assert (listed["call"], listed["room"], listed["people"]) == (joined["call"], "room", 2)
        call = pod.engine.parts.host.calls[0]
        await until(
            lambda: all(
                pod.engine.parts.rates.bits_per_second(one, stream)
                for one in call
                for stream in counts(one.statistics())
            ),
            "bit rates",
        )
        told = await stats(pod, joined["call"])
        published, subscribed = told["ada"]["published"], told["bob"]["subscribed"]
        assert published["type"] == "inbound-rtp"
        assert published["mimeType"] == "audio/opus"
        assert published["packetsReceived"] > 0
        assert subscribed["type"] == "outbound-rtp"
        assert subscribed["participant"] == joined["participant"]
        assert subscribed["packetsSent"] > 0
        assert (subscribed["layer"], subscribed["freezesAvoided"]) == (0, 0)
        assert published["bitsPerSecond"] is not None
        assert subscribed["bitsPerSecond"] is not None
    finally:
        await ada.close()
        await bob.close()


async def stats(pod: Pod, call: str) -> dict[str, dict[str, Any]]:  # noqa: F811 - the fixture
    """The one stream of each of the two, in the order of joining."""
    code, body = await pod.call("GET", f"calls/{call}/stats")
    assert code == 200
    assert body["version"] == 1
    assert body["at"].endswith("Z")
    told = {}
    for name, one in zip(("ada", "bob"), body["participants"], strict=True):
        told[name] = {way: one[way][0] for way in ("published", "subscribed") if one[way]}
    return told
