"""`callfleet pause`, `resume` and `hold`: how far the operator may go."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

import click

from callfleet_operator.api.v1alpha1.common import Mode
from callfleet_operator.cli.drain import signed
from callfleet_operator.cli.find import find_one
from callfleet_operator.cli.session import Session, with_session
from callfleet_operator.cli.spans import SpanType
from callfleet_operator.cli.target import Target, TargetType, spoken
from callfleet_operator.cli.views.fleet import HOLD_NOTE, HOLD_UNTIL, MODE_NOTE
from callfleet_operator.cli.views.words import moment
from callfleet_operator.gateway.kube import Body
from callfleet_operator.gateway.user import UserKube

MODE_BEFORE: Final = "callfleet.dev/mode-before"
"""Annotation of a custom resource: the mode that `resume` goes back to."""

PAUSE_EXAMPLES: Final = """
\b
Examples:
  callfleet pause calls --reason "incident 417"
  callfleet resume calls
"""
HOLD_EXAMPLES: Final = """
\b
Examples:
  callfleet hold calls --for 2h --reason "launch at nine"
  callfleet hold calls --until 2026-01-01T06:00:00Z
  callfleet hold calls --release
"""


class _Moment(click.ParamType[datetime]):
    name = "TIME"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime:
        if isinstance(value, datetime):
            return value
        try:
            found = datetime.fromisoformat(str(value))
        except ValueError:
            found = None
        if found is None or found.tzinfo is None:
            self.fail(
                f"{value!r}: write a time with its zone, such as 2026-01-01T06:00:00Z", param, ctx
            )
        return found.astimezone(UTC)


@click.command(epilog=PAUSE_EXAMPLES)
@click.argument("target", type=TargetType(), metavar="[KIND/]NAME")
@click.option("--reason", default="", help="Kept with the object, for whoever finds it.")
@with_session
def pause(session: Session, *, target: Target, reason: str) -> None:
    """Let the operator change nothing at all: no pods, no drains, no Secrets.

    Calls go on, and so does what the pods do by themselves. To keep only the number of pods, use
    `callfleet hold`.
    """

    async def work(kube: UserKube) -> None:
        resource, body = await find_one(kube, target)
        name, mode = spoken(body["kind"], target.name), _mode(body)
        if mode == Mode.PAUSED:
            click.echo(f"{name} is Paused already{_because(body)}.")
            return
        note = f"Paused by {await signed(kube, reason)}"
        annotations = {MODE_NOTE: note, MODE_BEFORE: mode}
        await kube.merge(
            resource,
            kube.namespace,
            target.name,
            {**_exactly(body, annotations), "spec": {"mode": Mode.PAUSED.value}},
        )
        click.echo(
            f"{name} is Paused; it was {mode}. Drains under way stand still, and pods that fail "
            f"are not replaced, until `callfleet resume {name}`."
        )

    session.run(work)


@click.command(epilog=PAUSE_EXAMPLES)
@click.argument("target", type=TargetType(), metavar="[KIND/]NAME")
@with_session
def resume(session: Session, *, target: Target) -> None:
    """Go back to the mode from before the pause; Active if that is not known."""

    async def work(kube: UserKube) -> None:
        resource, body = await find_one(kube, target)
        name, mode = spoken(body["kind"], target.name), _mode(body)
        if mode != Mode.PAUSED:
            click.echo(f"{name} is not Paused but {mode}: nothing is changed.")
            return
        annotations = body["metadata"].get("annotations") or {}
        before = annotations.get(MODE_BEFORE, "")
        if before not in set(Mode) - {Mode.PAUSED}:
            before = Mode.ACTIVE.value
        patch = _exactly(body, {MODE_NOTE: None, MODE_BEFORE: None})
        await kube.merge(resource, kube.namespace, target.name, {**patch, "spec": {"mode": before}})
        click.echo(f"{name} is {before} again.")

    session.run(work)


@click.command(epilog=HOLD_EXAMPLES)
@click.argument("target", type=TargetType(), metavar="[KIND/]NAME")
@click.option("--until", type=_Moment(), help="Hold until this time (RFC 3339).")
@click.option("--for", "span", type=SpanType("TIME"), help="Hold for so long: 30m, 2h, 1d.")
@click.option("--release", is_flag=True, help="Hold no longer.")
@click.option("--reason", default="", help="Kept with the object, for whoever finds it.")
@with_session
def hold(
    session: Session,
    *,
    target: Target,
    until: datetime | None,
    span: timedelta | None,
    release: bool,
    reason: str,
) -> None:
    """Keep the number of open pods until a time, whatever the load.

    Pods that fail are still replaced, and drains under way finish.
    """
    if sum((until is not None, span is not None, release)) != 1:
        raise click.UsageError("Give one of --until, --for and --release.")
    now = datetime.now(UTC)
    end = _end(now, until, span)
    if end is not None and end <= now:
        raise click.UsageError(f"{moment(end)} is over: give a time that is still to come.")

    async def work(kube: UserKube) -> None:
        resource, body = await find_one(kube, target)
        name = spoken(body["kind"], target.name)
        note = None if end is None else f"held by {await signed(kube, reason)}"
        text = None if end is None else moment(end)
        annotations = {HOLD_UNTIL: text, HOLD_NOTE: note}
        await kube.merge(resource, kube.namespace, target.name, _exactly(body, annotations))
        if end is None:
            click.echo(f"{name} is held no longer.")
            return
        desired = (body.get("status") or {}).get("replicas", {}).get("desired")
        number = "its number of open pods" if desired is None else f"{desired} open pods"
        click.echo(
            f"{name} keeps {number} until {text}; `callfleet hold {name} --release` ends that."
        )

    session.run(work)


def _end(now: datetime, until: datetime | None, span: timedelta | None) -> datetime | None:
    if span is None:
        return until
    try:
        return now + span
    except OverflowError as beyond:
        raise click.UsageError("That is longer than the calendar.") from beyond


def _mode(body: Body) -> str:
    return str(body["spec"].get("mode", Mode.ACTIVE.value))


def _because(body: Body) -> str:
    note = (body["metadata"].get("annotations") or {}).get(MODE_NOTE, "")
    return f": {note}" if note else ""


def _exactly(body: Body, annotations: Mapping[str, str | None]) -> Body:
    """A patch of the object as it was looked at, and of no later one."""
    return {
        "metadata": {
            "uid": body["metadata"]["uid"],
            "resourceVersion": body["metadata"]["resourceVersion"],
            "annotations": dict(annotations),
        }
    }
