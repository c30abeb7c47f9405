"""Limits that may change while the relay runs, from a file of their own.

`{"version": 1, "maxAllocations": 500}`: each field is the flag of its name and takes its place;
what the file does not have is as the flags say.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass

from pydantic import ValidationError
from pydantic.alias_generators import to_snake

from callfleet_relay.files import allow_files
from callfleet_relay.peer_connections import PeerConnections
from callfleet_relay.quota import AllocationQuota
from callfleet_relay.settings import Settings, describe
from callfleet_relay.transport.connections import StreamLimits

CHANGEABLE = (
    "max_allocations",
    "max_allocations_per_user",
    "max_connections",
    "max_connections_per_address",
    "idle_limit",
    "log_level",
)


@dataclass(frozen=True, slots=True)
class Limits:
    """What a limits file says."""

    settings: Settings
    """The settings with these limits."""
    taken: dict[str, object]
    needs_restart: list[str]
    """Fields that only a start can change."""
    unknown: list[str]


def read_limits(text: str, settings: Settings) -> Limits:
    """Limits of a file over the settings of the start. Raises ValueError."""
    try:
        given = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"it is no JSON: {error}") from error
    if not isinstance(given, dict):
        raise ValueError(  # noqa: TRY004 - of the text, not of the argument
            'it is no JSON object: write {"version": 1, "maxAllocations": 500}'
        )
    fields = {to_snake(name): name for name in given if name != "version"}
    taken = {field: given[fields[field]] for field in CHANGEABLE if field in fields}
    try:
        # Validated as one: what a limit may be depends on the others.
        changed = Settings.model_validate(settings.model_dump(mode="json") | taken)
    except ValidationError as error:
        raise ValueError(describe(error)) from error
    rest = [field for field in fields if field not in CHANGEABLE]
    return Limits(
        settings=changed,
        taken={fields[field]: value for field, value in taken.items()},
        needs_restart=[fields[field] for field in rest if field in Settings.model_fields],
        unknown=[fields[field] for field in rest if field not in Settings.model_fields],
    )


def stream_limits(settings: Settings) -> StreamLimits:
    """What TCP and TLS connections may take by these settings."""
    return StreamLimits(
        total=settings.max_connections,
        per_source=settings.max_connections_per_address,
        idle_seconds=settings.idle_limit,
    )


def enforce(
    settings: Settings, *, quota: AllocationQuota, streams: StreamLimits, peers: PeerConnections
) -> None:
    """Let what runs keep to the limits of these settings from now on.

    Raises ValueError where the process may not open as many files as they can need.
    """
    allow_files(settings.files)
    quota.capacity = settings.max_allocations
    quota.per_user = settings.max_allocations_per_user
    peers.limit = settings.max_peer_connections
    streams.take(stream_limits(settings))
    logging.getLogger().setLevel(settings.log_level.upper())
