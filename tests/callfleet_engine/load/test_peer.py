"""Holds the parts of aiortc's insides that the load tool leans on."""

from __future__ import annotations

import asyncio
import threading

import pytest

from callfleet_engine.load.media import LoopedTrack, encode_audio, encode_video
from callfleet_engine.load.peer import CountingPeerConnection
from callfleet_engine.load.scenario import Video
from tests.waiting import until


async def test_counts_what_comes_and_decodes_nothing() -> None:
    sending = CountingPeerConnection([], "all")
    receiving = CountingPeerConnection([], "all")
    assert sending.pair == ""
    try:
        for loop in (encode_audio(), encode_video(Video())):
            sending.addTrack(LoopedTrack(loop))
        await sending.setLocalDescription(await sending.createOffer())
        await receiving.setRemoteDescription(sending.localDescription)
        await receiving.setLocalDescription(await receiving.createAnswer())
        await sending.setRemoteDescription(receiving.localDescription)

        await until(lambda: all(r.packets > 20 for r in receiving.receptions().values()))

        receptions = receiving.receptions()
        assert set(receptions) == {t.mid for t in sending.getTransceivers()}
        assert [reception.missing for reception in receptions.values()] == [0, 0]
        decoders = [t.name for t in threading.enumerate() if t.name.endswith("-decoder")]
        assert decoders == []
        assert sending.pair == "host-host"
    finally:
        await sending.close()
        await receiving.close()


async def test_closing_ends_though_a_sender_does_not(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = CountingPeerConnection([], "all")
    connection.close_seconds = 0.1
    sender = connection.addTrack(LoopedTrack(encode_audio()))
    monkeypatch.setattr(sender, "stop", asyncio.Event().wait)
    await connection.close()
    assert "not closed within 0.1 s" in caplog.text
