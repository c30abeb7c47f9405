"""The port of the extension's sockets."""

from __future__ import annotations

from callfleet_engine.media.advertised import Advertised
from callfleet_engine.media.native.port import TAKEN, NativePort
from tests.callfleet_engine.media.native.test_checks import CLIENT, check


async def test_others_get_their_turn_between_what_the_extension_tells() -> None:
    port = NativePort(lambda: (Advertised("192.0.2.100", "test"),), consent_seconds=15)
    port.open([])
    for _ in range(2 * TAKEN + 1):
        port.plane.receive(0, CLIENT, check("nobody:peer"), 1.0)
    dropped = []
    for _ in range(4):
        port._take()
        dropped.append(port.dropped()["unknown_ufrag"])
    assert dropped == [TAKEN, 2 * TAKEN, 2 * TAKEN + 1, 2 * TAKEN + 1]
    await port.close()
