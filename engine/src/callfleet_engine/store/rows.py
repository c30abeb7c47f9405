"""Values of the interface from rows of tables, and the other way."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import Row

from callfleet_engine.store.interface import (
    Admission,
    CallRoute,
    LivePod,
    Participant,
    PodBeat,
    QualitySample,
    TurnProbe,
)
from callfleet_engine.store.schema import calls

ROUTE: Final = (
    calls.c.call_id,
    calls.c.room,
    calls.c.owner_uid,
    calls.c.owner_address,
    calls.c.epoch,
    calls.c.started_at,
    calls.c.released_at,
)
"""Columns of a route."""


def to_route(row: Row[*tuple[Any, ...]]) -> CallRoute:
    """A route from a row of ROUTE."""
    return CallRoute(
        call_id=row.call_id,
        room=row.room,
        owner_uid=row.owner_uid,
        owner_address=row.owner_address,
        epoch=row.epoch,
        started_at=row.started_at,
        released=row.released_at is not None,
    )


def to_participant(row: Row[*tuple[Any, ...]]) -> Participant:
    """A participant from a row of its table."""
    return Participant(
        participant_id=row.participant_id,
        identity=row.identity,
        name=row.name,
        resume_digest=row.resume_digest or "",
    )


def joining_row(call_id: str, participant: Participant) -> dict[str, object]:
    """The row of a participant, but for the time of joining."""
    return {
        "call_id": call_id,
        "participant_id": participant.participant_id,
        "identity": participant.identity,
        "name": participant.name,
        "resume_digest": participant.resume_digest or None,
    }


def to_live_pod(row: Row[*tuple[Any, ...]]) -> LivePod:
    """A pod from a row of its table."""
    return LivePod(
        PodBeat(
            uid=row.uid,
            name=row.name,
            address=row.address,
            admission=Admission(row.admission),
            participants=row.participants,
            pending_joins=row.pending_joins,
            capacity=row.capacity,
            release=row.release,
        ),
        at=row.at,
    )


def sample_row(sample: QualitySample) -> dict[str, object]:
    """The row of a sample."""
    return {
        "call_id": sample.call_id,
        "participant_id": sample.participant_id,
        "direction": sample.direction.value,
        "at": sample.at,
        "packets": sample.packets,
        "packets_lost": sample.packets_lost,
        "jitter_seconds": sample.jitter_seconds,
        "round_trip_seconds": sample.round_trip_seconds,
        "bits_per_second": sample.bits_per_second,
    }


def probe_row(probe: TurnProbe) -> dict[str, object]:
    """What a probe adds to its relay's hour."""
    failed = probe.latency_seconds is None
    return {
        "server": probe.server,
        "probes": 1,
        "failures": int(failed),
        "latency_seconds_sum": probe.latency_seconds or 0.0,
        "latency_seconds_max": probe.latency_seconds,
    }
