"""Packets as a ring holds them."""

from __future__ import annotations

from callfleet_engine.media.packet import Packet


def stored(extended: int, payload: bytes) -> Packet:
    return Packet(extended, 0x90, 97, extended * 900, 1, b"\0" + payload, 1, None)
