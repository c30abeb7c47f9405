"""What a plan is made from. All figures are exact decimals; None means not known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from types import MappingProxyType
from typing import Final

ANALYSIS: Final = "the source document's table Per Call Bandwidth"
"""Where the bit rates of the profiles come from."""
OVERHEAD_PERCENT: Final = Decimal(5)
"""IP, UDP, SRTP and TURN headers over media, as the source document has it for TURN. At the
measured 141 packets and 902 kbit/s a second of 640x360 (docs/capacity.md) 48 bytes a packet
(IPv4 20, UDP 8, SRTP tag 16, ChannelData 4) are 6 %."""
ALLOCATIONS_PER_PERSON: Final = 2
"""One for each of a client's two peer connections."""
POD_MEGABITS: Final = Decimal(1000)
"""Mbit/s that an engine sends at full load: where its egress stress is 1."""
ENGINE_PACKETS: Final = 200_000
"""Packets a second that an engine forwards at full load: where its packet stress is 1, on one
core and with the native plane (docs/capacity.md has the measurement behind it)."""
RECEIVED_COST: Final = Decimal("3.5")
"""What a received packet costs an engine beside a forwarded one, of the same measurement."""
RELAY_PACKETS: Final = 30_000
"""Packets a second of a full relay, both directions: default of --sustainable-packet-rate."""
AUDIO_PACKETS: Final = 50
"""A second: Opus in frames of 20 ms."""
VIDEO_PACKET_BYTES: Final = Decimal(1089)
"""Mean of the measured 640x360: 793 kbit/s in 91 packets a second."""


class SizingError(ValueError):
    """Inputs that contradict one another or exceed any spec; the text says what to change."""


@dataclass(frozen=True, slots=True)
class Bitrate:
    """What one person publishes."""

    name: str
    audio_kilobits: Decimal
    video_kilobits: Decimal

    @property
    def kilobits(self) -> Decimal:
        """kbit/s of one person's stream, without headers."""
        return self.audio_kilobits + self.video_kilobits

    @property
    def packets(self) -> Decimal:
        """Packets a second of one person's stream."""
        audio = Decimal(AUDIO_PACKETS) if self.audio_kilobits else Decimal(0)
        return audio + self.video_kilobits * 1000 / 8 / VIDEO_PACKET_BYTES


BITRATES: Final[Mapping[str, Bitrate]] = MappingProxyType(
    {
        name: Bitrate(name, Decimal(audio), Decimal(video))
        for name, audio, video in (
            ("audio", 64, 0),
            ("360p", 32, 150),
            ("480p", 48, 300),
            ("720p", 64, 800),
            ("1080p", 96, 1500),
        )
    }
)
"""Of `ANALYSIS`."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Who calls, how long and how much of it at once. At least one of `users` and `concurrent`."""

    users: Decimal | None
    concurrent: Decimal | None
    """People in calls at a time, mean of the busy hour."""
    hours_per_month: Decimal
    """Hours that one user is in calls."""
    busy_days: int
    """Days of a month that the hours spread over."""
    busy_hour_percent: Decimal
    """Part of a day's hours that falls in its busiest hour."""
    people_per_call: Decimal
    call_minutes: Decimal


@dataclass(frozen=True, slots=True)
class EngineTerms:
    """`spec` of a CallCluster as far as a plan rests on it."""

    participants_per_pod: int
    target_percent: int
    new_call_limit_percent: int
    max_blocking_per_million: int
    min_pods: int = 1
    max_pods: int | None = None
    """None: as many as are needed."""
    pod_megabits: Decimal = POD_MEGABITS
    packets_per_second: int = ENGINE_PACKETS
    connections_per_pod: int | None = None
    """Database connections; None without a database server."""


@dataclass(frozen=True, slots=True)
class PoolTerms:
    """`spec` of a TurnPool as far as a plan rests on it."""

    name: str
    allocations_per_pod: int
    target_percent: int
    min_pods: int = 1
    max_pods: int | None = None
    packets_per_second: int = RELAY_PACKETS
    pod_monthly: Decimal | None = None
    egress_per_gb: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Prices:
    """A month's prices of the engines, in one currency for everything."""

    currency: str
    pod_monthly: Decimal | None = None
    egress_per_gb: Decimal | None = None
    """Of 1e9 bytes."""
    other_monthly: Decimal | None = None
    """Database, load balancer and all else that does not grow with pods; None: not counted."""


@dataclass(frozen=True, slots=True)
class Inputs:
    """Everything."""

    usage: Usage
    bitrate: Bitrate
    overhead_percent: Decimal
    relayed_percent: Decimal
    """People whose media go through relays."""
    engines: EngineTerms
    pools: tuple[PoolTerms, ...]
    prices: Prices

    def checked(self) -> Inputs:
        """Itself; raises SizingError if it contradicts itself."""
        engines = self.engines
        if engines.new_call_limit_percent <= engines.target_percent:
            raise SizingError(
                f"The limit for new calls ({engines.new_call_limit_percent} %) is not above the "
                f"target ({engines.target_percent} %), so pods would refuse calls before more are "
                "asked for: raise --new-call-limit-percent or lower --target-percent."
            )
        if self.usage.people_per_call > engines.participants_per_pod:
            raise SizingError(
                f"A call of {self.usage.people_per_call} people does not fit into a pod of "
                f"{engines.participants_per_pod}, and a call cannot span pods: lower "
                "--people-per-call or raise --participants-per-pod."
            )
        for name, least, most in (
            ("The CallCluster", engines.min_pods, engines.max_pods),
            *((f"TurnPool {pool.name}", pool.min_pods, pool.max_pods) for pool in self.pools),
        ):
            if most is not None and least > most:
                raise SizingError(
                    f"{name} has minReplicas {least} above maxReplicas {most}: lower minReplicas "
                    "or raise maxReplicas."
                )
        if self.relayed_percent and not self.pools:
            raise SizingError(
                f"{self.relayed_percent} % are relayed, but the CallCluster names no TurnPool: add "
                "one to turn.poolRefs, or, where clients reach engines without (exposure.type "
                "HostPort), say --relayed-percent 0."
            )
        return self
