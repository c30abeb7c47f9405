"""The layers of a simulcast: which is which, what each carries, and which one to send. No I/O.

A layer is named by its RID and numbered by its quality, 0 the lowest.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

MAX_LAYERS = 3
HIGHEST = MAX_LAYERS - 1
SILENT_SECONDS = 1.0
"""A layer that is this much behind the liveliest of its track has been switched off."""

RATE_SECONDS = 3.0
"""So long that a keyframe does not stand out."""
_FALLING = (("f", "h", "q"), ("high", "medium", "low"), ("high", "mid", "low"))


@dataclass(frozen=True, slots=True)
class LayerState:
    """One layer as it comes in; `bitrate` in bit/s, measured over the last three seconds."""

    index: int
    rid: str
    live: bool
    bitrate: float


def ordered(rids: Sequence[str]) -> tuple[str, ...]:
    """RIDs from the lowest quality to the highest.

    As they are declared: W3C WebRTC gives the first encoding the smallest scale by default
    (section 5.2). Clients that declare the highest first give it away by common names.
    """
    names = [rid.lower() for rid in rids]
    falling = any(names == [name for name in known if name in names] for known in _FALLING)
    return tuple(reversed(rids)) if falling else tuple(rids)


def lively(last_packets: Sequence[float]) -> tuple[bool, ...]:
    """Which layers are sent, by the times of their last packets in seconds (0: never).

    They are compared with each other, so that a still screen or a pause loses none.
    """
    newest = max(last_packets, default=0.0)
    return tuple(last > 0 and newest - last < SILENT_SECONDS for last in last_packets)


def highest_live(layers: Iterable[LayerState], most: int = HIGHEST) -> int | None:
    """The best live layer of at most `most`; None if none of them is live.

    What a subscriber gets as long as nobody knows how much it can take.
    """
    return max((ly.index for ly in layers if ly.live and ly.index <= most), default=None)


class RateMeter:
    """Bits per second of a counter of bytes over the last three seconds."""

    __slots__ = ("_samples",)

    def __init__(self) -> None:
        self._samples: deque[tuple[float, int]] = deque()

    def sample(self, now: float, total_bytes: int) -> None:
        """Note the counter at a moment in seconds; call it some times a second."""
        samples = self._samples
        samples.append((now, total_bytes))
        while len(samples) > 2 and now - samples[1][0] >= RATE_SECONDS:
            samples.popleft()

    @property
    def bitrate(self) -> float:
        """Bit/s; 0 before there is anything to compare."""
        if len(self._samples) < 2:
            return 0.0
        (began, before), (ended, after) = self._samples[0], self._samples[-1]
        return (after - before) * 8 / (ended - began) if ended > began else 0.0
