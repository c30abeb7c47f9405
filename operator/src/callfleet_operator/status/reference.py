"""Writes the reference of conditions and of the reasons of decisions. `make generate` runs it."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from enum import StrEnum
from typing import Final

import click

from callfleet_operator.api.v1alpha1.reference import code, table
from callfleet_operator.plan import reasons
from callfleet_operator.status.documented import ConditionType, Documented
from callfleet_operator.status.table import REASONS

_HEAD: Final = """\
# Conditions

<!-- Generated from status/ and plan/reasons.py of the operator by `make generate`. -->

`kubectl describe callcluster NAME` and `kubectl describe turnpool NAME` show them. The message of a
condition names the pods, numbers and times of the case and ends with what to do;
`lastTransitionTime` moves only when the status changes. Another status or reason is also reported
as an event of the object, for the reasons marked *warning* as one of type Warning.
[Troubleshooting](../troubleshooting.md) works through the common cases.
"""
_OF_ONE_KIND: Final = {
    ConditionType.HEADROOM_EXHAUSTED: "CallCluster only.",
    ConditionType.CONNECTIONS_FAILING: "TurnPool only.",
    ConditionType.SCALE_OUT_INEFFECTIVE: "TurnPool only.",
    ConditionType.CREDENTIALS_CURRENT: "TurnPool only.",
}
_DECISIONS: Final = """\
## Reasons of decisions

`status.lastDecision` has the stage of the plan that settled the number of open pods and one of
these reasons; the metric `callfleet_operator_decisions_total` counts them by the same names.
[Concepts](../concepts.md#how-the-number-of-open-pods-is-found) goes through the stages.
"""


def page() -> str:
    """The whole page, as Markdown."""
    return "\n".join([_HEAD, *_conditions(), _DECISIONS, *_reasons()])


def _conditions() -> Iterator[str]:
    for type_ in ConditionType:
        yield f"## {type_}\n"
        if type_ in _OF_ONE_KIND:
            yield f"{_OF_ONE_KIND[type_]}\n"
        rows = (_row(one) for one in REASONS if one.type is type_)
        yield from table(("status", "reason", "meaning", "what to do"), rows)


def _row(one: Documented) -> tuple[str, ...]:
    reason = f"{code(one.reason)} *warning*" if one.warning else code(one.reason)
    return one.status, reason, one.meaning, one.remedy


def _reasons() -> Iterator[str]:
    says = member_docstrings(reasons.Reason)
    rows = ((code(reason), says[reason.name]) for reason in reasons.Reason)
    yield from table(("reason", "meaning"), rows)


def member_docstrings(of: type[StrEnum]) -> dict[str, str]:
    """The string below each member of an enumeration, by the member's name: Python drops it."""
    (made,) = ast.parse(inspect.getsource(of)).body
    if not isinstance(made, ast.ClassDef):
        raise TypeError(f"{of} is not written as a class")
    found = {}
    for member, below in zip(made.body, made.body[1:], strict=False):
        match member, below:
            case (
                ast.Assign(targets=[ast.Name(id=name)]),
                ast.Expr(value=ast.Constant(value=str(text))),
            ):
                found[name] = " ".join(text.split())
    return found


if __name__ == "__main__":
    click.echo(page(), nl=False)
