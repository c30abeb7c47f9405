"""The media plane whose packets are moved in Rust."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from callfleet_engine.media.advertised import Advertised
from callfleet_engine.media.interface import MediaCounters
from callfleet_engine.media.native.forwarding import NativeForwarding
from callfleet_engine.media.native.port import NativePort
from callfleet_engine.media.native.totals import NativeTotals, read_totals
from callfleet_engine.media.plane import AiortcPlane


class NativePlane(AiortcPlane):
    """See `MediaPlane`."""

    name = "native"
    threads = 2
    media_port: NativePort
    totals: NativeTotals
    forwarding: NativeForwarding

    def _new_port(self, advertised: Callable[[], Sequence[Advertised]]) -> NativePort:
        return NativePort(advertised, consent_seconds=self.settings.consent_seconds)

    def _new_totals(self) -> NativeTotals:
        return NativeTotals()

    def _new_forwarding(self) -> NativeForwarding:
        return NativeForwarding(self.media_port, self.settings.max_video_bitrate)

    def _media_cpu_seconds(self) -> float:
        return self.media_port.cpu_seconds()

    def counters(self) -> MediaCounters:
        """Totals for metrics."""
        self._refresh()
        return super().counters()

    def _refresh(self) -> None:
        if self.media_port.number:
            self.totals.take(read_totals(self.media_port.plane))

    def _tick(self) -> None:
        self._refresh()
        self.forwarding.tick(asyncio.get_running_loop().time())
        super()._tick()
