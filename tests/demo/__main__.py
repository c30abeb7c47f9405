"""`make demo`: from an empty machine to calls, scaling and back, shown as it happens."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import click
from rich.console import Console

from tests.cluster import choice, prepare
from tests.cluster.errors import HarnessError
from tests.cluster.interface import Cluster
from tests.demo.run import play
from tests.demo.setting import KEYS, NAMESPACE, join_link, set_up
from tests.demo.sizes import DEMO

NAME = "callfleet-demo"
PLAIN_WIDTH = 160
"""Columns where the output is no terminal."""


@click.command()
@click.option("--keep", is_flag=True, help="Leave the fleet and its cluster up afterwards.")
@click.option(
    "--directory",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where timeline, load report and logs go. Default: a new folder for temporary files.",
)
def main(*, keep: bool, directory: Path | None) -> None:
    """Run the whole demo. Ends with 0 only if every expectation was met."""
    console = Console(width=None if sys.stdout.isatty() else PLAIN_WIDTH)
    folder = directory or Path(tempfile.mkdtemp(prefix="callfleet-demo-"))
    folder.mkdir(parents=True, exist_ok=True)
    try:
        met = _demo(console, folder, keep=keep)
    except HarnessError as error:
        raise click.ClickException(str(error)) from error
    sys.exit(0 if met else 1)


def _demo(console: Console, folder: Path, *, keep: bool) -> bool:
    if choice.exists(NAME):
        choice.existing_run(NAME).down()
    cluster = choice.new_cluster(NAME)
    for purpose in (prepare.CLUSTER, prepare.IMAGES):
        prepare.install(purpose)
        prepare.build(purpose)
    try:
        cluster.up(owned=not keep)
        met = play(cluster, set_up(cluster, folder), folder, DEMO, console)
    except BaseException:
        if keep:
            console.print(f"What there is stays up: {cluster.kubeconfig}", soft_wrap=True)
        raise
    else:
        if keep:
            _tell_how_to_go_on(console, cluster, folder)
        return met
    finally:
        if not keep:
            cluster.down()


def _tell_how_to_go_on(console: Console, cluster: Cluster, folder: Path) -> None:
    lines = (
        f"The fleet stays up. Namespace {NAMESPACE}, kubeconfig {cluster.kubeconfig}",
        f"  python -m tests.cluster exec --name {NAME} -- kubectl get callclusters,turnpools -A",
        f"A call, from the cluster's network: {join_link(cluster, folder / KEYS)}",
        "`make clean-demo` takes it down.",
    )
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)


if __name__ == "__main__":
    main(prog_name="python -m tests.demo")
