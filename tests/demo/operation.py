"""One operation on a fleet with calls: how a test starts the calls, looks on and judges."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from tests.cluster.clients import kubectl
from tests.cluster.interface import Cluster
from tests.demo.load_process import LoadProcess
from tests.demo.media import watch_media_while_draining
from tests.demo.screen import Screen
from tests.demo.setting import NAMESPACE, Fleet, load_command
from tests.demo.sizes import TEST
from tests.demo.snapshot import Fleet as SeenFleet
from tests.demo.snapshot import Pod, Snapshot
from tests.demo.stage import Stage
from tests.demo.timeline import Timeline

FIGURES = (
    "packets", "missing", "disconnected", "moved",
    "median_move_gap_seconds", "longest_move_gap_seconds",
)  # fmt: skip
"""Of the load's report, for who looks on (`pytest -s`)."""


SMALL_VIDEO = {"width": 160, "height": 90, "framesPerSecond": 5, "kilobitsPerSecond": 40}
"""Gaps show in any stream; a machine that is busy with other things keeps up with this one."""


class Operation:
    """What a test does to the fleet and to its callers, and what it waits for."""

    def __init__(self, stage: Stage, name: str) -> None:
        self.stage = stage
        self.name = name
        self._phases = 0

    @property
    def cluster(self) -> Cluster:
        return self.stage.cluster

    def only_pods(self) -> tuple[Pod, Pod]:
        """The engine and the relay, once there is one of each and every call is there."""
        self._until_everybody_talks()
        seen = self.stage.wait("one engine and one relay", _is_small)
        return seen.engines.pods[0], seen.relays.pods[0]

    def call(self) -> None:
        """The next phase's calls come or stay; return when all in them hear one another."""
        self._phases += 1
        self.stage.load.command(command="next")
        self._until_everybody_talks()

    def print_gaps(self, what: str) -> None:
        """How long each participant was without media at each change of pod or relay so far."""
        back = [event for event in self.stage.load.events if event["event"] == "media-back"]
        gaps = ", ".join(str(event["gapMs"]) for event in back)
        print(f"{self.name}, without media {what}: {gaps} ms")

    def happened(self, event: str) -> int:
        """How many such events the callers have reported."""
        return self.stage.load.counts[event]

    def _until_everybody_talks(self) -> None:
        phase = f"phase-{self._phases}"
        self.stage.wait("everybody in calls", lambda _: self.stage.load.reached(phase))

    def calls_on(self, pod: Pod) -> int:
        """Calls that the pod has, as the callers know it."""
        return len(self.stage.load.calls_on(pod.name))

    def replacement_of(self, pod: Pod) -> Pod:
        """An open engine in place of one that drains, or has gone by now, once it is so."""
        seen = self.stage.wait(
            f"another pod in place of {pod.name}",
            lambda seen: not is_open(seen.engines, pod) and bool(others_open(seen.engines, pod)),
        )
        return others_open(seen.engines, pod)[0]

    def relay_in_place_of(self, relay: Pod) -> Pod:
        """An open relay in place of one that drains, once engines have been told."""
        seen = self.stage.wait(
            f"{relay.name} draining and another relay in its place",
            lambda seen: drains(seen.relays, relay) and bool(others_open(seen.relays, relay)),
        )
        self.stage.wait_for_rounds(2)
        return others_open(seen.relays, relay)[0]

    def moved_to(self, node: str) -> tuple[Pod, Pod]:
        """The engine and the relay that have been made on another node, once engines have been
        told of the relay."""

        def serving(fleet: SeenFleet) -> list[Pod]:
            return [pod for pod in fleet.pods if pod.serves and pod.node == node]

        def drained_elsewhere(fleet: SeenFleet) -> bool:
            others = [pod for pod in fleet.pods if pod.node != node]
            return bool(serving(fleet)) and not any(pod.serves for pod in others)

        seen = self.stage.wait(
            f"an engine and a relay on {node} alone",
            lambda seen: drained_elsewhere(seen.engines) and drained_elsewhere(seen.relays),
        )
        self.stage.wait_for_rounds(2)
        return serving(seen.engines)[0], serving(seen.relays)[0]

    def watch_media(self, draining: Pod) -> None:
        """Expect that the drain costs its participants no packet."""
        watch_media_while_draining(self.stage, self.name, draining)

    def hang_up(self, pod: Pod) -> None:
        """Everybody on a pod hangs up; return when it is gone."""
        self.stage.load.command(command="end-calls", pod=pod.name)
        self.wait_gone(pod)

    def wait_gone(self, *pods: Pod) -> Snapshot:
        """Return when these pods are deleted."""
        uids = {pod.uid for pod in pods}
        names = ", ".join(pod.name for pod in pods)
        return self.stage.wait(
            f"{names} gone",
            lambda seen: uids.isdisjoint(p.uid for p in seen.engines.pods + seen.relays.pods),
        )

    def callfleet(self, *arguments: str) -> str:
        """Output of `callfleet`, run by the administrator."""
        return callfleet(self.cluster, *arguments)

    @contextmanager
    def node_drain(self, node: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
        """`kubectl drain`, while the block runs; it has to have ended well by the block's end,
        when pods may come back to the node."""
        limit = self.stage.sizes.limit_seconds
        argv: list[str | Path] = [kubectl(), f"--kubeconfig={self.cluster.kubeconfig}", "drain"]
        argv += [node, *arguments, f"--timeout={limit}s"]
        with subprocess.Popen(
            self.cluster.in_cluster_network(argv),
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        ) as drain:  # fmt: skip
            try:
                yield drain
                said, _ = drain.communicate(timeout=limit)
            finally:
                drain.kill()
                self.cluster.kubectl("uncordon", node)
        assert drain.returncode == 0, said
        self.stage.timeline.add("node-drained", node=node, said=said.splitlines())


def callfleet(cluster: Cluster, *arguments: str) -> str:
    """Output of `callfleet`, run by the administrator where the API server is reached."""
    program = Path(sys.executable).parent / "callfleet"
    where = (f"--namespace={NAMESPACE}", f"--kubeconfig={cluster.kubeconfig}")
    done = subprocess.run(
        cluster.in_cluster_network([program, *arguments, *where]),
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def drains(fleet: SeenFleet, pod: Pod) -> bool:
    """The pod is cordoned, and there."""
    now = fleet.pod(pod.uid)
    return now is not None and now.admission == "Cordoned" and not now.terminating


def is_open(fleet: SeenFleet, pod: Pod) -> bool:
    """The pod is there and not cordoned."""
    now = fleet.pod(pod.uid)
    return now is not None and now.admission == "Open"


def others_open(fleet: SeenFleet, pod: Pod) -> list[Pod]:
    """The pods beside it that take new calls."""
    return [one for one in fleet.pods if one.serves and one.uid != pod.uid]


def _is_small(seen: Snapshot) -> bool:
    fleets = (seen.engines, seen.relays)
    return all(fleet.ready_and_open == len(fleet.pods) == 1 for fleet in fleets)


@contextmanager
def operation(
    cluster: Cluster, fleet: Fleet, name: str, directory: Path, calls: Sequence[int]
) -> Iterator[Operation]:
    """Calls that run while the block does. `calls` is the number of calls in each phase; those
    that `hang_up` has ended are taken off until the phase ends.

    At its end everything that was expected must have been met, and nobody been cut.
    """
    timeline = Timeline()
    with (directory / "screen.txt").open("w") as file, Screen(Console(file=file)) as screen:
        stage = Stage(cluster, NAMESPACE, timeline, TEST, screen.show)
        with stage:
            stage.wait("one engine and one relay", _is_small)
            command = load_command(cluster, fleet, _scenario(name, calls), directory)
            stage.load = screen.load = LoadProcess(
                command,
                directory / "load.log",
                lambda event: timeline.add("load", event=event),
            )
            try:
                yield Operation(stage, name)
            finally:
                if stage.load.running:
                    stage.load.command(command="stop")
                code = stage.load.finish()
                timeline.write(directory / "timeline.json")
    report = json.loads((directory / "load.json").read_text())
    print(f"{name}:", *(f"{figure} {report[figure]}" for figure in FIGURES), sep="\n  ")
    assert (code, report["disconnected"]) == (0, 0), report
    assert [one for one in stage.expectations if not one.met] == []


def _scenario(name: str, calls: Sequence[int]) -> dict[str, object]:
    return {
        "roomPrefix": name,
        "joinsPerSecond": 8,
        "video": SMALL_VIDEO,
        "phases": [
            {
                "name": f"phase-{number}",
                "calls": wanted,
                "participantsPerCall": TEST.participants_per_call,
                "until": "command",
                "limitSeconds": 4 * TEST.limit_seconds,
            }
            for number, wanted in enumerate(calls)
        ],
    }
