"""The decisions that are kept beside an object, and their form as text. Pure.

Contract: docs/reference/contracts.md, "Decisions". Readers ignore fields they do not know; a text
of another version is refused, as its fields may mean something else.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Annotated, Final

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from callfleet_operator.plan.decision import Decision, Proposal, StageRecord

VERSION: Final = 1
KEPT: Final = 20
"""Decisions of one object."""
LARGEST: Final = 512 * 1024
"""Octets of the text: half of what a ConfigMap may hold."""
_LONGEST_MESSAGE: Final = 2048
_LONGEST_WORD: Final = 64
_MOST_STAGES: Final = 32
_MOST_PODS: Final = 2**31 - 1


class HistoryError(ValueError):
    """A text that holds no decisions of this version."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """One decision that changed a number of open pods."""

    number: int
    """Counts the decisions of one object, from 1 on, across restarts of the operator."""
    at: datetime
    before: int
    after: int
    dry_run: bool
    """Taken with mode DryRun: the numbers are those that Active would have steered to."""
    stage: str
    reason: str
    message: str
    trace: tuple[StageRecord, ...]


def recorded(
    decision: Decision, *, number: int, at: datetime, before: int, after: int, dry_run: bool
) -> Recorded:
    """A decision as it is kept, its texts cut to what the text may hold."""
    record = decision.decisive
    return Recorded(
        number=number,
        at=at.astimezone(UTC),
        before=before,
        after=after,
        dry_run=dry_run,
        stage=_cut(record.stage, _LONGEST_WORD),
        reason=_cut(record.reason, _LONGEST_WORD),
        message=_cut(explanation(decision), _LONGEST_MESSAGE),
        trace=tuple(
            replace(
                one,
                stage=_cut(one.stage, _LONGEST_WORD),
                reason=_cut(one.reason, _LONGEST_WORD),
                message=_cut(one.message, _LONGEST_MESSAGE),
            )
            for one in decision.trace[:_MOST_STAGES]
        ),
    )


def explanation(decision: Decision) -> str:
    """Why the number is what it is: the decisive stage, and what limits it."""
    record = decision.decisive
    if decision.limited is None or decision.limited is record:
        return record.message
    return f"{record.message} {decision.limited.message}"


def following(past: tuple[Recorded, ...]) -> int:
    """The number of the next decision."""
    return past[-1].number + 1 if past else 1


def encode(decisions: Iterable[Recorded]) -> str:
    """The newest decisions as text, oldest first: at most KEPT, and LARGEST octets."""
    kept = [_Entry.of(one) for one in tuple(decisions)[-KEPT:]]
    while True:
        stored = _Stored(version=VERSION, decisions=tuple(kept))
        text = stored.model_dump_json(by_alias=True) + "\n"
        if len(text.encode()) <= LARGEST or len(kept) <= 1:
            return text
        del kept[0]


def decode(text: str) -> tuple[Recorded, ...]:
    """The decisions in a text, oldest first; raises HistoryError."""
    try:
        version = _Head.model_validate_json(text).version
        if version != VERSION:
            raise HistoryError(f"written in version {version}, this release reads {VERSION}")
        return tuple(one.to_recorded() for one in _Stored.model_validate_json(text).decisions)
    except ValidationError as unreadable:
        first = unreadable.errors()[0]
        where = ".".join(map(str, first["loc"])) or "text"
        raise HistoryError(f"{where}: {first['msg']}") from unreadable


def _cut(text: str, most: int) -> str:
    # A lone surrogate, as in a file name that is no UTF-8, could not be stored.
    sound = str(text).encode(errors="replace").decode()
    return sound if len(sound) <= most else f"{sound[: most - 3]}..."


_Word = Annotated[str, Field(max_length=_LONGEST_WORD)]
_Message = Annotated[str, Field(max_length=_LONGEST_MESSAGE)]
_Pods = Annotated[int, Field(ge=0, le=_MOST_PODS)]


class _Part(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="ignore", alias_generator=to_camel, populate_by_name=True
    )


class _Head(_Part):
    version: int


class _Range(_Part):
    low: _Pods
    high: _Pods

    @classmethod
    def of(cls, proposal: Proposal) -> _Range:
        return cls(low=min(proposal.low, _MOST_PODS), high=min(proposal.high, _MOST_PODS))

    def to_proposal(self) -> Proposal:
        return Proposal(self.low, self.high)


class _Stage(_Part):
    stage: _Word
    before: _Range
    after: _Range
    reason: _Word
    message: _Message


class _Entry(_Part):
    number: Annotated[int, Field(ge=1)]
    time: AwareDatetime
    before: _Pods
    after: _Pods
    dry_run: bool = False
    stage: _Word
    reason: _Word
    message: _Message
    trace: Annotated[tuple[_Stage, ...], Field(max_length=_MOST_STAGES)] = ()

    @classmethod
    def of(cls, one: Recorded) -> _Entry:
        return cls(
            number=one.number,
            time=one.at,
            before=one.before,
            after=one.after,
            dry_run=one.dry_run,
            stage=one.stage,
            reason=one.reason,
            message=one.message,
            trace=tuple(
                _Stage(
                    stage=record.stage,
                    before=_Range.of(record.before),
                    after=_Range.of(record.after),
                    reason=record.reason,
                    message=record.message,
                )
                for record in one.trace
            ),
        )

    def to_recorded(self) -> Recorded:
        return Recorded(
            number=self.number,
            at=self.time.astimezone(UTC),
            before=self.before,
            after=self.after,
            dry_run=self.dry_run,
            stage=self.stage,
            reason=self.reason,
            message=self.message,
            trace=tuple(
                StageRecord(
                    one.stage,
                    one.before.to_proposal(),
                    one.after.to_proposal(),
                    one.reason,
                    one.message,
                )
                for one in self.trace
            ),
        )


class _Stored(_Part):
    version: int
    decisions: Annotated[tuple[_Entry, ...], Field(max_length=KEPT)] = ()
