"""One run: play the scenes, sum up."""

from __future__ import annotations

import json
import time
from pathlib import Path

from rich.console import Console

from tests.cluster.errors import HarnessError
from tests.cluster.interface import Cluster
from tests.demo import scenes
from tests.demo.load_process import LoadProcess
from tests.demo.screen import Screen
from tests.demo.setting import NAMESPACE, Fleet, load_command
from tests.demo.sizes import Sizes
from tests.demo.snapshot import Snapshot
from tests.demo.stage import NotSeenError, Stage
from tests.demo.summary import print_summary
from tests.demo.timeline import Timeline

KINDS = "callclusters.callfleet.dev,turnpools.callfleet.dev"


def play(cluster: Cluster, fleet: Fleet, directory: Path, sizes: Sizes, console: Console) -> bool:
    """Play all scenes on a fleet that was set up.

    Returns whether every expectation was met. The timeline is written in any case.
    """
    timeline = Timeline()
    with Screen(console) as screen:
        stage = Stage(cluster, NAMESPACE, timeline, sizes, screen.show)
        report: dict[str, object] = {}
        with stage:
            try:
                report = _scenes(stage, screen, fleet, directory)
            finally:
                timeline.write(directory / "timeline.json")
    print_summary(console, timeline, stage.expectations, stage.load.events, report)
    console.print(
        cluster.kubectl("-n", NAMESPACE, "get", KINDS),
        markup=False,
        highlight=False,
        soft_wrap=True,
    )
    console.print(f"Timeline: {directory / 'timeline.json'}", highlight=False, soft_wrap=True)
    return all(expectation.met for expectation in stage.expectations)


def _scenes(stage: Stage, screen: Screen, fleet: Fleet, directory: Path) -> dict[str, object]:
    stage.wait("one engine and one relay", _ready)
    command = load_command(stage.cluster, fleet, scenes.scenario(stage.sizes), directory)

    def on_event(event: dict[str, object]) -> None:
        stage.timeline.add("load", event=event)
        screen.event(event)

    stage.load = screen.load = LoadProcess(command, directory / "load.log", on_event)
    for scene in scenes.SCENES:
        screen.scene(scene.title)
        started = time.monotonic()
        try:
            scene.play(stage)
        except (NotSeenError, HarnessError) as missed:
            stage.expect(scene.name, scene.title, met=False, seen=missed)
            break
        screen.happened(f"{scene.name}: {time.monotonic() - started:.0f} s")
    return _end_of_load(stage, directory)


def _ready(seen: Snapshot) -> bool:
    return seen.engines.ready_and_open == 1 and seen.relays.ready_and_open == 1


def _end_of_load(stage: Stage, directory: Path) -> dict[str, object]:
    if stage.load.running:
        stage.load.command(command="stop")
    code = stage.load.finish()
    file = directory / "load.json"
    report: dict[str, object] = json.loads(file.read_text()) if file.exists() else {}
    stage.expect(
        "load",
        "nobody was disconnected against their will",
        met=code == 0 and report.get("disconnected") == 0,
        seen=f"callfleet load ended with {code}, {report.get('disconnected')} disconnected"
        + ("" if code == 0 else f"\n{(directory / 'load.log').read_text()[-2000:]}"),
    )
    return report
