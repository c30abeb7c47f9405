"""Whether to send padding beside the media, to learn if a path carries more. Pure but for state.

Nobody knows of a path more than what was sent over it. Before a video is raised to a layer that
may not fit, padding is carried along at its rate; if the path shows a limit, nothing was frozen,
and the next attempt waits longer.
"""

from __future__ import annotations

PROBE_SECONDS = 2.0
FIRST_PAUSE_SECONDS = 3.0
MAX_PAUSE_SECONDS = 60.0
MAX_FACTOR = 1.5
"""A probe sends at most so many times what the path is known to carry, or MIN_RATE."""
MIN_RATE = 100_000.0


class Prober:
    """When one transport is probed, and with how much."""

    def __init__(self) -> None:
        self._until: float | None = None
        self._start_estimate = 0.0
        self._not_before = 0.0
        self._pause = FIRST_PAUSE_SECONDS

    def rate(self, *, estimate: float | None, next_step: float | None, now: float) -> float:
        """How much to send in all, in bit/s: 0 if no padding is wanted.

        `next_step` would be needed to give out more than is given out now.
        """
        if estimate is None or next_step is None or next_step <= estimate:
            self._stop(now, succeeded=True)
            return 0.0
        if self._until is None:
            if now < self._not_before:
                return 0.0
            self._until = now + PROBE_SECONDS
            self._start_estimate = estimate
        elif estimate < self._start_estimate:
            self._stop(now, succeeded=False)
            return 0.0
        elif now > self._until:
            self._stop(now, succeeded=estimate > self._start_estimate)
            return 0.0
        return min(next_step, max(MAX_FACTOR * estimate, MIN_RATE))

    def _stop(self, now: float, *, succeeded: bool) -> None:
        if self._until is None:
            return
        self._until = None
        self._pause = FIRST_PAUSE_SECONDS if succeeded else min(2 * self._pause, MAX_PAUSE_SECONDS)
        self._not_before = now + (0.0 if succeeded else self._pause)
