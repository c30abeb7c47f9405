"""The flags of `callfleet plan`."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Flags; None is one that was not given."""

    users: int | None = None
    concurrent: int | None = None
    hours_per_month: Decimal | None = None
    busy_days: int | None = None
    busy_hour_percent: Decimal | None = None
    people_per_call: Decimal | None = None
    call_minutes: Decimal | None = None
    participants_per_pod: int | None = None
    target_percent: int | None = None
    new_call_limit_percent: int | None = None
    max_blocking_per_million: int | None = None
    bitrate: str | None = None
    audio_kbit: Decimal | None = None
    video_kbit: Decimal | None = None
    overhead_percent: Decimal | None = None
    pod_mbit: Decimal | None = None
    pod_packets: int | None = None
    relayed_percent: Decimal | None = None
    allocations_per_relay: int | None = None
    relay_packets: int | None = None
    relay_target_percent: int | None = None
    pod_price: Decimal | None = None
    relay_price: Decimal | None = None
    egress_price: Decimal | None = None
    other_monthly: Decimal | None = None
    currency: str | None = None
