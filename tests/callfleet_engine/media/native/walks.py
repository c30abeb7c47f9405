"""Questions about streams: walks of packets that are lost, late, doubled and repeated."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

WALKS = 12
"""Of each kind."""


def step(chance: Random) -> int:
    """To the next packet's number: mostly one, at times a loss, a late one or a jump."""
    usual = chance.random() < 0.85
    return 1 if usual else chance.choice((2, 3, -1, -2, 0, 20, -20, 140, 300, 5000, 33000))


def inbound(chance: Random) -> Iterator[str]:
    """Order, loss, jitter and what is asked for again."""
    for _ in range(WALKS):
        yield f"inbound new {chance.choice((48000, 90000))}"
        number, now, stamp = chance.randrange(1 << 16), 100.0, chance.randrange(1 << 32)
        for _ in range(250):
            number += step(chance)
            now += chance.choice((0.0, 0.001, 0.01, 0.02, 0.15))
            stamp += chance.choice((0, 900, 3000, -3000))
            size = chance.randrange(1200)
            yield f"inbound add {number % 65536} {stamp % (1 << 32)} {now!r} {size}"
            if chance.random() < 0.3:
                yield f"inbound nack {now!r}"
            if chance.random() < 0.2:
                yield f"inbound recover {(number - chance.randrange(6)) % 65536} {now!r}"
            if chance.random() < 0.1:
                yield "inbound report"
        yield "inbound report"


def numbering(chance: Random) -> Iterator[str]:
    """A subscriber's numbers, and back."""
    for _ in range(WALKS):
        sent = 0x10000 + chance.randrange(1 << 15)
        yield f"numbering new {sent}"
        number = 0x10000 + chance.randrange(1 << 16)
        yield f"numbering begin {number}"
        for _ in range(800):
            chosen = chance.random()
            if chosen < 0.003:
                number = 0x10000 + chance.randrange(1 << 16)
                yield f"numbering begin {number}"
            elif chosen < 0.5:
                yield f"numbering skip {number}"
            else:
                yield f"numbering number {number}"
            number += step(chance) if chance.random() < 0.3 else 1
            if chance.random() < 0.3:
                yield f"numbering source {sent + chance.randrange(900)}"
            if chance.random() < 0.2:
                yield f"numbering number {number - chance.randrange(600)}"


def ring(chance: Random) -> Iterator[str]:
    """The last packets, bounded in number and age."""
    for size in (4, 300, 1400):
        yield "ring new"
        number = 0x10000
        for _ in range(1300):
            number += step(chance)
            text = chance.randbytes(4).hex()
            block = chance.choice(("-", text))
            times = chance.randrange(size)
            yield f"ring store {number} {chance.randrange(1 << 32)} {block} {text} {times}"
            yield f"ring find {number - chance.choice((0, 1, 5, 300, 511, 600, 640, 700))}"
            if chance.random() < 0.02:
                yield "ring tick"


def budget(chance: Random) -> Iterator[str]:
    """What may be sent again."""
    for _ in range(WALKS):
        yield "budget new"
        now = 0.0
        for _ in range(700):
            now += chance.choice((0.0, 0.001, 0.02))
            yield chance.choice(
                ("budget tick", f"budget earn {chance.randrange(20000)}", "budget tick")
            )
            trip = chance.choice((0.0, 0.05, 0.3))
            packet = f"{chance.randrange(3)} {chance.randrange(chance.choice((4, 400)))}"
            yield f"budget take {packet} {chance.randrange(3000)} {trip} {now!r}"


def recorder(chance: Random) -> Iterator[str]:
    """Transport-wide feedback of what arrives."""
    for _ in range(WALKS):
        yield "recorder new"
        number, now = chance.randrange(1 << 16), chance.uniform(0, 1e5)
        for _ in range(600):
            number += step(chance)
            now += (
                chance.choice((0.0, 0.0004, 0.01, 0.03, 0.3, 10.0))
                if chance.random() < 0.3
                else 0.002
            )
            yield f"recorder record {number % 65536} {now!r}"
            if chance.random() < 0.04:
                yield "recorder messages"
        yield "recorder messages"
        yield "recorder messages"


def rate(chance: Random) -> Iterator[str]:
    """Bit rates of a counter."""
    for _ in range(WALKS):
        yield "rate new"
        now, total = chance.uniform(0, 1e5), 0
        for _ in range(100):
            now += chance.choice((0.0, 0.1, 0.1, 0.1, 4.0))
            total += chance.randrange(200_000)
            yield f"rate sample {now!r} {total}"
