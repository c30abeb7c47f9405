"""`callfleet explain`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

import click

from callfleet_operator.cli.find import decisions_of, find_one
from callfleet_operator.cli.output import emit, output_option, show
from callfleet_operator.cli.session import Problem, Session, with_session
from callfleet_operator.cli.target import Target, TargetType
from callfleet_operator.cli.views.explain import explanation, listing
from callfleet_operator.cli.views.status import decision_for_programs
from callfleet_operator.gateway.kube import Body
from callfleet_operator.gateway.user import UserKube
from callfleet_operator.status.history import KEPT, Recorded

EXAMPLES: Final = """
\b
Examples:
  callfleet explain calls                  why it has as many pods as it has
  callfleet explain calls --list           the last 20 decisions, a line each
  callfleet explain turnpool/relays --decision 12
"""


@click.command(epilog=EXAMPLES)
@click.argument("target", type=TargetType(), metavar="[KIND/]NAME")
@click.option(
    "--decision",
    "wanted",
    type=click.IntRange(min=1),
    help="Number of the decision, as status and --list show it. Default: the last one.",
)
@click.option("--list", "every", is_flag=True, help="All that are kept, newest first, a line each.")
@output_option
@with_session
def explain(
    session: Session, *, target: Target, wanted: int | None, every: bool, output: str | None
) -> None:
    """Why a fleet has the number of pods it has: the whole trace of a decision, in words.

    The last 20 decisions that changed a number are kept beside the object.
    """
    if every and wanted is not None:
        raise click.UsageError("--list and --decision exclude each other.")

    async def work(kube: UserKube) -> None:
        _, body = await find_one(kube, target)
        decisions = (await decisions_of(kube, body))[::-1]
        now = datetime.now(UTC)
        if every and output is None and decisions:
            show(listing(decisions, now))
            return
        if not every:
            decisions = (_chosen(body, decisions, wanted),)
        if output is not None:
            emit(
                {"version": 1, "decisions": [decision_for_programs(one) for one in decisions]},
                output,
            )
        elif decisions:
            show(explanation(_title(body), decisions[0], now))
        else:
            click.echo(_none(body))

    session.run(work)


def _chosen(body: Body, decisions: tuple[Recorded, ...], wanted: int | None) -> Recorded:
    if not decisions:
        raise Problem(_none(body))
    if wanted is None:
        return decisions[0]
    for one in decisions:
        if one.number == wanted:
            return one
    raise Problem(
        f"Decision {wanted} of {_title(body)} is not kept: there are {decisions[-1].number} to "
        f"{decisions[0].number}, the last {KEPT} at most. The operator's log has older ones."
    )


def _none(body: Body) -> str:
    last = ((body.get("status") or {}).get("lastDecision") or {}).get("message")
    said = f" Its status says: {last}" if last else ""
    return f"No decision has changed the number of pods of {_title(body)} yet.{said}"


def _title(body: Body) -> str:
    metadata = body["metadata"]
    return f"{body['kind']} {metadata['namespace']}/{metadata['name']}"
