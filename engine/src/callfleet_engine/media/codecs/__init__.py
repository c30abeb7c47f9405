"""Payloads of each codec that is forwarded: where decoding can start, which numbers must go on."""

from __future__ import annotations

from callfleet_engine.media.codecs import av1, h264, vp8, vp9
from callfleet_engine.media.codecs.payload import Reader

READERS: dict[str, Reader] = {
    "video/vp8": vp8.read,
    "video/vp9": vp9.read,
    "video/h264": h264.read,
    "video/av1": av1.read,
}
"""By mime type in lower case."""
