"""What `callfleet doctor` finds, a line each: judged here, asked for in `cli.probes`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from rich.table import Table
from rich.text import Text

from callfleet_operator.api.v1alpha1.common import VERSION, Condition
from callfleet_operator.cli.views.fleet import notable


class Outcome(StrEnum):
    """How a check ended."""

    OK = "ok"
    PROBLEM = "problem"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Check:
    """One line."""

    subject: str
    outcome: Outcome
    text: str
    remedy: str = ""


def ok(subject: str, text: str) -> Check:
    """Nothing to do."""
    return Check(subject, Outcome.OK, text)


def problem(subject: str, text: str, remedy: str) -> Check:
    """Something to do."""
    return Check(subject, Outcome.PROBLEM, text, remedy)


def unknown(subject: str, text: str, remedy: str) -> Check:
    """It cannot be told from here."""
    return Check(subject, Outcome.UNKNOWN, text, remedy)


_STYLES: Final = {Outcome.OK: "green", Outcome.PROBLEM: "bold red", Outcome.UNKNOWN: "yellow"}


def report(checks: Iterable[Check]) -> Table:
    """All checks, in the order in which they were made."""
    table = Table(box=None, header_style="dim", pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("", no_wrap=True)
    table.add_column("CHECK", overflow="fold")
    table.add_column("FOUND", overflow="fold", ratio=1)
    for one in checks:
        found = Text(one.text)
        if one.remedy:
            found.append(f" {one.remedy}", style="bold")
        table.add_row(Text(one.outcome, style=_STYLES[one.outcome]), one.subject, found)
    return table


def for_programs(checks: Iterable[Check]) -> dict[str, Any]:
    """Contract: docs/reference/contracts.md, "Output for programs"."""
    return {
        "version": 1,
        "checks": [
            {
                "subject": one.subject,
                "outcome": str(one.outcome),
                "text": one.text,
                "remedy": one.remedy,
            }
            for one in checks
        ],
    }


def crd_check(plural: str, live: Mapping[str, Any], ours: Mapping[str, Any]) -> Check:
    """Whether the installed CRD has every field that this release knows."""
    subject = f"CRD {plural}"
    remedy = "Apply the CRDs of the operator's release: kubectl apply --server-side -f crds/"
    served = {one["name"]: one for one in live["spec"]["versions"] if one.get("served")}
    if VERSION not in served:
        return problem(subject, f"serves {', '.join(served) or 'nothing'}, not {VERSION}.", remedy)
    wanted = set(fields(_schema(_version(ours))))
    there = set(fields(_schema(served[VERSION])))
    absent, more = sorted(wanted - there), sorted(there - wanted)
    if absent:
        return problem(subject, f"lacks {_few(absent)}, which this release knows.", remedy)
    if more:
        text = f"has {_few(more)}, which this release does not know: it is of a newer one."
        return problem(subject, text, "Use the callfleet and the operator of that release.")
    return ok(subject, f"serves {VERSION} with every field that this release knows.")


def _version(crd: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Mapping[str, Any] = next(
        one for one in crd["spec"]["versions"] if one["name"] == VERSION
    )
    return found


def _schema(version: Mapping[str, Any]) -> Mapping[str, Any]:
    return (version.get("schema") or {}).get("openAPIV3Schema") or {}


def fields(schema: Mapping[str, Any], path: str = "") -> Iterator[str]:
    """Paths of all fields of a schema."""
    for name, below in (schema.get("properties") or {}).items():
        here = f"{path}.{name}" if path else name
        yield here
        yield from fields(below, here)
    items = schema.get("items")
    if isinstance(items, dict):
        yield from fields(items, f"{path}[]")


def condition_checks(subject: str, conditions: Iterable[Condition]) -> Iterator[Check]:
    """The operator's own word about an object."""
    conditions = tuple(conditions)
    if not conditions:
        yield problem(
            subject,
            "The operator has not reported anything.",
            "Check that it runs and serves this namespace.",
        )
        return
    warnings = [one for one in notable(conditions) if one.warning]
    for one in warnings:
        # A condition's message ends with its remedy.
        yield problem(subject, f"{one.type} is {one.status} ({one.reason}):", one.message)
    if not warnings:
        yield ok(subject, f"No condition of {len(conditions)} asks for anything.")


def query_check(name: str, series: int, *, expected: bool) -> Check:
    """Whether a query of the operator gives anything."""
    subject = f"query {name}"
    if series:
        return ok(subject, f"{series} series.")
    if not expected:
        return ok(subject, "No series, and no pod that would have any.")
    return problem(
        subject,
        "No series, although pods serve.",
        "Prometheus must scrape the pods with the labels namespace, pod, pod_uid and "
        "callfleet_cluster or callfleet_pool: see examples/prometheus.yaml.",
    )


_ADVISED_SHARE: Final = 4
"""A quarter of a server's connections is what all pods of a fleet should stay under."""


def connections_check(subject: str, *, pods: int, each: int, maximum: int, usable: int) -> Check:
    """Whether a database server has the connections that `pods` with `each` of them take.

    `maximum` is the server's max_connections, `usable` what of it this user and database may have.
    """
    needed = pods * each
    taken = f"{pods} pods (maxTotalReplicas) with {each} connections each take up to {needed}"
    if needed > usable:
        less = (
            f"lower store.postgresql.maxConnectionsPerPod to {usable // pods}"
            if usable >= pods
            else f"lower scaling.maxTotalReplicas to {max(1, usable // each)}"
        )
        return problem(
            subject,
            f"{taken}, and there are {usable} (of max_connections {maximum}).",
            f"Raise max_connections, and limits of user or database, by {needed - usable}, "
            f"or {less}.",
        )
    beside = (
        ""
        if needed * _ADVISED_SHARE <= maximum
        else "; that is more than the quarter of them that is advised"
    )
    return ok(subject, f"{taken}, of {usable} that there are (max_connections {maximum}){beside}.")


def _few(names: list[str]) -> str:
    shown = ", ".join(names[:4])
    return shown if len(names) <= 4 else f"{shown} and {len(names) - 4} more"
