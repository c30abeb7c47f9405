"""What stands in for aiortc's RTCRtpReceiver and RTCRtpSender: part of `seams.py`."""

from __future__ import annotations

import uuid

from aiortc import RTCDtlsTransport


class Receiver:
    """What RTCPeerConnection and RTCRtpTransceiver use of an RTCRtpReceiver."""

    def __init__(self, transport: RTCDtlsTransport) -> None:
        self.transport = transport
        self.track = None
        self._track = None
        self._enabled = True

    def setTransport(self, transport: RTCDtlsTransport) -> None:  # noqa: N802 (aiortc's name)
        self.transport = transport

    async def receive(self, parameters: object) -> None:
        """Nothing to start."""

    async def stop(self) -> None:
        """Nothing to stop."""


class Sender:
    """What RTCPeerConnection and RTCRtpTransceiver use of an RTCRtpSender."""

    track = None

    def __init__(self, transport: RTCDtlsTransport, ssrc: int) -> None:
        self.transport = transport
        self._ssrc = ssrc
        self._rtx_ssrc = uuid.uuid4().int & 0xFFFFFFFF
        self._stream_id = str(uuid.uuid4())
        self._track_id = str(uuid.uuid4())
        self._enabled = True

    def setTransport(self, transport: RTCDtlsTransport) -> None:  # noqa: N802 (aiortc's name)
        self.transport = transport

    async def send(self, parameters: object) -> None:
        """Nothing to start."""

    async def stop(self) -> None:
        """Nothing to stop."""
