"""Answers of the Python plane, in the words of engine/native/examples/answers."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from dataclasses import astuple

from aiortc.rtp import (
    RTCP_PSFB_APP,
    RTCP_PSFB_FIR,
    RTCP_PSFB_PLI,
    RTCP_RTPFB_NACK,
    AnyRtcpPacket,
    RtcpByePacket,
    RtcpPsfbPacket,
    RtcpReceiverInfo,
    RtcpRrPacket,
    RtcpRtpfbPacket,
    RtcpSdesPacket,
    RtcpSenderInfo,
    RtcpSourceInfo,
    RtcpSrPacket,
    clamp_packets_lost,
    pack_remb_fci,
)

from callfleet_engine.media import retransmission, rtcp, rtp, transport_feedback
from callfleet_engine.media.codecs import READERS, red
from callfleet_engine.media.codecs.payload import Payload, Shift, following, shifted
from callfleet_engine.media.downtrack import SDES_CNAME
from callfleet_engine.media.python_forwarding import _keyframe_ssrcs
from callfleet_engine.media.retransmission import RtxStream
from callfleet_engine.media.timeline import SenderClock, continued, same_moments
from callfleet_engine.media.transport_feedback import TransportFeedback

Answer = Callable[..., str]
REFUSED = "refused"


def read(text: str) -> bytes:
    return b"" if text == "-" else bytes.fromhex(text)


def shown(data: bytes) -> str:
    return data.hex() or "-"


def bits(value: float) -> str:
    return struct.pack(">d", value).hex()


def joined(values: Iterable[object]) -> str:
    return ",".join(str(value) for value in values) or "-"


def optional(value: object) -> str:
    return "-" if value is None else str(value)


def numbers(text: str) -> list[int]:
    return [] if text == "-" else [int(each) for each in text.split(",")]


def pairs(text: str) -> dict[int, int]:
    found = {} if text == "-" else dict(each.split(":") for each in text.split(","))
    return {int(a): int(b) for a, b in found.items()}


# what is read


def elements(data: str) -> str:
    return joined(f"{found}={shown(value)}" for found, value in rtp.elements(read(data)))


def extension(data: str, identifier: str) -> str:
    value = rtp.extension(read(data), int(identifier))
    return "-" if value is None else shown(value)


def _payload(name: str, data: str) -> Payload:
    return READERS[name](read(data))


def _mark(number: int, at: int) -> str:
    return "-" if at < 0 else f"{number}@{at}"


def codec(name: str, data: str) -> str:
    starts, marks = _payload(name, data)
    text = "-"
    if marks is not None:
        picture = _mark(marks.picture, marks.picture_at)
        base, key = _mark(marks.base, marks.base_at), _mark(marks.key, marks.key_at)
        text = f"{picture} {marks.picture_bits} {base} {key}"
    return f"{str(bool(starts)).lower()} {text}"


def shift(name: str, data: str, *by: str) -> str:
    marks = _payload(name, data).marks
    if marks is None:
        return "-"
    return shown(shifted(read(data), 0, marks, Shift(*map(int, by))))


def follow(name: str, new: str, last: str, *by: str) -> str:
    found, before = _payload(name, new).marks, _payload(name, last).marks
    if found is None or before is None:
        return "-"
    picture, base, key = following(found, before, Shift(*map(int, by)))
    return f"{picture & 0x7FFF} {base & 0xFF} {key & 0x1F}"


def shown_feedback(message: TransportFeedback) -> str:
    arrivals = joined(optional(arrival) for arrival in message.arrivals)
    return f"{message.base_sequence} {message.reference_time} {message.count} {arrivals}"


def feedback(data: str) -> str:
    return shown_feedback(transport_feedback.parse(read(data)))


def compound(data: str) -> str:
    return " / ".join(map(_packet, rtcp.parse(read(data))))


def _reports(reports: Iterable[RtcpReceiverInfo]) -> str:
    return joined(";".join(map(str, astuple(report))) for report in reports)


def _packet(packet: AnyRtcpPacket | TransportFeedback) -> str:  # noqa: PLR0911 - one a type
    match packet:
        case RtcpSrPacket():
            i = packet.sender_info
            info = f"{i.ntp_timestamp} {i.rtp_timestamp} {i.packet_count} {i.octet_count}"
            return f"sr {packet.ssrc} {info} {_reports(packet.reports)}"
        case RtcpRrPacket():
            return f"rr {packet.ssrc} {_reports(packet.reports)}"
        case RtcpSdesPacket():
            return f"sdes {joined(chunk.ssrc for chunk in packet.chunks)}"
        case RtcpByePacket():
            return f"bye {joined(packet.sources)}"
        case RtcpRtpfbPacket():
            lost = joined(number & 0xFFFF for number in packet.lost)
            return f"rtpfb {packet.fmt} {packet.ssrc} {packet.media_ssrc} {lost}"
        case RtcpPsfbPacket():
            remb = rtcp.remb(packet)
            rate = "-" if remb is None else bits(float(remb))
            wanted = joined(_keyframe_ssrcs(packet))
            about = f"psfb {packet.fmt} {packet.ssrc} {packet.media_ssrc}"
            return f"{about} {shown(packet.fci)} {rate} {wanted}"
        case TransportFeedback():
            return f"transport {shown_feedback(packet)}"


# what is written


def send_time_block(identifier: str, seconds: str, data: str, mapping: str) -> str:
    more = rtp.mapped(read(data), pairs(mapping))
    return _block(rtp.abs_send_time_element(int(identifier), float(seconds)) + more)


def level_block(identifier: int, level: int) -> str:
    return _block(rtp.audio_level_element(identifier, level))


def _block(elements: bytes) -> str:
    elements += bytes(-len(elements) % 4)
    return shown(rtp.ONE_BYTE.to_bytes(2, "big") + rtp.NUMBER.pack(len(elements) // 4) + elements)


def write_sr(*about: str) -> str:
    ssrc, ntp, timestamp, packets, octets = map(int, about[:5])
    info = RtcpSenderInfo(ntp, timestamp, packets, octets)
    report = RtcpSrPacket(ssrc=ssrc, sender_info=info)
    names = RtcpSdesPacket(chunks=[RtcpSourceInfo(ssrc, [(SDES_CNAME, about[5].encode())])])
    return shown(bytes(report) + bytes(names))


def write_rr(ssrc: str, count: str, report: str) -> str:
    of, fraction, lost, highest, jitter, lsr, dlsr = numbers(report)
    info = RtcpReceiverInfo(of, fraction, clamp_packets_lost(lost), highest, jitter, lsr, dlsr)
    return shown(bytes(RtcpRrPacket(ssrc=int(ssrc), reports=[info] * int(count))))


def write_nack(ssrc: str, of: str, lost: str) -> str:
    packet = RtcpRtpfbPacket(RTCP_RTPFB_NACK, int(ssrc), int(of), sorted(numbers(lost)))
    return shown(bytes(packet))


def write_pli(ssrc: str, of: str) -> str:
    return shown(bytes(RtcpPsfbPacket(RTCP_PSFB_PLI, int(ssrc), int(of))))


def write_remb(ssrc: str, bitrate: str, ssrcs: str) -> str:
    fci = pack_remb_fci(int(bitrate), numbers(ssrcs))
    return shown(bytes(RtcpPsfbPacket(RTCP_PSFB_APP, int(ssrc), 0, fci)))


def write_fir(ssrc: str, of: str, number: str) -> str:
    fci = struct.pack("!LL", int(of), int(number) << 24)
    return shown(bytes(RtcpPsfbPacket(RTCP_PSFB_FIR, int(ssrc), 0, fci)))


def write_feedback(base: str, reference: str, count: str, arrivals: str) -> str:
    told = tuple(None if each == "-" else int(each) for each in arrivals.split(","))
    message = TransportFeedback(int(base), int(reference), int(count), told)
    return shown(transport_feedback.pack(message, sender_ssrc=1, media_ssrc=2))


def wrap(ssrc: str, types: str, sequence: str, data: str) -> str:
    """Nobody sends a truncated packet; the native plane makes no difference of it."""
    try:
        wrapped = RtxStream(int(ssrc), pairs(types), int(sequence)).wrap(read(data))
    except ValueError:
        wrapped = None
    return "-" if wrapped is None else shown(wrapped)


def padding(ssrc: str, types: str, sequence: str, timestamp: str) -> str:
    return shown(RtxStream(int(ssrc), pairs(types), int(sequence)).padding(int(timestamp)))


def unwrap(data: str, payload_type: str, ssrc: str) -> str:
    found = retransmission.unwrap(read(data), payload_type=int(payload_type), ssrc=int(ssrc))
    return "-" if found is None else shown(found)


def moments(base_ntp: str, base_rtp: str, ntp: str, timestamp: str, rate: str) -> str:
    base, clock = SenderClock(int(base_ntp), int(base_rtp)), SenderClock(int(ntp), int(timestamp))
    return str(same_moments(base, clock, int(rate)) & 0xFFFFFFFF)


def go_on(timestamp: str, last: str, ticks: str, rate: str, wished: str) -> str:
    offset = continued(
        int(timestamp),
        int(last),
        ticks=int(ticks),
        clock_rate=int(rate),
        wished=None if wished == "-" else int(wished),
    )
    return str(offset & 0xFFFFFFFF)


ANSWERS: dict[str, Answer] = {
    "payload_offset": lambda data: str(rtp.payload_offset(read(data))),
    "elements": elements,
    "extension": extension,
    "renumber": lambda data, ids: shown(rtp.renumber_extensions(read(data), pairs(ids))),
    "codec": codec,
    "shift": shift,
    "following": follow,
    "red_primary": lambda data: shown(red.primary(read(data))),
    "red_type": lambda data, kind: shown(red.with_payload_type(read(data), int(kind))),
    "feedback": feedback,
    "rtcp": compound,
    "mapped": lambda data, ids: shown(rtp.mapped(read(data), pairs(ids))),
    "send_time_block": send_time_block,
    "level_block": lambda i, level: level_block(int(i), int(level)),
    "numbered": lambda data, i, n: shown(rtp.with_short_element(read(data), int(i), int(n))),
    "wrap": wrap,
    "padding": padding,
    "unwrap": unwrap,
    "write_sr": write_sr,
    "write_rr": write_rr,
    "write_nack": write_nack,
    "write_pli": write_pli,
    "write_fir": write_fir,
    "write_remb": write_remb,
    "write_feedback": write_feedback,
    "same_moments": moments,
    "continued": go_on,
}


def answer(question: str) -> str:
    """What the Python plane says to it."""
    name, *arguments = question.split(" ")
    try:
        return ANSWERS[name](*arguments)
    except ValueError:
        return REFUSED
