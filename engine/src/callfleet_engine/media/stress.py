"""How full the plane is (contracts: `stress`). No I/O but for `cores_allowed`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from callfleet_engine.media.interface import Stress

RECEIVED_COST = 3.5
"""What a received packet costs beside a forwarded one. Measured by tests/bench/engine_capacity:
calls of 2, 3 and 6 then come to the same figure at a full core, within 5 %."""

FORWARDS_PER_CORE: Mapping[str, float] = MappingProxyType({"python": 95_000, "native": 200_000})
"""Packets a second at which a core is full, by the plane's name; a received one counts as
`RECEIVED_COST`. Measured: docs/capacity.md."""

AVERAGE_SECONDS = 5.0
LATE_SECONDS = 0.05
"""A loop that is late by this much on average is full: audio packets come every 20 ms."""


def cores_allowed(cpu_max: str, *, threads: int = 1) -> float:
    """Cores that the plane can use: one for each of its threads, less under a quota of cgroup v2.

    `cpu_max` is the text of `cpu.max`, microseconds of quota (or `max`) and period; empty if
    there is none.
    """
    fields = cpu_max.split()
    if len(fields) != 2 or not all(f.isdigit() for f in fields) or int(fields[1]) == 0:
        return float(threads)
    return min(int(fields[0]) / int(fields[1]), threads) or float(threads)


def read_cpu_max(path: Path = Path("/sys/fs/cgroup/cpu.max")) -> str:
    """The text of `cpu.max`, empty where cgroup v2 has none (the root, cgroup v1)."""
    try:
        return path.read_text(encoding="ascii")
    except OSError:
        return ""


class StressMeter:
    """Exponential averages over five seconds of what each tick measured."""

    def __init__(
        self, *, forwards_per_core: float, egress_bits_per_second: float, cores: float
    ) -> None:
        # Packets are moved by one thread, whatever others do.
        self._media_cores = min(cores, 1.0)
        self._forwards_per_second = forwards_per_core * self._media_cores
        self._egress_bits_per_second = egress_bits_per_second
        self._cores = cores
        self._values: dict[str, float] = dict.fromkeys(Stress.__required_keys__, 0.0)

    def observe(
        self,
        *,
        elapsed: float,
        received: int,
        forwarded: int,
        bytes_sent: int,
        cpu_seconds: float,
        media_cpu_seconds: float,
        late: float,
    ) -> None:
        """One tick: packets and bytes of `elapsed` seconds, CPU used by the process and by the
        thread that moves packets, and how late it came."""
        weight = 1 - math.exp(-elapsed / AVERAGE_SECONDS)
        measured = {
            "packets": (RECEIVED_COST * received + forwarded) / elapsed / self._forwards_per_second,
            "cpu": max(cpu_seconds / self._cores, media_cpu_seconds / self._media_cores) / elapsed,
            "loop": late / LATE_SECONDS,
            "egress": bytes_sent * 8 / elapsed / self._egress_bits_per_second,
        }
        for resource, value in measured.items():
            self._values[resource] += weight * (value - self._values[resource])

    def stress(self) -> Stress:
        """The averages."""
        v = self._values
        return Stress(packets=v["packets"], cpu=v["cpu"], loop=v["loop"], egress=v["egress"])
