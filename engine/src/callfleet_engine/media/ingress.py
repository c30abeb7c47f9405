"""All that comes from one publisher, before its streams are told apart. No I/O.

Packets are noted for transport-wide feedback where that was negotiated; elsewhere the engine
estimates itself what the path carries, from the times of sending that the packets name. A packet
that comes again by RTX (RFC 4588) is turned back into the one that was lost.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, NamedTuple

from callfleet_engine.media import rtp, transport_feedback
from callfleet_engine.media.bandwidth import BandwidthEstimator, Outcome
from callfleet_engine.media.retransmission import unwrap
from callfleet_engine.media.transport_feedback import ArrivalRecorder

if TYPE_CHECKING:
    from callfleet_engine.media.seams import NegotiatedMedia

MAX_RTX_SSRCS = 16
MAX_NOTED = 512
ABS_SEND_TIME_UNITS = 1 << 18
"""In a second; the number has 24 bits and wraps every 64 s."""
_ABS_SEND_TIME_RANGE = 1 << 24


class Received(NamedTuple):
    """A packet, and whether it came again by RTX."""

    data: bytes
    again: bool


class Ingress:
    """The receiving side of one publisher's transport.

    `reporter_ssrc` is the engine's own in feedback; `ssrc_of` finds the SSRC of a layer by its MID
    and RID, None before the layer has come.
    """

    def __init__(self, reporter_ssrc: int, ssrc_of: Callable[[str, str], int | None]) -> None:
        self._reporter_ssrc = reporter_ssrc
        self._ssrc_of = ssrc_of
        self._recorder = ArrivalRecorder()
        self._estimator = BandwidthEstimator()
        self._noted: list[Outcome] = []
        self._sent = 0
        self._transport_id: int | None = None
        self._send_time_id: int | None = None
        self._mid_id: int | None = None
        self._repaired_id: int | None = None
        self._associated: dict[int, int] = {}
        self._media_ssrc = 0
        self._repaired: dict[int, int] = {}

    def negotiated(self, lines: Iterable[NegotiatedMedia], pairs: Mapping[int, int]) -> None:
        """Take the result of an offer and answer; `pairs` leads from RTX SSRCs to the others."""
        extensions: dict[str, int] = {}
        self._associated = {}
        for media in lines:
            extensions |= media.extensions
            self._associated |= media.rtx
        self._transport_id = extensions.get(rtp.TRANSPORT_NUMBER_URI)
        self._send_time_id = extensions.get(rtp.ABS_SEND_TIME_URI)
        self._mid_id = extensions.get(rtp.MID_URI)
        self._repaired_id = extensions.get(rtp.REPAIRED_RID_URI)
        self._repaired = dict(pairs)

    @property
    def estimate(self) -> float | None:
        """What the path carries in bit/s; None if it showed no limit, or the publisher knows."""
        return self._estimator.estimate if self._transport_id is None else None

    def received(self, data: bytes, now: float) -> Received | None:
        """Note a packet; None if it holds nothing to forward. Raises ValueError if truncated."""
        _, marker_and_type, _, _, ssrc = rtp.HEADER.unpack_from(data)
        if self._transport_id is not None:
            number = rtp.extension(data, self._transport_id)
            if number is not None and len(number) >= 2:
                self._recorder.record(number[0] << 8 | number[1], now)
        elif self._send_time_id is not None:
            self._note(rtp.extension(data, self._send_time_id), len(data), now)
        payload_type = self._associated.get(marker_and_type & 0x7F)
        if payload_type is None:
            self._media_ssrc = ssrc
            return Received(data, again=False)
        original = self._original(data, ssrc)
        if original is None:
            return None
        packet = unwrap(data, payload_type=payload_type, ssrc=original)
        return Received(packet, again=True) if packet is not None else None

    def _note(self, stamp: bytes | None, size: int, now: float) -> None:
        if stamp is None or len(stamp) != 3 or len(self._noted) >= MAX_NOTED:
            return
        step = (int.from_bytes(stamp, "big") - self._sent) % _ABS_SEND_TIME_RANGE
        self._sent += step - (_ABS_SEND_TIME_RANGE if step >= _ABS_SEND_TIME_RANGE // 2 else 0)
        self._noted.append(Outcome(self._sent / ABS_SEND_TIME_UNITS, now, size))

    def _original(self, data: bytes, ssrc: int) -> int | None:
        """Whose packets this RTX stream repeats: by SDP, else by the RID it names."""
        if ssrc in self._repaired:
            return self._repaired[ssrc]
        if self._mid_id is None or self._repaired_id is None:
            return None
        mid, rid = rtp.extension(data, self._mid_id), rtp.extension(data, self._repaired_id)
        if not mid or not rid or len(self._repaired) >= MAX_RTX_SSRCS:
            return None
        found = self._ssrc_of(mid.decode("ascii", "replace"), rid.decode("ascii", "replace"))
        if found is not None:
            self._repaired[ssrc] = found
        return found

    def forget(self, ssrc: int) -> None:
        """A stream is over; its RTX stream may belong to another one from now on."""
        for repair in [r for r, original in self._repaired.items() if original == ssrc]:
            del self._repaired[repair]

    def tick(self, now: float) -> list[bytes]:
        """Ten times a second: what the publisher is to be told of what arrived."""
        if self._noted:
            noted, self._noted = self._noted, []
            self._estimator.outcomes(noted, now)
        return [
            transport_feedback.pack(
                message, sender_ssrc=self._reporter_ssrc, media_ssrc=self._media_ssrc
            )
            for message in self._recorder.messages()
        ]
