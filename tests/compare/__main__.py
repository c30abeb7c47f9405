"""`make compare`: the same day of calls on a CallCluster and on Deployments with an HPA."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import click

from tests.cluster import choice, prepare
from tests.cluster.errors import HarnessError
from tests.cluster.images import Image
from tests.cluster.interface import Cluster
from tests.cluster.static_images import prometheus_adapter_archive
from tests.compare.figures import Figures, figures
from tests.compare.setting import begin, end, keep_what_it_said, set_up
from tests.compare.shape import DAY, Shape
from tests.compare.sides import NAMESPACE, SIDES, Operated, Plain
from tests.compare.table import caveat, document, markdown
from tests.compare.watch import Watch
from tests.demo.load_process import Event, LoadProcess
from tests.demo.setting import Fleet, keys_file, load_command, signalling

NAME = "callfleet-compare"
SHOWN = {"disconnected", "phase-started"}


@click.command()
@click.option(
    "--side",
    "names",
    multiple=True,
    type=click.Choice([side.name for side in SIDES]),
    help="Only this side; may be repeated. Default: all.",
)
@click.option(
    "--directory",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where figures, events and logs go. Default: a new folder for temporary files.",
)
def main(*, names: Sequence[str], directory: Path | None) -> None:
    """Run the same load on each side, one after the other, and print the figures side by side."""
    folder = directory or Path(tempfile.mkdtemp(prefix="callfleet-compare-"))
    folder.mkdir(parents=True, exist_ok=True)
    sides = [side for side in SIDES if side.name in names or not names]
    try:
        _compare(sides, DAY, folder)
    except HarnessError as error:
        raise click.ClickException(str(error)) from error


def _compare(sides: Sequence[Operated | Plain], shape: Shape, folder: Path) -> None:
    if choice.exists(NAME):
        choice.existing_run(NAME).down()
    cluster = choice.new_cluster(NAME)
    for purpose in (prepare.CLUSTER, prepare.IMAGES):
        prepare.install(purpose)
        prepare.build(purpose)
    if not cluster.pulls_images:
        prometheus_adapter_archive()
    outcomes: dict[str, Figures] = {}
    try:
        cluster.up(owned=True)
        images = set_up(cluster, folder)
        for side in sides:
            click.echo(f"{side.title}: {shape.seconds:.0f} s")
            outcomes[side.title] = _run(cluster, side, images, shape, folder / side.name)
            text = json.dumps(document(outcomes, shape), indent=1)
            (folder / "figures.json").write_text(f"{text}\n")
    finally:
        cluster.down()
    click.echo(markdown(outcomes))
    click.echo(caveat(outcomes))
    click.echo(f"Everything: {folder}")


def _run(
    cluster: Cluster, side: Operated | Plain, images: list[Image], shape: Shape, folder: Path
) -> Figures:
    folder.mkdir(exist_ok=True)
    begin(cluster, side, images)
    found = Fleet(
        signalling(cluster, namespace=NAMESPACE, service=side.service),
        keys_file(cluster, NAMESPACE, folder),
    )
    command = load_command(cluster, found, shape.scenario(), folder)
    events: list[Event] = []

    def on_event(event: Event) -> None:
        events.append(event)
        if event["event"] in SHOWN:
            click.echo(f"  {json.dumps({k: v for k, v in event.items() if v != ''})}")

    load = LoadProcess(command, folder / "load.log", on_event)
    try:
        with Watch(cluster, NAMESPACE, side.selector) as watch:
            _lead(load, shape, watch.started)
            keep_what_it_said(cluster, side, folder)
        if load.running:
            load.command(command="stop")
    finally:
        load.finish()
    (folder / "events.json").write_text(json.dumps(events, indent=1) + "\n")
    looks = [asdict(look) for look in watch.looks]
    (folder / "pods.json").write_text(
        json.dumps(
            {"began": watch.began.isoformat(), "looks": looks, "failures": watch.failures}, indent=1
        )
        + "\n"
    )
    report = folder / "load.json"
    if not report.exists():
        raise HarnessError(f"callfleet load wrote no report:\n{load.log}")
    outcome = figures(
        watch.looks,
        events,
        json.loads(report.read_text()),
        began=watch.began,
        seconds=shape.seconds,
        falls_after=shape.falls_after,
    )
    end(cluster, side)
    return outcome


def _lead(load: LoadProcess, shape: Shape, started: float) -> None:
    """Take the load through the day by the clock. Raises HarnessError if it ends before."""
    ends = started
    for number, step in enumerate(shape.steps, start=1):
        ends += step.seconds
        while (left := ends - time.monotonic()) > 0:
            if not load.running:
                raise HarnessError(f"callfleet load ended during {step.name}:\n{load.log}")
            time.sleep(min(left, 0.5))
        if number < len(shape.steps):
            load.command(command="next")


if __name__ == "__main__":
    main(prog_name="python -m tests.compare")
