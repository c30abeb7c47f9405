"""Reads what `callfleet simulate` replays: the specs and the calls."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import click
from pydantic import ValidationError

from callfleet_operator.api.v1alpha1 import CallCluster
from callfleet_operator.cli.find import find_one
from callfleet_operator.cli.past import Source, rows_of
from callfleet_operator.cli.planning.manifest import parsed, read_manifest
from callfleet_operator.cli.session import Problem
from callfleet_operator.cli.target import Target
from callfleet_operator.gateway.resources import CALL_CLUSTERS
from callfleet_operator.gateway.user import UserKube
from callfleet_operator.observe.queries import Past
from callfleet_operator.simulate.csv_history import CsvError, read_csv
from callfleet_operator.simulate.durations import Durations, Exponential
from callfleet_operator.simulate.past import PastError, Span, durations, history, mean
from callfleet_operator.simulate.rules import broken_rules
from callfleet_operator.simulate.specs import SpecError, with_changes
from callfleet_operator.simulate.traffic import History, TooMuchError, Traffic, traffic

PEOPLE_PER_CALL: Final = 2.0
"""A telephone call, where nothing else is known."""
FILE_LIMIT: Final = 32 * 1024 * 1024
"""Octets."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What the command line says of the spec and the calls."""

    target: Target | None
    filename: Path | None
    changes: tuple[str, ...]
    csv: Path | None
    source: Source
    since: timedelta
    people_per_call: float | None
    call_minutes: float | None
    seed: int

    @property
    def given_durations(self) -> Durations | None:
        """None: not said."""
        return None if self.call_minutes is None else Exponential(self.call_minutes * 60)


@dataclass(frozen=True, slots=True)
class Ready:
    """All that a replay needs."""

    cluster: CallCluster
    before: CallCluster | None
    """Before the change, if there is one."""
    calls: Traffic
    notes: tuple[str, ...]


async def gather(asked: Asked, kube: UserKube | None, namespace: str) -> Ready:
    """Read all of it; without a `kube` from files and Prometheus alone, and `namespace` is that of
    objects that name none. Raises Problem."""
    present = None
    if kube is not None:
        namespace = kube.namespace
        present = await _live(kube, asked.target) if asked.target is not None else None
    cluster, before = _specs(asked, present, namespace or "default")
    calls, notes = await _calls(asked, kube, cluster)
    return Ready(cluster, before, calls, notes)


async def _live(kube: UserKube, target: Target) -> CallCluster:
    resource, body = await find_one(kube, target)
    if resource is not CALL_CLUSTERS:
        raise Problem(
            f"{target.name} is a {resource.kind}, and what is replayed are calls: name a "
            "CallCluster."
        )
    try:
        return CallCluster.model_validate(body)
    except ValidationError as unreadable:
        raise Problem(
            f"CallCluster {target.name} has a shape that this release does not know "
            f"({unreadable.errors()[0]['msg']}): use the callfleet of the operator's release."
        ) from unreadable


def _specs(
    asked: Asked, present: CallCluster | None, namespace: str
) -> tuple[CallCluster, CallCluster | None]:
    """The cluster as changed, and as it was if that is another one. Raises Problem."""
    base = present
    if asked.filename is not None:
        named = asked.target.name if asked.target is not None else ""
        base = read_manifest(
            _text(asked.filename), _where(asked.filename), name=named, namespace=namespace
        ).cluster
    if base is None:
        raise Problem("There is no CallCluster to replay: name one, or a file with one (-f).")
    changed = base
    if asked.changes:
        try:
            body = with_changes(base.to_api(), asked.changes)
        except SpecError as wrong:
            raise Problem(str(wrong)) from wrong
        changed = _cluster(parsed(body, "the changed spec", namespace=namespace))
    for broken in broken_rules(changed):
        raise Problem(f"CallCluster {changed.metadata.name}: {broken}.")
    before = present or base
    return changed, before if before.spec != changed.spec else None


def _cluster(made: object) -> CallCluster:
    if not isinstance(made, CallCluster):
        raise TypeError(f"a change has made another kind of it: {made!r}")
    return made


def _where(file: Path) -> str:
    return "standard input" if str(file) == "-" else str(file)


def _text(file: Path) -> str:
    where, most = _where(file), FILE_LIMIT
    try:
        with click.open_file(str(file), "rb") as stream:
            content: bytes = stream.read(most + 1)
        if len(content) > most:
            raise Problem(f"{where} has more than {most} octets: choose a shorter time.")
        return content.decode("utf-8")
    except OSError as unreadable:
        raise Problem(f"{where} cannot be read: {unreadable.strerror}.") from unreadable
    except UnicodeDecodeError as other:
        raise Problem(f"{where} is not UTF-8 (octet {other.start}): save it as UTF-8.") from other


async def _calls(
    asked: Asked, kube: UserKube | None, cluster: CallCluster
) -> tuple[Traffic, tuple[str, ...]]:
    """The calls to replay, and what to say of them. Raises Problem."""
    try:
        if asked.csv is not None:
            past, lasting, people, notes = _from_csv(asked, asked.csv)
        else:
            past, lasting, people, notes = await _from_prometheus(asked, kube, cluster)
        return traffic(past, lasting, people, seed=asked.seed), notes
    except CsvError as unreadable:
        raise Problem(f"{asked.csv}: {unreadable}") from unreadable
    except (PastError, TooMuchError) as unusable:
        raise Problem(str(unusable)) from unusable


_Found = tuple[History, Durations, float, tuple[str, ...]]


def _from_csv(asked: Asked, file: Path) -> _Found:
    past = read_csv(_text(file))
    lasting = asked.given_durations
    if lasting is None:
        raise Problem("A CSV file does not say how long calls last: add --call-minutes, the mean.")
    if asked.people_per_call is None:
        return past, lasting, PEOPLE_PER_CALL, (_ASSUMED_PEOPLE,)
    return past, lasting, asked.people_per_call, ()


_ASSUMED_PEOPLE: Final = (
    f"Calls are taken to have {PEOPLE_PER_CALL:g} people: say how many with --people-per-call."
)


async def _from_prometheus(asked: Asked, kube: UserKube | None, cluster: CallCluster) -> _Found:
    now = datetime.now(UTC).replace(second=0, microsecond=0)
    span = Span.until(now, asked.since)
    name = cluster.metadata.namespace, cluster.metadata.name
    found = await rows_of(asked.source, kube, name, span)
    past, filled = history(span, found[Past.BEGUN], found[Past.PARTICIPANTS])
    lasting = asked.given_durations or durations(found[Past.DURATION_BUCKETS])
    people = asked.people_per_call or mean(found[Past.SIZE_SUM], found[Past.SIZE_COUNT])
    notes: tuple[str, ...] = ()
    if filled:
        said = (
            f"Prometheus does not know {filled} of {span.steps} steps of this time: each is taken "
            "to be as the nearest one that it knows."
        )
        notes = (said,)
    if people is None:
        return past, lasting, PEOPLE_PER_CALL, (*notes, _ASSUMED_PEOPLE)
    return past, lasting, max(1.0, people), notes
