"""Timestamps that go on from one encoding of a track to another. No I/O.

Each encoding counts from an offset of its own. Sender reports tell which moments are the same
(RFC 3550 section 6.4.1); before they have come, the times of arrival must do.
"""

from __future__ import annotations

from typing import NamedTuple

_MASK = 0xFFFFFFFF


class SenderClock(NamedTuple):
    """A moment as a sender report gives it: NTP (32.32 bits of seconds) and RTP timestamp."""

    ntp: int
    rtp: int


def same_moments(base: SenderClock, clock: SenderClock, clock_rate: int) -> int:
    """What to add to timestamps of `clock` to be on the timeline of `base`."""
    elapsed = (clock.ntp - base.ntp) * clock_rate >> 32
    return base.rtp + elapsed - clock.rtp


def continued(timestamp: int, last: int, *, ticks: int, clock_rate: int, wished: int | None) -> int:
    """What to add to `timestamp` so that it follows `last`, the last one sent.

    `ticks` have passed since by the time of arrival. `wished` is what sender reports say; it is
    taken as long as it is within a second of the arrival, and moved where it would not go on.
    """
    by_arrival = last + max(ticks, 1) - timestamp
    if wished is None:
        return by_arrival
    step = (timestamp + wished - last) & _MASK
    if step >= 0x80000000:
        step -= 0x100000000
    if abs(step - ticks) > clock_rate:
        return by_arrival
    return wished if step > 0 else last + 1 - timestamp
