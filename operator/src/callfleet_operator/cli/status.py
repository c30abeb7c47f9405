"""`callfleet status`."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Final

import click
from pydantic import ValidationError
from rich.live import Live as LiveScreen

from callfleet_operator.cli.find import decisions_of, find_all, pods_of
from callfleet_operator.cli.output import console, emit, output_option, show
from callfleet_operator.cli.session import Problem, Session, with_session
from callfleet_operator.cli.target import Target, TargetType, component_of
from callfleet_operator.cli.views.fleet import FleetView, fleet_view
from callfleet_operator.cli.views.live import Live, live
from callfleet_operator.cli.views.status import for_programs, screen
from callfleet_operator.gateway.errors import ForbiddenError, KubeError
from callfleet_operator.gateway.kube import Body
from callfleet_operator.gateway.user import UserKube
from callfleet_operator.status.history import Recorded

ASK_AT_MOST: Final = 200
ASK_WITHIN: Final = 3.0
"""Seconds for one pod's figures."""
ASK_TOGETHER: Final = 16

EXAMPLES: Final = """
\b
Examples:
  callfleet status                     every fleet of the namespace
  callfleet status calls --watch       one fleet, drawn anew every 2 seconds
  callfleet status turnpool/relays     if a CallCluster has the same name
  callfleet status -A -o json          every fleet of the cluster, for programs
"""


@click.command(epilog=EXAMPLES)
@click.argument("target", type=TargetType(), required=False, metavar="[[KIND/]NAME]")
@click.option("-A", "--all-namespaces", "everywhere", is_flag=True, help="In all namespaces.")
@click.option("-w", "--watch", is_flag=True, help="Draw anew until interrupted.")
@click.option(
    "--interval",
    type=click.FloatRange(0.5, 300),
    default=2.0,
    show_default=True,
    help="Seconds between two looks with --watch.",
)
@click.option(
    "--live/--no-live",
    "ask",
    default=True,
    show_default=True,
    help="Ask each pod what it carries now, by its metrics port through the API server; needs the "
    "right to get pods/proxy.",
)
@output_option
@with_session
def status(
    session: Session,
    *,
    target: Target | None,
    everywhere: bool,
    watch: bool,
    interval: float,
    ask: bool,
    output: str | None,
) -> None:
    """Fleets on one screen: pods, load, drains, decisions, and what is not as it should be.

    Totals are the operator's, from the object's status, and rounded; figures of single pods are
    the pods' own, of this moment. What cannot be known is shown as unknown.
    """
    if everywhere and target is not None:
        raise click.UsageError("NAME and --all-namespaces exclude each other.")

    async def work(kube: UserKube) -> None:
        if watch:
            await _watch(kube, target, everywhere=everywhere, ask=ask, form=output, every=interval)
            return
        fleets = await look(kube, target, everywhere=everywhere, ask=ask)
        if not fleets and output is None:
            where = "the cluster" if everywhere else f"namespace {kube.namespace}"
            click.echo(f"There is no CallCluster and no TurnPool in {where}.")
        elif output is None:
            show(screen(fleets, datetime.now(UTC), bars=console().is_terminal))
        else:
            emit(for_programs(fleets), output)

    with suppress(KeyboardInterrupt):
        session.run(work)


async def _watch(
    kube: UserKube,
    target: Target | None,
    *,
    everywhere: bool,
    ask: bool,
    form: str | None,
    every: float,
) -> None:
    there = console()
    if form is not None or not there.is_terminal:
        while True:
            fleets = await look(kube, target, everywhere=everywhere, ask=ask)
            if form is None:
                show(screen(fleets, datetime.now(UTC), bars=False))
            else:
                emit(for_programs(fleets), form)
            await asyncio.sleep(every)
    with LiveScreen(console=there, screen=True, auto_refresh=False) as drawing:
        while True:
            fleets = await look(kube, target, everywhere=everywhere, ask=ask)
            drawing.update(screen(fleets, datetime.now(UTC), bars=True), refresh=True)
            await asyncio.sleep(every)


async def look(
    kube: UserKube, target: Target | None, *, everywhere: bool, ask: bool
) -> list[FleetView]:
    """Read everything that is shown."""
    return [
        await _view(kube, body, ask=ask)
        for body in await find_all(kube, target, everywhere=everywhere)
    ]


async def _view(kube: UserKube, body: Body, *, ask: bool) -> FleetView:
    unknown: list[str] = []
    pods: list[Body] = []
    figures: dict[str, Live] = {}
    try:
        pods = await pods_of(kube, body)
    except ForbiddenError:
        unknown.append("Pods are unknown: you may not list pods in this namespace.")
    if ask and pods:
        figures, why = await _ask(kube, body, pods)
        unknown += why
    decisions: tuple[Recorded, ...] = ()
    try:
        decisions = await decisions_of(kube, body)
    except Problem as problem:
        unknown.append(f"Decisions are unknown. {problem}")
    try:
        return fleet_view(body, pods, figures, decisions, unknown)
    except ValidationError as unreadable:
        name = f"{body['kind']} {body['metadata']['name']}"
        raise Problem(
            f"{name} has a shape that this release does not know "
            f"({unreadable.errors()[0]['msg']}): use the callfleet of the operator's release."
        ) from unreadable


async def _ask(
    kube: UserKube, body: Body, pods: Iterable[Body]
) -> tuple[dict[str, Live], list[str]]:
    """What running pods carry, by uid, and why it is not known of some."""
    component, namespace = component_of(body["kind"]), body["metadata"]["namespace"]
    running = [pod for pod in pods if pod.get("status", {}).get("phase") == "Running"]
    slots = asyncio.Semaphore(ASK_TOGETHER)
    forbidden = False

    async def figures(pod: Body) -> Live | str:
        nonlocal forbidden
        async with slots:
            if forbidden:
                return ""
            try:
                name = pod["metadata"]["name"]
                return live(await kube.pod_metrics(namespace, name, ASK_WITHIN), component)
            except ForbiddenError:
                forbidden = True
                return ""
            except (KubeError, ValueError) as trouble:
                return _reason(trouble)

    answers = await asyncio.gather(*(figures(pod) for pod in running[:ASK_AT_MOST]))
    found: dict[str, Live] = {}
    silent: dict[str, list[str]] = {}
    for pod, answer in zip(running, answers, strict=False):
        if isinstance(answer, Live):
            found[pod["metadata"]["uid"]] = answer
        else:
            silent.setdefault(answer, []).append(pod["metadata"]["name"])
    if forbidden:
        return found, [
            "What single pods carry is unknown: you may not get pods/proxy in this namespace."
        ]
    notes = [
        f"What {', '.join(names[:5])}{' and others' if len(names) > 5 else ''} carries is unknown: "
        f"{reason}."
        for reason, names in silent.items()
    ]
    if len(running) > ASK_AT_MOST:
        notes.append(f"Only the first {ASK_AT_MOST} pods were asked what they carry.")
    return found, notes


def _reason(trouble: Exception) -> str:
    if isinstance(trouble, KubeError):
        return f"the API server does not reach it ({trouble.message[:120].rstrip('. ')})"
    return "its metrics cannot be read"
