"""Compound RTCP packets (RFC 3550 section 6.1), with what aiortc does not know. No I/O."""

from __future__ import annotations

import struct

from aiortc.rtp import (
    RTCP_PSFB_APP,
    RTCP_RTPFB,
    AnyRtcpPacket,
    RtcpPacket,
    RtcpPsfbPacket,
    unpack_remb_fci,
)

from callfleet_engine.media import transport_feedback
from callfleet_engine.media.transport_feedback import TransportFeedback

MAX_PACKETS = 64
VERSION = 2
_HEADER = struct.Struct("!BBH")
_PADDING = 0x20
_SSRC_BYTES = 8


def parse(data: bytes) -> list[AnyRtcpPacket | TransportFeedback]:
    """The packets of a compound one, at most 64; types that nobody here uses are left out.

    Raises ValueError if any of them is malformed.
    """
    packets: list[AnyRtcpPacket | TransportFeedback] = []
    at = 0
    while at < len(data) and len(packets) < MAX_PACKETS:
        if len(data) < at + _HEADER.size:
            raise ValueError("RTCP header is truncated")
        first, packet_type, words = _HEADER.unpack_from(data, at)
        end = at + 4 * (words + 1)
        if first >> 6 != VERSION or len(data) < end:
            raise ValueError("RTCP packet is truncated or of another version")
        if packet_type == RTCP_RTPFB and first & 0x1F == transport_feedback.FORMAT:
            packets.append(_transport_feedback(data[at + _HEADER.size : end], first))
        else:
            try:
                packets += RtcpPacket.parse(data[at:end])
            except struct.error as error:  # a body that is shorter than its type needs
                raise ValueError(f"RTCP packet of type {packet_type} is truncated") from error
        at = end
    return packets


def _transport_feedback(body: bytes, first: int) -> TransportFeedback:
    """aiortc would read it as a NACK, and refuse its padding."""
    if first & _PADDING:
        if not body or not 0 < body[-1] <= len(body):
            raise ValueError("RTCP padding is malformed")
        body = body[: -body[-1]]
    return transport_feedback.parse(body[_SSRC_BYTES:])


def remb(packet: RtcpPsfbPacket) -> int | None:
    """The bit rate of a REMB (draft-alvestrand-rmcat-remb-03); None of any other message."""
    if packet.fmt != RTCP_PSFB_APP:
        return None
    try:
        return unpack_remb_fci(packet.fci)[0]
    except (ValueError, struct.error):  # another application's, or truncated
        return None
