"""Where commands print: in colour in a terminal, plain lines elsewhere, JSON or YAML on request."""

from __future__ import annotations

import json
import sys
from typing import Any, Final

import click
import yaml
from rich.console import Console, RenderableType

PLAIN_WIDTH: Final = 200
"""Columns where nobody looks: wide enough that a program finds a line whole."""

output_option = click.option(
    "-o",
    "--output",
    type=click.Choice(["json", "yaml"]),
    help="For programs. Default: for people.",
)


def console() -> Console:
    """Standard output as it is now."""
    if sys.stdout.isatty():
        return Console(highlight=False, markup=False, emoji=False)
    return Console(
        file=sys.stdout,
        width=PLAIN_WIDTH,
        color_system=None,
        force_terminal=False,
        highlight=False,
        markup=False,
        emoji=False,
    )


def show(what: RenderableType) -> None:
    """Print for people, without blanks at line ends where it is piped."""
    there = console()
    if there.is_terminal:
        there.print(what)
        return
    with there.capture() as captured:
        there.print(what)
    click.echo("\n".join(line.rstrip() for line in captured.get().splitlines()))


def emit(value: dict[str, Any], form: str) -> None:
    """Print for programs."""
    if form == "yaml":
        click.echo(yaml.safe_dump(value, sort_keys=False, allow_unicode=True), nl=False)
    else:
        click.echo(json.dumps(value, indent=2, ensure_ascii=False))
