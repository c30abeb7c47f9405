"""Media of the busy hour, in Mbit/s and in packets a second.

A participant sends one stream to the engine and gets those of everybody else in the call: nothing
is mixed. Whether a relay stands between or not, what people receive leaves the cluster once.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from callfleet_operator.plan.sizing.inputs import RECEIVED_COST, Inputs
from callfleet_operator.plan.sizing.load import Load

SIGNALLING_KILOBYTES: Final = Decimal(50)
"""An hour and call, to clients (the source document, Server-Side Bandwidth)."""
DATABASE_KILOBYTES: Final = Decimal(200)
"""An hour and call (the same)."""


@dataclass(frozen=True, slots=True)
class Bandwidth:
    """Mbit/s with headers, unless said otherwise."""

    stream: Decimal
    """What one person sends."""
    received: Decimal
    """What one person gets."""
    engines_in: Decimal
    engines_out: Decimal
    relays_through: Decimal
    """What relays take in, and send on, of both directions together."""
    engine_packets: Decimal
    """A second, forwarded, and received ones at what they cost."""
    relay_packets: Decimal
    """A second, both directions."""
    signalling: Decimal
    database: Decimal


def bandwidth_of(inputs: Inputs, load: Load) -> Bandwidth:
    """The media and the rest."""
    stream = inputs.bitrate.kilobits * (1 + inputs.overhead_percent / 100) / 1000
    received = stream * (inputs.usage.people_per_call - 1)
    relayed = load.concurrent * inputs.relayed_percent / 100
    people = inputs.usage.people_per_call
    return Bandwidth(
        stream=stream,
        received=received,
        engines_in=load.concurrent * stream,
        engines_out=load.concurrent * received,
        relays_through=relayed * (stream + received),
        engine_packets=load.concurrent * inputs.bitrate.packets * (people - 1 + RECEIVED_COST),
        relay_packets=relayed * inputs.bitrate.packets * people,
        signalling=_megabits(load.erlangs * SIGNALLING_KILOBYTES),
        database=_megabits(load.erlangs * DATABASE_KILOBYTES),
    )


def _megabits(kilobytes_an_hour: Decimal) -> Decimal:
    return kilobytes_an_hour * 8 / 1000 / 3600
