"""`callfleet plan`."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, Final

import click

from callfleet_operator.api.v1alpha1 import CallCluster, TurnPool
from callfleet_operator.cli.find import find_one
from callfleet_operator.cli.output import emit, output_option, show
from callfleet_operator.cli.planning.asked import Asked
from callfleet_operator.cli.planning.inputs import (
    BITRATE,
    BUSY_DAYS,
    BUSY_HOUR_PERCENT,
    CALL_MINUTES,
    HOURS,
    PEOPLE_PER_CALL,
    inputs_of,
)
from callfleet_operator.cli.planning.manifest import Planned, parsed, read_manifest
from callfleet_operator.cli.session import Problem, Session, with_session
from callfleet_operator.cli.target import Target, TargetType
from callfleet_operator.cli.views.plan import for_programs, page
from callfleet_operator.gateway.resources import CALL_CLUSTERS, TURN_POOLS
from callfleet_operator.gateway.user import UserKube
from callfleet_operator.plan.sizing.inputs import (
    BITRATES,
    ENGINE_PACKETS,
    OVERHEAD_PERCENT,
    POD_MEGABITS,
    RELAY_PACKETS,
    SizingError,
)
from callfleet_operator.plan.sizing.size import at_concurrent, size

AT: Final = (10, 50, 100, 500, 1000)
_MOST: Final = 1_000_000_000

EXAMPLES: Final = """
\b
Examples:
  callfleet plan --users 1000                      with defaults, each of which is said
  callfleet plan --users 1000 --hours-per-month 2 --people-per-call 2 \\
      --pod-price 140 --relay-price 70 --egress-price 0.05
  callfleet plan calls --concurrent 300            with capacity, limits and prices of a CallCluster
  callfleet plan -f fleet.yaml --users 5000        the same of a file, or of - for standard input
  callfleet plan calls --users 1000 -o json        for programs
"""


class _Amount(click.ParamType[Decimal]):
    """A decimal number within bounds, exact as it is written."""

    name = "NUMBER"

    def __init__(self, least: str, most: str) -> None:
        self._least, self._most = Decimal(least), Decimal(most)

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> Decimal:
        if isinstance(value, Decimal):
            return value
        try:
            number = Decimal(str(value))
        except InvalidOperation:
            self.fail(f"{value!r}: write a decimal number such as 2.5", param, ctx)
        if not number.is_finite() or not self._least <= number <= self._most:
            self.fail(f"{value}: write a number from {self._least} to {self._most}", param, ctx)
        return number


class _Currency(click.ParamType[str]):
    name = "CODE"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> str:
        text = str(value)
        if not (len(text) == 3 and text.isascii() and text.isalpha() and text.isupper()):
            self.fail(f"{text!r}: write an ISO 4217 code such as EUR", param, ctx)
        return text


_PERCENT: Final = _Amount("0", "100")
_MONEY: Final = _Amount("0", "1000000000")
_USAGE: Final = (
    click.option("--users", type=click.IntRange(1, _MOST), help="Users in all."),
    click.option(
        "--concurrent",
        type=click.IntRange(1, _MOST),
        help="People in calls at a time, mean of the busy hour. Default: follows from users, "
        "hours, days and the busy hour.",
    ),
    click.option(
        "--hours-per-month",
        type=_Amount("0.01", "744"),
        help=f"Hours that one user is in calls.  [default: {HOURS}]",
    ),
    click.option(
        "--busy-days",
        type=click.IntRange(1, 31),
        help=f"Days of a month that they spread over.  [default: {BUSY_DAYS}]",
    ),
    click.option(
        "--busy-hour-percent",
        type=_Amount("4", "100"),
        help="Part of a day's hours that falls in its busiest hour.  "
        f"[default: {BUSY_HOUR_PERCENT}]",
    ),
    click.option(
        "--people-per-call",
        type=_Amount("2", "10000"),
        help=f"Mean; all calls are taken to be of that size.  [default: {PEOPLE_PER_CALL}]",
    ),
    click.option(
        "--call-minutes",
        type=_Amount("0.01", "44640"),
        help=f"Mean length of a call.  [default: {CALL_MINUTES}]",
    ),
)
_CAPACITY: Final = (
    click.option("--participants-per-pod", type=click.IntRange(1, 10000), help="Of a full pod."),
    click.option("--target-percent", type=click.IntRange(10, 95), help="Target utilisation."),
    click.option(
        "--new-call-limit-percent",
        type=click.IntRange(11, 100),
        help="A pod this full takes no new call.",
    ),
    click.option(
        "--max-blocking-per-million",
        type=click.IntRange(0, 1_000_000),
        help="New calls in a million that may be refused; 0: no limit.",
    ),
    click.option(
        "--pod-mbit",
        type=_Amount("0.01", "1000000"),
        help=f"Mbit/s that a full engine pod sends.  [default: {POD_MEGABITS}]",
    ),
    click.option(
        "--pod-packets",
        type=click.IntRange(1, 1_000_000_000),
        help=f"Packets a second that a full engine pod forwards.  [default: {ENGINE_PACKETS}]",
    ),
)
_MEDIA: Final = (
    click.option(
        "--bitrate",
        type=click.Choice(list(BITRATES)),
        help=f"What one person sends.  [default: {BITRATE}]",
    ),
    click.option("--audio-kbit", type=_Amount("0", "100000"), help="Instead of the profile's."),
    click.option("--video-kbit", type=_Amount("0", "100000"), help="Instead of the profile's."),
    click.option(
        "--overhead-percent",
        type=_PERCENT,
        help=f"Headers over media.  [default: {OVERHEAD_PERCENT}]",
    ),
    click.option(
        "--relayed-percent",
        type=_PERCENT,
        help="Media through relays. Default: all with exposure TurnOnly, else 5.",
    ),
    click.option("--allocations-per-relay", type=click.IntRange(1, 16384), help="Of a full relay."),
    click.option(
        "--relay-packets",
        type=click.IntRange(1, 1_000_000_000),
        help="Packets a second of a full relay, its --sustainable-packet-rate.  "
        f"[default: {RELAY_PACKETS}]",
    ),
    click.option(
        "--relay-target-percent", type=click.IntRange(10, 95), help="Target saturation of relays."
    ),
)
_PRICES: Final = (
    click.option("--pod-price", type=_MONEY, help="Of an engine pod a month."),
    click.option("--relay-price", type=_MONEY, help="Of a relay a month."),
    click.option(
        "--egress-price", type=_MONEY, help="Of a GB (1e9 bytes) that leaves the cluster."
    ),
    click.option(
        "--other-monthly", type=_MONEY, help="Database, load balancer and so on, a month."
    ),
    click.option("--currency", type=_Currency(), help="ISO 4217 code; nothing is converted."),
)


def _inputs(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in reversed((*_USAGE, *_CAPACITY, *_MEDIA, *_PRICES)):
        command = option(command)
    return command


@click.command(epilog=EXAMPLES)
@click.argument("target", type=TargetType(), required=False, metavar="[NAME]")
@click.option(
    "-f",
    "--filename",
    type=click.Path(path_type=Path, dir_okay=False, exists=True, allow_dash=True),
    help="A file with the CallCluster and its TurnPools, or - for standard input; no cluster is "
    "asked.",
)
@_inputs
@click.option(
    "--at",
    type=click.IntRange(1, _MOST),
    multiple=True,
    help=f"People at a time of a line in the last table.  [default: {', '.join(map(str, AT))}]",
)
@output_option
@with_session
def plan(
    session: Session,
    /,
    *,
    target: Target | None,
    filename: Path | None,
    at: tuple[int, ...],
    output: str | None,
    **flags: Any,  # noqa: ANN401  # named and typed in Asked
) -> None:
    """What users take: pods, relays, refused calls, bandwidth, money, with the arithmetic.

    Takes capacity, limits and prices (spec.cost) of the CallCluster NAME and its TurnPools, or of
    those in a file, or defaults; flags go before them. What is assumed is listed first.
    """
    try:
        planned = _planned(session, target, filename)
        inputs, assumptions = inputs_of(Asked(**flags), planned)
        sizing = size(inputs)
    except (Problem, SizingError) as problem:
        raise click.ClickException(str(problem)) from problem
    rows = at_concurrent(sizing, at or AT)
    if output is None:
        show(page(sizing, assumptions, rows, planned.title if planned else "Plan"))
    else:
        emit(for_programs(sizing, assumptions, rows), output)


def _planned(session: Session, target: Target | None, filename: Path | None) -> Planned | None:
    if target is not None and target.resource is TURN_POOLS:
        raise Problem("A plan is made of a CallCluster, which names its TurnPools: write its name.")
    if filename is not None:
        where = "standard input" if str(filename) == "-" else str(filename)
        try:
            with click.open_file(str(filename), encoding="utf-8") as source:
                text = source.read()
        except (OSError, UnicodeDecodeError) as unreadable:
            raise Problem(f"{where} cannot be read: {unreadable}.") from unreadable
        name = target.name if target else ""
        return read_manifest(text, where, name=name, namespace=session.namespace or "default")
    if target is None:
        return None
    wanted = Target(target.name, CALL_CLUSTERS)
    return session.run(lambda kube: _live(kube, wanted))


async def _live(kube: UserKube, target: Target) -> Planned:
    _, body = await find_one(kube, target)
    namespace = body["metadata"]["namespace"]
    cluster = parsed(body, "the cluster", namespace=namespace)
    if not isinstance(cluster, CallCluster):
        raise TypeError(f"{target} is no CallCluster: {body['kind']}")
    pools: dict[tuple[str, str], TurnPool] = {}
    for ref in cluster.spec.turn.pool_refs:
        home = ref.namespace or namespace
        found = await kube.get(TURN_POOLS, home, ref.name)
        if found is None:
            raise Problem(
                f"CallCluster {target.name} names TurnPool {home}/{ref.name}, which does not "
                "exist: create it, or remove it from turn.poolRefs."
            )
        pool = parsed(found, "the cluster", namespace=home)
        if isinstance(pool, TurnPool):
            pools[home, ref.name] = pool
    return Planned(cluster, pools)
