"""How near this process is to what it can bear, from measured things. 1 is full.

Each ratio is a mean over the last `WINDOW` seconds:

- packets: packets relayed a second, both directions, over the sustainable rate that was set
- cpu: CPU seconds of this process over those that the threads which relay could have, a
  core each or the cgroup's quota, whichever is less
- loop: mean delay with which the event loop ran a timer, over `FULL_LAG`
"""

from __future__ import annotations

import os
from collections import deque
from dataclasses import dataclass
from pathlib import Path

WINDOW = 10
SAMPLE_SECONDS = 1.0
LAG_SAMPLE_SECONDS = 0.1
FULL_LAG = 0.020
"""Seconds: the time between two packets of an audio stream."""


@dataclass(frozen=True, slots=True)
class Stress:
    """Ratios of what the process can bear."""

    packets: float = 0.0
    cpu: float = 0.0
    loop: float = 0.0

    def as_dict(self) -> dict[str, float]:
        """By the names of the contracts."""
        return {"packets": self.packets, "cpu": self.cpu, "loop": self.loop}


@dataclass(frozen=True, slots=True)
class _Sample:
    at: float
    packets: int
    cpu_seconds: float
    lag: float


class StressMeter:
    """Turns totals into ratios over a sliding window."""

    def __init__(self, *, sustainable_packet_rate: float, cores: float) -> None:
        self._rate = sustainable_packet_rate
        self._cores = cores
        self._samples: deque[_Sample] = deque(maxlen=WINDOW + 1)
        self._lags: list[float] = []

    def lag(self, seconds: float) -> None:
        """A timer ran so much too late."""
        self._lags.append(max(0.0, seconds))

    def sample(self, now: float, packets: int, cpu_seconds: float) -> None:
        """Totals at monotonic second `now`."""
        lag = sum(self._lags) / len(self._lags) if self._lags else 0.0
        self._lags.clear()
        self._samples.append(_Sample(now, packets, cpu_seconds, lag))

    def stress(self) -> Stress:
        """Ratios over the window; zeros before there are two samples."""
        if len(self._samples) < 2:
            return Stress()
        first, *later = self._samples
        last = later[-1]
        seconds = max(last.at - first.at, 1e-9)
        return Stress(
            packets=(last.packets - first.packets) / seconds / self._rate,
            cpu=(last.cpu_seconds - first.cpu_seconds) / seconds / self._cores,
            loop=sum(sample.lag for sample in later) / len(later) / FULL_LAG,
        )


def cores_for(threads: int, cgroup: Path = Path("/sys/fs/cgroup")) -> float:
    """Cores that so many threads may use: one each, or the cgroup's quota where that is less."""
    return min(float(threads), float(len(os.sched_getaffinity(0))), _quota(cgroup))


def _quota(cgroup: Path) -> float:
    """Cores of the CPU controller, version 2 or 1; infinity without a limit."""
    unified = cgroup / "cpu.max"
    quota_file, period_file = (cgroup / "cpu" / f"cpu.cfs_{x}_us" for x in ("quota", "period"))
    if unified.is_file():
        quota, period = unified.read_text().split()
    elif quota_file.is_file() and period_file.is_file():
        quota, period = quota_file.read_text(), period_file.read_text()
    else:
        return float("inf")
    if quota.strip() in {"max", "-1"}:
        return float("inf")
    return int(quota) / int(period)
