"""`callfleet simulate`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import click
from pydantic import ValidationError

from callfleet_operator.api.v1alpha1 import CallCluster
from callfleet_operator.cli.doctor import OPERATOR_NAMESPACE
from callfleet_operator.cli.find import find_one
from callfleet_operator.cli.output import emit, output_option, show
from callfleet_operator.cli.past import Source, rows_of
from callfleet_operator.cli.planning.manifest import parsed, read_manifest
from callfleet_operator.cli.session import Problem, Session, with_session
from callfleet_operator.cli.target import Target, TargetType
from callfleet_operator.cli.views.simulate import for_programs, rows, screen
from callfleet_operator.cli.views.words import duration
from callfleet_operator.gateway.resources import CALL_CLUSTERS
from callfleet_operator.gateway.user import UserKube
from callfleet_operator.observe.queries import Past
from callfleet_operator.simulate.comparison import Comparison, compare
from callfleet_operator.simulate.csv_history import CsvError, read_csv
from callfleet_operator.simulate.durations import Durations, Exponential
from callfleet_operator.simulate.past import PastError, Span, durations, history, mean
from callfleet_operator.simulate.replay import Assumptions
from callfleet_operator.simulate.specs import SpecError, contradictions, with_changes
from callfleet_operator.simulate.traffic import History, TooMuchError, Traffic, traffic

PEOPLE_PER_CALL: Final = 2.0
"""A telephone call, where nothing else is known."""
CSV_LIMIT: Final = 32 * 1024 * 1024
CHARTS: Final = (".png", ".html")

EXAMPLES: Final = """
\b
Examples:
  callfleet simulate calls --set spec.scaling.targetUtilizationPercent=60
  callfleet simulate calls -f changed.yaml --since 7d --chart week.png
  callfleet simulate -f calls.yaml --csv day.csv --call-minutes 45 -o json
"""


@dataclass(frozen=True, slots=True)
class _Asked:
    """What the command line says of the calls."""

    csv: Path | None
    source: Source
    since: timedelta
    people_per_call: float | None
    call_minutes: float | None
    seed: int

    @property
    def given_durations(self) -> Durations | None:
        return None if self.call_minutes is None else Exponential(self.call_minutes * 60)


class _Duration(click.ParamType[timedelta]):
    name = "DURATION"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> timedelta:
        if isinstance(value, timedelta):
            return value
        try:
            return duration(str(value))
        except ValueError as problem:
            self.fail(f"{value!r}: {problem}", param, ctx)


@click.command(epilog=EXAMPLES)
@click.argument("target", type=TargetType(), required=False, metavar="[NAME]")
@click.option(
    "-f",
    "--filename",
    type=click.Path(path_type=Path, dir_okay=False, exists=True, allow_dash=True),
    help="A file with the changed CallCluster, or - for standard input. Default: the live one.",
)
@click.option(
    "--set",
    "changes",
    metavar="PATH=VALUE",
    multiple=True,
    help="Change a field of the spec; may be repeated. A list is set as a whole, as YAML.",
)
@click.option(
    "--csv",
    "csv_file",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="Replay this instead of Prometheus' history: a header time,participants or time,calls.",
)
@click.option(
    "--since",
    type=_Duration(),
    default="24h",
    show_default=True,
    help="How much of Prometheus' history, up to now.",
)
@click.option(
    "--prometheus-url",
    default="",
    help="Address of Prometheus from here. Default: the operator's, through the API server.",
)
@click.option(
    "--prometheus-token-file",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="File with a bearer token for it.",
)
@click.option(
    "--operator-namespace",
    default=OPERATOR_NAMESPACE,
    show_default=True,
    help="Where the operator is installed.",
)
@click.option(
    "--call-minutes",
    type=click.FloatRange(0.1, 10_080),
    help="Mean length of a call, exponentially distributed. Default: as Prometheus measured them; "
    "needed with --csv.",
)
@click.option(
    "--people-per-call",
    type=click.FloatRange(1, 10_000),
    help=f"Mean. Default: as Prometheus measured it; with --csv {PEOPLE_PER_CALL:g}.",
)
@click.option(
    "--hpa-target-percent",
    type=click.IntRange(1, 100),
    default=70,
    show_default=True,
    help="Utilisation that HPA and KEDA aim at.",
)
@click.option(
    "--start-seconds",
    type=click.FloatRange(0, 3600),
    default=30.0,
    show_default=True,
    help="From a pod's creation until it is ready.",
)
@click.option(
    "--grace-seconds",
    type=click.FloatRange(0, 86_400),
    default=30.0,
    show_default=True,
    help="terminationGracePeriodSeconds of the Deployment under HPA and KEDA.",
)
@click.option("--seed", type=int, default=1, show_default=True, help="Of all that is random.")
@click.option(
    "--chart",
    "charts",
    type=click.Path(path_type=Path, dir_okay=False, writable=True),
    multiple=True,
    help="Draw to this file, .png or .html; may be repeated. Needs callfleet[simulate].",
)
@output_option
@with_session
def simulate(
    session: Session,
    /,
    *,
    target: Target | None,
    filename: Path | None,
    changes: tuple[str, ...],
    csv_file: Path | None,
    since: timedelta,
    prometheus_url: str,
    prometheus_token_file: Path | None,
    operator_namespace: str,
    call_minutes: float | None,
    people_per_call: float | None,
    hpa_target_percent: int,
    start_seconds: float,
    grace_seconds: float,
    seed: int,
    charts: tuple[Path, ...],
    output: str | None,
) -> None:
    """Replay a fleet's past against a changed spec, with an HPA and KEDA beside it.

    Shows pods, blocked and cut calls and cost of each. The numbers of pods come from the same
    plan that the operator runs; docs/simulate.md says what is assumed. A spec in a file with --csv
    asks no cluster.
    """
    if target is None and filename is None:
        raise click.UsageError("Name a CallCluster, or a file with one (-f).")
    if csv_file is not None and call_minutes is None:
        raise click.UsageError(
            "A CSV file does not say how long calls last: add --call-minutes, the mean."
        )
    for chart in charts:
        if chart.suffix.lower() not in CHARTS:
            raise click.UsageError(f"--chart {chart}: end its name in .png or .html.")
    asked = _Asked(
        csv=csv_file,
        source=Source(prometheus_url, prometheus_token_file, operator_namespace),
        since=since,
        people_per_call=people_per_call,
        call_minutes=call_minutes,
        seed=seed,
    )
    draw = _drawing(charts)

    async def work(kube: UserKube | None) -> _Ready:
        namespace = kube.namespace if kube is not None else session.namespace or "default"
        present = None
        if kube is not None and target is not None:
            present = await _live(kube, target)
        cluster, before = _specs(present, filename, target, namespace, changes)
        calls, notes = await _calls(asked, kube, cluster)
        return _Ready(cluster, before, calls, notes)

    # A name is that of a live object; without one a file has all that is asked of a cluster.
    offline = target is None and (csv_file is not None or bool(prometheus_url))
    ready = _run_offline(work(None)) if offline else session.run(work)
    metadata = ready.cluster.metadata
    comparison = compare(
        f"CallCluster {metadata.namespace}/{metadata.name}",
        ready.cluster.spec,
        ready.calls,
        Assumptions(
            start_seconds=start_seconds,
            hpa_target_percent=hpa_target_percent,
            grace_seconds=grace_seconds,
            seed=seed,
        ),
        present=ready.before.spec if ready.before else None,
        notes=ready.notes,
    )
    if output is None:
        show(screen(comparison))
    else:
        emit(for_programs(comparison), output)
    draw(comparison)


@dataclass(frozen=True, slots=True)
class _Ready:
    """All that a replay needs."""

    cluster: CallCluster
    before: CallCluster | None
    """Before the change, if there is one."""
    calls: Traffic
    notes: tuple[str, ...]


def _run_offline(work: Coroutine[Any, Any, _Ready]) -> _Ready:
    try:
        return asyncio.run(work)
    except Problem as problem:
        raise click.ClickException(str(problem)) from problem


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
    present: CallCluster | None,
    filename: Path | None,
    target: Target | None,
    namespace: str,
    changes: tuple[str, ...],
) -> tuple[CallCluster, CallCluster | None]:
    """The cluster as changed, and as it was if that is another one. Raises Problem."""
    base = present
    if filename is not None:
        named = target.name if target is not None else ""
        where = "standard input" if str(filename) == "-" else str(filename)
        base = read_manifest(_text(filename), where, name=named, namespace=namespace).cluster
    if base is None:
        raise Problem("There is no CallCluster to replay: name one, or a file with one (-f).")
    changed = base
    if changes:
        try:
            body = with_changes(base.to_api(), changes)
        except SpecError as wrong:
            raise Problem(str(wrong)) from wrong
        changed = _cluster(parsed(body, "the changed spec", namespace=namespace))
    for wrong_rule in contradictions(changed.spec):
        raise Problem(f"CallCluster {changed.metadata.name}: {wrong_rule}.")
    before = present or base
    return changed, before if before.spec != changed.spec else None


def _cluster(made: object) -> CallCluster:
    if not isinstance(made, CallCluster):
        raise TypeError(f"a change has made another kind of it: {made!r}")
    return made


def _text(file: Path, most: int = CSV_LIMIT) -> str:
    where = "standard input" if str(file) == "-" else str(file)
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
    asked: _Asked, kube: UserKube | None, cluster: CallCluster
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


def _from_csv(asked: _Asked, file: Path) -> _Found:
    past = read_csv(_text(file))
    lasting = asked.given_durations
    if lasting is None:
        raise Problem("A CSV file does not say how long calls last: add --call-minutes.")
    people, notes = asked.people_per_call, ()
    if people is None:
        return past, lasting, PEOPLE_PER_CALL, (_ASSUMED_PEOPLE,)
    return past, lasting, people, notes


_ASSUMED_PEOPLE: Final = (
    f"Calls are taken to have {PEOPLE_PER_CALL:g} people: say how many with --people-per-call."
)


async def _from_prometheus(asked: _Asked, kube: UserKube | None, cluster: CallCluster) -> _Found:
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


def _drawing(files: tuple[Path, ...]) -> Callable[[Comparison], None]:
    """Draws to the files later; says at once if it could not."""
    if not files:
        return lambda _: None
    try:
        chart = import_module("callfleet_operator.simulate.chart")
    except ModuleNotFoundError as missing:
        raise click.ClickException(
            f"--chart needs the module {missing.name}. Install it with: pip install "
            '"callfleet[simulate]"'
        ) from missing

    def draw(comparison: Comparison) -> None:
        for file in files:
            try:
                if file.suffix.lower() == ".png":
                    file.write_bytes(chart.png(comparison))
                else:
                    file.write_text(chart.html(comparison, rows(comparison)), encoding="utf-8")
            except OSError as unwritable:
                raise click.ClickException(
                    f"{file} cannot be written: {unwritable.strerror}. Choose another place."
                ) from unwritable
            click.echo(f"Drawn: {file}", err=True)

    return draw
