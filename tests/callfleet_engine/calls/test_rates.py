"""Bit rates from real figures of streams."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import cast

from callfleet_engine.calls.call import Call
from callfleet_engine.calls.participant import Participant
from callfleet_engine.calls.rates import BitRates, StreamId
from callfleet_engine.media.interface import ParticipantStats
from tests.callfleet_engine.calls.test_sampling import INBOUND, OUTBOUND

IN, OUT = StreamId("published", 1), StreamId("subscribed", 1)


class Ada:
    """Counts how often somebody looks."""

    id = "ada"

    def __init__(self) -> None:
        self.stats = ParticipantStats((), ())
        self.looks = 0

    def statistics(self) -> ParticipantStats:
        self.looks += 1
        return self.stats


class OneCall:
    """Of Ada alone."""

    def __init__(self) -> None:
        self.ada = Ada()
        self.active_at = 0.0
        self.rates = BitRates()

    def __iter__(self) -> Iterator[Ada]:
        return iter((self.ada,))

    def quiet_since(self, moment: float) -> bool:
        return self.active_at <= moment

    def look(self, now: float, received: int, sent: int, active_at: float | None = None) -> None:
        self.active_at = now if active_at is None else active_at
        self.ada.stats = ParticipantStats(
            (replace(INBOUND, bytes_received=received),), (replace(OUTBOUND, bytes_sent=sent),)
        )
        self.rates.look(cast("Call", self), now)

    def rate(self, stream: StreamId) -> float | None:
        return self.rates.bits_per_second(cast("Participant", self.ada), stream)


def test_a_rate_is_known_after_two_looks() -> None:
    call = OneCall()
    assert call.rate(IN) is None
    call.look(100.0, 1000, 0)
    assert call.rate(IN) is None
    call.look(102.0, 3000, 0)
    assert call.rate(IN) == 8000
    assert call.rate(OUT) == 0
    call.look(104.0, 3000, 500)
    assert call.rate(IN) == 0
    assert call.rate(OUT) == 2000


def test_a_stream_that_began_anew_has_no_rate_yet() -> None:
    call = OneCall()
    call.look(0.0, 1000, 10)
    call.look(2.0, 100, 10)
    assert call.rate(IN) is None
    call.look(4.0, 1100, 10)
    assert call.rate(IN) == 4000


def test_streams_that_ended_are_forgotten() -> None:
    call = OneCall()
    call.look(0.0, 0, 0)
    call.look(1.0, 100, 0)
    call.ada.stats = ParticipantStats((), ())
    call.active_at = 2.0
    call.rates.look(cast("Call", call), 2.0)
    assert call.rate(IN) is None
    call.look(3.0, 200, 0)
    assert call.rate(IN) is None


def test_a_call_at_rest_is_not_looked_at_and_its_rates_fall_to_nothing() -> None:
    call = OneCall()
    call.look(0.0, 0, 0)
    call.look(5.0, 1000, 0)
    assert call.rate(IN) == 1600
    for now in (10.0, 15.0):
        call.look(now, 1000, 0, active_at=5.0)
        assert call.rate(IN) == 0
        assert call.rate(OUT) == 0
    assert call.ada.looks == 2
    call.look(20.0, 2000, 0)
    assert call.rate(IN) == 1600
    assert call.ada.looks == 3


def test_a_call_that_rests_from_its_beginning_has_no_rate_but_nothing() -> None:
    call = OneCall()
    call.look(0.0, 1000, 0)
    call.look(5.0, 1000, 0, active_at=0.0)
    assert (call.rate(IN), call.rate(OUT)) == (0, 0)
