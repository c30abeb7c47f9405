"""Presets of quality: what clients are told, what they may choose, and what publishers are granted,
seen by real peers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import aiohttp
import aioice.ice
import pytest
from aiortc import RTCSessionDescription
from aiortc.rtp import RTCP_PSFB_APP, RtcpPsfbPacket, unpack_remb_fci

from callfleet_engine.engine import Engine
from callfleet_engine.settings import InvalidSettings
from tests.callfleet_engine.engines import Caller, running, settings, until
from tests.callfleet_engine.media.peers import Peer, Picture
from tests.callfleet_engine.signalling.conftest import Connect
from tests.presets import ONE, SOUND

LOW = {
    "height": 360,
    "framesPerSecond": 15,
    "audioBitsPerSecond": 32_000,
    "videoBitsPerSecond": 150_000,
}


async def test_clients_are_told_the_presets_before_and_in_joined(
    engine: Engine, connect: Connect, http: aiohttp.ClientSession
) -> None:
    async with http.get(f"http://{engine.listening.listen}/api/v1/quality") as answer:
        told = await answer.json()
    assert told["default"] == "standard"
    assert told["presets"]["low"] == LOW
    assert told["presets"]["audio"] == {"audioBitsPerSecond": 64_000}
    joined = await (await connect(engine)).join()
    assert joined["quality"] == told | {"preset": "standard"}
    joined = await (await connect(engine)).join(preset="low")
    assert joined["quality"] == told | {"preset": "low"}


async def test_an_unknown_preset_is_refused_and_starts_no_call(
    engine: Engine, connect: Connect
) -> None:
    client = await connect(engine)
    refused = await client.join(preset="best")
    assert refused["code"] == "unknown_preset"
    assert "low, medium, high, standard, hd, audio" in refused["remedy"]
    await client.closed()
    assert engine.parts.admission.occupancy.calls == 0

    client = await connect(engine)
    await client.join()
    refused = await client.ask("publish", offer="v=0\r\n", preset="best")
    assert refused["code"] == "unknown_preset"
    assert (await client.ask("stats"))["type"] == "stats"


async def test_who_comes_back_with_a_preset_that_is_gone_stays_in_the_call(
    engine: Engine, connect: Connect
) -> None:
    joined = await (await connect(engine)).join(preset="low")
    again = await (await connect(engine)).join(preset="best", resume=joined["resume"])
    assert again["participant"] == joined["participant"]
    assert again["quality"]["preset"] == "low"
    elsewhere = await (await connect(engine)).join(preset="best", resume="of another pod")
    assert elsewhere["quality"]["preset"] == "standard"


async def test_a_file_in_place_of_the_built_in_ones_is_followed(
    tmp_path: Path, connect: Connect
) -> None:
    file = tmp_path / "presets.yaml"
    file.write_text(ONE)
    async with running(settings(tmp_path, quality_presets=file)) as [engine]:
        first = await connect(engine)
        joined = await first.join()
        assert joined["quality"] == {"default": "low", "preset": "low", "presets": {"low": LOW}}
        file.write_text(SOUND)
        later = await (await connect(engine)).join()
        assert later["quality"]["presets"] == {"a": {"audioBitsPerSecond": 32_000}}
        file.write_text("default: a")
        kept = await (await connect(engine)).join()
        assert kept["quality"] == later["quality"]
        # Who was there before keeps what it was told.
        again = await (await connect(engine)).join(resume=joined["resume"])
        assert again["quality"]["preset"] == "low"
        assert again["quality"]["presets"]["low"] == LOW


async def test_an_engine_does_not_start_with_a_bad_file(tmp_path: Path) -> None:
    file = tmp_path / "presets.yaml"
    file.write_text(ONE.replace("height: 360", "height: tall"))
    with pytest.raises(InvalidSettings, match=r"--quality-presets: .*presets\.low\.height: "):
        async with running(settings(tmp_path, quality_presets=file)):
            pass


class Publisher(Caller):
    """Sends sound and pictures, and keeps what the engine says of them."""

    feedback: list[Any]
    answer: str

    async def offer_both(self) -> None:
        self.feedback = []
        self.publishing.addTrack(Picture())
        await self.offer()
        Peer._record(self.publishing, self.feedback, None)

    async def negotiate(self, **fields: object) -> None:
        await self.publishing.setLocalDescription(await self.publishing.createOffer())
        sdp = self.publishing.localDescription.sdp
        published = await self.client.ask("publish", offer=sdp, **fields)
        assert published["type"] == "published", published
        self.answer = published["answer"]
        await self.publishing.setRemoteDescription(RTCSessionDescription(self.answer, "answer"))

    @property
    def granted(self) -> list[int]:
        """The bit rate of each REMB so far."""
        return [
            unpack_remb_fci(packet.fci)[0]
            for packet in self.feedback
            if isinstance(packet, RtcpPsfbPacket) and packet.fmt == RTCP_PSFB_APP
        ]


@pytest.fixture
def loopback_clients(monkeypatch: pytest.MonkeyPatch) -> None:
    """aiortc's clients leave 127.0.0.1 out; a machine may have no other address."""
    monkeypatch.setattr(aioice.ice, "get_host_addresses", lambda **_: ["127.0.0.1"])


@pytest.mark.slow
@pytest.mark.usefixtures("loopback_clients")
@pytest.mark.parametrize("plane", ["python", "native"])
async def test_a_publisher_is_granted_its_preset_and_no_more(
    tmp_path: Path, connect: Connect, plane: str
) -> None:
    async with running(settings(tmp_path, mediaplane=plane)) as [engine]:
        ada = Publisher(await connect(engine))
        try:
            await ada.join(preset="low")
            await ada.offer_both()
            await ada.negotiate()
            assert "maxaveragebitrate=32000" in ada.answer
            await until(lambda: ada.granted, "a REMB")
            assert set(ada.granted) == {(32_000 + 150_000) * 120 // 100}
            await ada.negotiate(preset="high")
            assert "maxaveragebitrate=64000" in ada.answer
            high = (64_000 + 800_000) * 120 // 100
            await until(lambda: high in ada.granted, "a REMB of another preset")
            assert max(ada.granted) == high
        finally:
            await ada.close()


@pytest.mark.slow
@pytest.mark.usefixtures("loopback_clients")
async def test_pictures_are_not_forwarded_with_a_preset_of_sound_alone(
    engine: Engine, connect: Connect
) -> None:
    ada, bob = Publisher(await connect(engine)), Caller(await connect(engine))
    try:
        await ada.join(preset="audio")
        await bob.join()
        await ada.offer_both()
        await ada.negotiate()
        await ada.client.send(type="toggle", video=True, audio=True)
        await bob.hears()
        [call] = engine.parts.host.calls
        by_id = {participant.id: participant for participant in call}
        sender = by_id[ada.joined["participant"]]
        receiver = by_id[bob.joined["participant"]]

        def came() -> int:
            published = sender.statistics().published
            return sum(one.packets_received for one in published if one.kind == "video")

        await until(lambda: came() > 20, "pictures")
        sent = {one.kind: one.packets_sent for one in receiver.statistics().subscribed}
        assert sent["audio"] > 0
        assert sent["video"] == 0
        joined = await (await connect(engine)).join()
        presence = {one["participant"]: one for one in joined["participants"]}
        shown = presence[ada.joined["participant"]]
        assert (shown["audio"], shown["video"]) == (True, False)
    finally:
        await ada.close()
        await bob.close()
