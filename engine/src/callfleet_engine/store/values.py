"""What may go into a column: checked before it is sent, so that no database error has to tell."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable

from callfleet_engine.store.interface import (
    IDENTIFIER_LENGTH,
    NAME_LENGTH,
    ROOM_LENGTH,
    InvalidValue,
    Joining,
    Owner,
    Participant,
    PodBeat,
    QualitySample,
    TurnProbe,
)

_LARGEST = 2**63 - 1


_NOT_STORABLE = re.compile("[\x00\ud800-\udfff]")


def check_room(room: str) -> None:
    """Raises InvalidValue unless the store can hold it."""
    _text("room", room, ROOM_LENGTH)


def check_identifier(field: str, value: str) -> None:
    """Raises InvalidValue unless the store can hold it."""
    _text(field, value, IDENTIFIER_LENGTH)


def check_owner(owner: Owner) -> None:
    """Raises InvalidValue unless the store can hold it."""
    check_identifier("owner's uid", owner.uid)
    _text("owner's address", owner.address, NAME_LENGTH)


def check_participant(participant: Participant) -> None:
    """Raises InvalidValue unless the store can hold it."""
    check_identifier("participant", participant.participant_id)
    _text("identity", participant.identity, NAME_LENGTH)
    _text("name", participant.name, NAME_LENGTH, may_be_empty=True)
    _text("resume digest", participant.resume_digest, IDENTIFIER_LENGTH, may_be_empty=True)


def is_valid(joining: Joining) -> bool:
    """Whether the store can hold it."""
    try:
        check_identifier("call", joining.call_id)
        check_participant(joining.participant)
    except InvalidValue:
        return False
    return True


def check_beat(pod: PodBeat) -> None:
    """Raises InvalidValue unless the store can hold it."""
    check_identifier("pod's uid", pod.uid)
    _text("pod's name", pod.name, NAME_LENGTH)
    _text("pod's address", pod.address, NAME_LENGTH)
    check_identifier("release", pod.release)


def check_sample(sample: QualitySample) -> None:
    """Raises InvalidValue unless the store can hold it and average it."""
    check_identifier("call", sample.call_id)
    check_identifier("participant", sample.participant_id)
    if sample.at.tzinfo is None:
        raise InvalidValue("The time of a quality sample has no time zone.", "Give an aware one.")
    if not 0 <= sample.packets <= _LARGEST or abs(sample.packets_lost) > _LARGEST:
        raise InvalidValue("The packets of a quality sample are out of range.", "Count from 0.")
    _measures(
        "quality sample",
        (sample.jitter_seconds, sample.round_trip_seconds, sample.bits_per_second),
    )


def check_probe(probe: TurnProbe) -> None:
    """Raises InvalidValue unless the store can hold it."""
    _text("relay's URL", probe.server, NAME_LENGTH)
    _measures("TURN probe", (probe.latency_seconds,))


def _measures(what: str, values: Iterable[float | None]) -> None:
    for value in values:
        if value is not None and not (math.isfinite(value) and value >= 0):
            raise InvalidValue(
                f"A {what} holds {value}.", "Give a finite number from 0 on, or None for unknown."
            )


def _text(field: str, value: str, limit: int, *, may_be_empty: bool = False) -> None:
    if not value and not may_be_empty:
        raise InvalidValue(f"The {field} is empty.", "Give at least one character.")
    if len(value) > limit:
        raise InvalidValue(
            f"The {field} has {len(value)} characters.", f"At most {limit} can be stored."
        )
    if _NOT_STORABLE.search(value):
        raise InvalidValue(
            f"The {field} holds a character that cannot be stored.",
            "Leave out NUL and unpaired surrogates.",
        )
