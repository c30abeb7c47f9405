"""Options that several commands have."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import click

OPERATOR_NAMESPACE: Final = "callfleet-system"

operator_namespace_option = click.option(
    "--operator-namespace",
    default=OPERATOR_NAMESPACE,
    show_default=True,
    help="Where the operator is installed.",
)
_PROMETHEUS: Final = (
    click.option(
        "--prometheus-url",
        default="",
        help="Address of Prometheus from here. Default: the operator's, through the API server.",
    ),
    click.option(
        "--prometheus-token-file",
        type=click.Path(path_type=Path, dir_okay=False, exists=True),
        help="File with a bearer token for it.",
    ),
)


def prometheus_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Where Prometheus is, and who asks it."""
    for option in reversed(_PROMETHEUS):
        command = option(command)
    return command
