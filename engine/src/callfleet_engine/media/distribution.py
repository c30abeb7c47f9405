"""A subscriber's bandwidth given out among its down tracks."""

from __future__ import annotations

from collections.abc import Sequence

from callfleet_engine.media.allocation import Allocation, Demand, Layer, allocate
from callfleet_engine.media.forwarding import Down, Published
from callfleet_engine.media.layers import highest_live

AUDIO_BITRATE = 48_000.0
"""What a voice takes with its headers, as long as none has been measured."""
HEADERS_PER_PACKET = 28
"""Bytes of RTP header and extensions, which measured rates leave out."""
AUDIO_PACKETS_PER_SECOND = 50
VIDEO_HEADERS_SHARE = 1.04


def start(downtrack: Down, budget: float | None) -> None:
    """A first choice for a new track: the best within the wish, the lowest where a limit is known.

    The next tick knows better.
    """
    track, most = downtrack.track, downtrack.most
    if track is None or most is None:
        downtrack.choose(None)
    else:
        downtrack.choose(_unmeasured(track, most if budget is None else 0))


def distribute(
    downtracks: Sequence[Down], budget: float | None, speaker: str | None
) -> Allocation | None:
    """Choose a layer for each attached down track; `budget` in bit/s.

    Without a known budget (None) everybody gets what is wanted, and nothing is to be given out.
    """
    if budget is None:
        for downtrack in downtracks:
            downtrack.choose(_wanted(downtrack))
        return None
    demands = [_demand(downtrack, speaker) for downtrack in downtracks]
    given_out = allocate(demands, budget)
    for downtrack, demand, number in zip(downtracks, demands, given_out.layers, strict=True):
        if demand.kind == "audio" or downtrack.most is None or demand.layers:
            downtrack.choose(number)
        elif downtrack.track is not None:
            downtrack.choose(_unmeasured(downtrack.track, downtrack.most))
    return given_out


def _wanted(downtrack: Down) -> int | None:
    """What `allocate` gives without a limit."""
    track, most = downtrack.track, downtrack.most
    if track is None or most is None:
        return None
    if track.kind == "audio":
        return 0
    flowing = [state.index for state in track.states if state.live and state.bitrate > 0]
    if not flowing:
        return _unmeasured(track, most)
    return max((index for index in flowing if index <= most), default=flowing[0])


def _demand(downtrack: Down, speaker: str | None) -> Demand:
    track = downtrack.track
    if track is None or downtrack.most is None:
        return Demand("video", ())
    if track.kind == "audio":
        return Demand("audio", (Layer(0, _audio_rate(track)),))
    layers, highest = [], 0.0
    for state in track.states:
        if state.live and state.bitrate > 0:
            highest = max(highest, state.bitrate * VIDEO_HEADERS_SHARE)
            layers.append(Layer(state.index, highest))
    return Demand(
        "video",
        tuple(layers),
        speaker=track.participant == speaker,
        wanted=downtrack.most,
        current=downtrack.target,
    )


def _audio_rate(track: Published) -> float:
    measured = sum(state.bitrate for state in track.states)
    headers = 8 * HEADERS_PER_PACKET * AUDIO_PACKETS_PER_SECOND
    return measured + headers if measured > 0 else AUDIO_BITRATE


def _unmeasured(track: Published, most: int) -> int:
    """Which layer of at most `most` to send; before any has come, whichever comes."""
    best = highest_live(track.states, most) if track.rids else None
    return most if best is None else best
