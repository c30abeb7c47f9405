"""What is measured and looked at in the background while a relay runs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from functools import partial

from callfleet_relay.stress import (
    LAG_SAMPLE_SECONDS,
    SAMPLE_SECONDS,
    StressMeter,
    cores_for,
)


class Measuring:
    """Samples load every second, and more often how late the loop is."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        *,
        sustainable_packet_rate: int,
        threads: int,
        packets: Callable[[], int],
        every_second: Callable[[], None],
    ) -> None:
        """`threads`: that relay; `packets`: relayed so far.

        `every_second` is called beside the samples.
        """
        self.meter = StressMeter(
            sustainable_packet_rate=sustainable_packet_rate, cores=cores_for(threads)
        )
        self._loop = loop
        self._packets = packets
        self._every_second = every_second
        self._sample()
        self._schedule_lag()

    def close(self) -> None:
        """Measure no more."""
        self._tick.cancel()
        self._lag.cancel()

    def _sample(self) -> None:
        self._tick = self._loop.call_later(SAMPLE_SECONDS, self._sample)
        self.meter.sample(time.monotonic(), self._packets(), time.process_time())
        self._every_second()

    def _schedule_lag(self) -> None:
        due = time.monotonic() + LAG_SAMPLE_SECONDS
        self._lag = self._loop.call_later(LAG_SAMPLE_SECONDS, partial(self._measure_lag, due))

    def _measure_lag(self, due: float) -> None:
        self.meter.lag(time.monotonic() - due)
        self._schedule_lag()
