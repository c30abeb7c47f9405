"""Bit rates from real figures of streams."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

from callfleet_engine.calls.call import Call
from callfleet_engine.calls.rates import BitRates, StreamId
from callfleet_engine.media.interface import ParticipantStats
from tests.callfleet_engine.calls.test_sampling import INBOUND, OUTBOUND


class Ada:
    id = "ada"
    stats = ParticipantStats((), ())

    def statistics(self) -> ParticipantStats:
        return self.stats


IN, OUT = StreamId("ada", "published", 1), StreamId("ada", "subscribed", 1)


def look(rates: BitRates, now: float, received: int, sent: int) -> None:
    ada = Ada()
    ada.stats = ParticipantStats(
        (replace(INBOUND, bytes_received=received),), (replace(OUTBOUND, bytes_sent=sent),)
    )
    rates.sample([cast("Call", [ada])], now)


def test_a_rate_is_known_after_two_looks() -> None:
    rates = BitRates()
    assert rates.bits_per_second(IN) is None
    look(rates, 100.0, 1000, 0)
    assert rates.bits_per_second(IN) is None
    look(rates, 102.0, 3000, 0)
    assert rates.bits_per_second(IN) == 8000
    assert rates.bits_per_second(OUT) == 0
    look(rates, 104.0, 3000, 500)
    assert rates.bits_per_second(IN) == 0
    assert rates.bits_per_second(OUT) == 2000


def test_a_stream_that_began_anew_has_no_rate_yet() -> None:
    rates = BitRates()
    look(rates, 0.0, 1000, 10)
    look(rates, 2.0, 100, 10)
    assert rates.bits_per_second(IN) is None
    look(rates, 4.0, 1100, 10)
    assert rates.bits_per_second(IN) == 4000


def test_streams_that_ended_are_forgotten() -> None:
    rates = BitRates()
    look(rates, 0.0, 0, 0)
    look(rates, 1.0, 100, 0)
    rates.sample([], 2.0)
    assert rates.bits_per_second(IN) is None
    look(rates, 3.0, 200, 0)
    assert rates.bits_per_second(IN) is None
