"""Statistics in the names of W3C WebRTC Statistics, as clients read them."""

from __future__ import annotations

from callfleet_engine.media.interface import InboundStats, OutboundStats


def inbound(stats: InboundStats) -> dict[str, object]:
    """RTCInboundRtpStreamStats, seen from the engine."""
    return {
        "type": "inbound-rtp",
        "kind": stats.kind,
        "source": stats.source,
        "mid": stats.mid,
        **({"rid": stats.rid} if stats.rid else {}),
        "ssrc": stats.ssrc,
        "mimeType": stats.mime_type,
        "packetsReceived": stats.packets_received,
        "bytesReceived": stats.bytes_received,
        "packetsLost": stats.packets_lost,
        "jitter": stats.jitter,
        "nackCount": stats.nack_count,
        "pliCount": stats.pli_count,
    }


def outbound(stats: OutboundStats) -> dict[str, object]:
    """RTCOutboundRtpStreamStats, seen from the engine, with what the client reported of it."""
    return {
        "type": "outbound-rtp",
        "kind": stats.kind,
        "source": stats.source,
        "mid": stats.mid,
        "participant": stats.participant,
        **({"rid": stats.rid} if stats.rid else {}),
        "ssrc": stats.ssrc,
        "mimeType": stats.mime_type,
        "packetsSent": stats.packets_sent,
        "bytesSent": stats.bytes_sent,
        "retransmittedPacketsSent": stats.retransmitted_packets_sent,
        "nackCount": stats.nack_count,
        "pliCount": stats.pli_count,
        "packetsLost": stats.packets_lost,
        "jitter": stats.jitter,
        "roundTripTime": stats.round_trip_time,
        "layer": stats.layer,
        "freezesAvoided": stats.freezes_avoided,
    }
