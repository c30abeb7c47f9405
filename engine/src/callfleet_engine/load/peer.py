"""A client's peer connection: aiortc's own, without the decoding.

The one place of the load tool that leans on aiortc's insides (`tests/callfleet_engine/load/
test_peer.py` holds them): received packets are counted and answered with RTCP as ever, but the
frames made of them are dropped instead of being decoded.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import time
from collections.abc import Iterable
from typing import Any

from aiortc import (
    RTCBundlePolicy,
    RTCConfiguration,
    RTCIceServer,
    RTCIceTransportPolicy,
    RTCPeerConnection,
    RTCRtpTransceiver,
)
from aiortc.rtp import RtpPacket

from callfleet_engine.load.reception import Reception

log = logging.getLogger(__name__)


class _NothingToDecode(queue.Queue[Any]):
    """Takes encoded frames and drops them; its reader ends at once."""

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:  # noqa: ANN401
        """Drop a frame."""

    def get(self, block: bool = True, timeout: float | None = None) -> Any:  # noqa: ANN401, ARG002
        """Tell the decoder's thread to end."""
        return None


class CountingPeerConnection(RTCPeerConnection):
    """Counts what it receives, by mid."""

    close_seconds = 5.0
    """How long `close` waits for aiortc: for ever, where a close or a task of a sender was
    cancelled before it could say that it has ended."""

    def __init__(self, ice_servers: Iterable[dict[str, Any]], policy: str) -> None:
        """`ice_servers` are RTCIceServer dictionaries, `policy` an RTCIceTransportPolicy."""
        self.received = asyncio.Event()
        """Set with the first packet that has come."""
        servers = [
            RTCIceServer(
                urls=server["urls"],
                username=server.get("username"),
                credential=server.get("credential"),
            )
            for server in ice_servers
        ]
        super().__init__(
            RTCConfiguration(
                iceServers=servers,
                iceTransportPolicy=RTCIceTransportPolicy(policy),
                bundlePolicy=RTCBundlePolicy.MAX_BUNDLE,
            )
        )

    def _RTCPeerConnection__createTransceiver(self, *args: Any, **kwargs: Any) -> RTCRtpTransceiver:  # noqa: ANN401, N802
        create = RTCPeerConnection._RTCPeerConnection__createTransceiver  # type: ignore[attr-defined]  # noqa: SLF001
        transceiver: RTCRtpTransceiver = create(self, *args, **kwargs)
        receiver = transceiver.receiver
        receiver._RTCRtpReceiver__decoder_queue = _NothingToDecode()  # type: ignore[attr-defined]  # noqa: SLF001
        stock = receiver._handle_rtp_packet  # noqa: SLF001
        reception = Reception()

        async def count(packet: RtpPacket, arrival_time_ms: int) -> None:
            reception.packet(packet.sequence_number, time.monotonic())
            self.received.set()
            await stock(packet, arrival_time_ms)

        receiver._handle_rtp_packet = count  # type: ignore[method-assign]  # noqa: SLF001
        transceiver._callfleet_reception = reception  # type: ignore[attr-defined]  # noqa: SLF001
        return transceiver

    async def close(self) -> None:
        """End it, with a warning if aiortc does not come to an end."""
        try:
            async with asyncio.timeout(self.close_seconds):
                await super().close()
        except TimeoutError:
            log.warning("a peer connection was not closed within %s s", self.close_seconds)

    @property
    def pair(self) -> str:
        """The types of the selected pair, own and remote, such as `relay-host`; empty before."""
        transceivers = self.getTransceivers()
        if not transceivers:
            return ""
        transport: Any = transceivers[0].receiver.transport
        selected = transport.transport._connection._nominated.get(1)  # noqa: SLF001
        if selected is None:
            return ""
        return f"{selected.local_candidate.type}-{selected.remote_candidate.type}"

    def receptions(self) -> dict[str, Reception]:
        """What has come so far, by mid."""
        return {
            transceiver.mid: transceiver._callfleet_reception  # type: ignore[attr-defined]  # noqa: SLF001
            for transceiver in self.getTransceivers()
            if transceiver.mid is not None
        }
