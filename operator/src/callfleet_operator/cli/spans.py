"""Command-line options that take a span of time, such as 30m, 2h or 1d."""

from __future__ import annotations

from datetime import timedelta

import click

from callfleet_operator.cli.views.words import duration


class SpanType(click.ParamType[timedelta]):
    """A span; `name` is what the help calls it."""

    def __init__(self, name: str) -> None:
        self.name = name

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> timedelta:
        if isinstance(value, timedelta):
            return value
        try:
            return duration(str(value))
        except ValueError as problem:
            self.fail(f"{value!r}: {problem}", param, ctx)
