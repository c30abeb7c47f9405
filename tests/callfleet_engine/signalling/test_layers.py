"""Layers and codecs as clients ask for them and are told."""

from __future__ import annotations

import json

import pytest

from callfleet_engine.calls.media_events import SessionEvents
from callfleet_engine.calls.participant import Participant
from callfleet_engine.engine import Engine
from callfleet_engine.media.interface import SubscribedTrack, TrackLayers
from tests.callfleet_engine.signalling.conftest import Connect


def participant(engine: Engine, participant_id: str) -> Participant:
    [found] = [p for _, p in engine.parts.host._by_resume.values() if p.id == participant_id]
    return found


async def test_a_layer_of_somebody_can_be_asked_for(engine: Engine, connect: Connect) -> None:
    ada, bob = await connect(engine), await connect(engine)
    await ada.join()
    joined = await bob.join()
    for most in (0, 2, None):
        await ada.send(type="layer", participant=joined["participant"], most=most)
    await ada.send(type="layer", participant=joined["participant"], source="screen", most=1)
    assert (await ada.ask("stats"))["type"] == "stats"
    assert not [m for m in ada.received if m["type"] == "error"]


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"participant": "nobody", "most": 0}, "'nobody'"),
        ({"participant": "nobody"}, "most"),
        ({"participant": "nobody", "most": 3}, "most"),
        ({"participant": "nobody", "most": "0"}, "most"),
        ({"participant": "nobody", "most": 1, "source": "microphone"}, "source"),
        ({"most": 1}, "participant"),
    ],
)
async def test_what_is_wrong_with_a_wish_is_said(
    engine: Engine, connect: Connect, fields: dict[str, object], named: str
) -> None:
    ada = await connect(engine)
    await ada.join()
    error = await ada.ask("layer", **fields)
    assert (error["type"], error["code"]) == ("error", "bad_message")
    assert named in error["message"]
    assert error["remedy"]


async def test_what_is_sent_is_told(engine: Engine, connect: Connect) -> None:
    ada, bob = await connect(engine), await connect(engine)
    me = participant(engine, (await ada.join())["participant"])
    other = (await bob.join(name="Bob"))["participant"]
    events = SessionEvents(me)
    events.layers([TrackLayers("1", other, "camera", layer=None, target=2)])
    told = await ada.expect_type("layers")
    assert told["tracks"] == [
        {"mid": "1", "participant": other, "source": "camera", "layer": None, "target": 2}
    ]
    events.untaken(SubscribedTrack("1", other, "camera"), "video/AV1", ("video/VP8", "video/H264"))
    told = await ada.expect_type("unsupported")
    assert told["message"] == (
        "You cannot receive the camera of Bob: it is sent in AV1, and your client takes VP8 or"
        " H264."
    )
    assert told["remedy"] == "Join with a client that decodes AV1, or ask Bob for VP8 or H264."
    assert (told["codec"], told["takes"]) == ("video/AV1", ["video/VP8", "video/H264"])
    events.active = False
    events.speaker(other)
    assert (await ada.ask("stats"))["type"] == "stats"
    assert "speaker" not in json.dumps(ada.received)


async def test_who_speaks_is_told_again_after_a_resume(engine: Engine, connect: Connect) -> None:
    ada = await connect(engine)
    joined = await ada.join()
    SessionEvents(participant(engine, joined["participant"])).speaker("somebody")
    assert (await ada.expect_type("speaker"))["participant"] == "somebody"
    await ada.drop()
    again = await connect(engine)
    await again.join(resume=joined["resume"])
    assert (await again.expect_type("speaker"))["participant"] == "somebody"
