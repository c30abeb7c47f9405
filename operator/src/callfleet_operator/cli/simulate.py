"""`callfleet simulate`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from datetime import timedelta
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import click

from callfleet_operator.cli.options import operator_namespace_option, prometheus_options
from callfleet_operator.cli.output import emit, output_option, show
from callfleet_operator.cli.past import Source
from callfleet_operator.cli.replayed import PEOPLE_PER_CALL, Asked, Ready, gather
from callfleet_operator.cli.session import Problem, Session, with_session
from callfleet_operator.cli.spans import SpanType
from callfleet_operator.cli.target import Target, TargetType
from callfleet_operator.cli.views.simulate import for_programs, rows, screen
from callfleet_operator.gateway.user import UserKube
from callfleet_operator.simulate.comparison import Comparison, compare
from callfleet_operator.simulate.replay import Assumptions

CHARTS: Final = (".png", ".html")

EXAMPLES: Final = """
\b
Examples:
  callfleet simulate calls --set spec.scaling.targetUtilizationPercent=60
  callfleet simulate calls -f changed.yaml --since 7d --chart week.png
  callfleet simulate -f calls.yaml --csv day.csv --call-minutes 45 -o json
"""


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
    type=SpanType("DURATION"),
    default="24h",
    show_default=True,
    help="How much of Prometheus' history, up to now.",
)
@prometheus_options
@operator_namespace_option
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
    asked = Asked(
        target=target,
        filename=filename,
        changes=changes,
        csv=csv_file,
        source=Source(prometheus_url, prometheus_token_file, operator_namespace),
        since=since,
        people_per_call=people_per_call,
        call_minutes=call_minutes,
        seed=seed,
    )
    draw = _drawing(charts)

    async def work(kube: UserKube | None) -> Ready:
        return await gather(asked, kube, session.namespace)

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


def _run_offline(work: Coroutine[Any, Any, Ready]) -> Ready:
    try:
        return asyncio.run(work)
    except Problem as problem:
        raise click.ClickException(str(problem)) from problem


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
