"""What a client is told of the media it gets: layers, codecs, who speaks.

docs/reference/contracts.md, "Signalling".
"""

from __future__ import annotations

from typing import Literal

from callfleet_engine.media.interface import Source
from callfleet_engine.signalling.messages import Content, ServerMessage


class Speaker(ServerMessage):
    """Who speaks most clearly now, perhaps oneself; null: nobody."""

    type: Literal["speaker"] = "speaker"
    participant: str | None


class LayersOfTrack(Content):
    """Which layer of a simulcast one is sent; `target` from its next keyframe on."""

    mid: str
    participant: str
    source: Source
    layer: int | None
    target: int | None


class Layers(ServerMessage):
    """What one is sent of tracks with several layers has changed."""

    type: Literal["layers"] = "layers"
    tracks: tuple[LayersOfTrack, ...]


class Unsupported(ServerMessage):
    """Somebody's track comes in a codec that one's client did not accept."""

    type: Literal["unsupported"] = "unsupported"
    mid: str
    participant: str
    source: Source
    codec: str
    takes: tuple[str, ...]
    message: str
    remedy: str
