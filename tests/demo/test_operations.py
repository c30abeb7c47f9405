"""What people do to a fleet while it has calls, and what befalls it: nobody is cut by any of it."""

from __future__ import annotations

import json
import subprocess
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.callfleet_operator.reconcile.witness import fewest_open
from tests.cluster.another_node import another_node
from tests.cluster.audit import AuditEvent, AuditLog
from tests.cluster.clients import kubectl
from tests.cluster.images import build_images
from tests.cluster.interface import Cluster
from tests.cluster.local import LocalCluster
from tests.demo.life_of_pods import acting_pods, gone_without_seal, of_component
from tests.demo.operation import callfleet, drains, operation, others_open
from tests.demo.setting import CLUSTER, NAMESPACE, POOL, Fleet, example_file
from tests.demo.stage import OPERATOR_NAMESPACE
from tests.docs.commands import OF_THE_OPERATOR, commands, filled_in
from tests.waiting import eventually

pytestmark = pytest.mark.cluster

ENGINES, RELAYS = f"callcluster/{CLUSTER}", f"turnpool/{POOL}"
OPERATOR = "callfleet-operator"
OPERATOR_ACCOUNT = f"system:serviceaccount:{OPERATOR_NAMESPACE}:{OPERATOR}"
ONE_OF_EACH = {"spec": {"scaling": {"maxReplicas": 1}}}
"""One pod is the plan's number whatever the machine's load is: every other one that is seen is
there for the operation."""
MOVED_AT_ONCE = {"spec": {"drain": {"deadlineSeconds": 0, "onDeadline": "Reconnect"}}}
NOT_MOVED = {"spec": {"drain": {"deadlineSeconds": None, "onDeadline": None}}}


@dataclass(frozen=True)
class Since:
    """The audit log from a moment on, and the pods of that moment."""

    log: AuditLog
    mark: int
    pods: list[dict[str, Any]]

    def events(self) -> list[AuditEvent]:
        return [one for one in self.log.events(self.mark) if one.namespace == NAMESPACE]


@pytest.fixture(scope="module")
def fleet(cluster: Cluster, demo_fleet: Fleet) -> Iterator[Fleet]:
    """The demo's fleet, kept to one engine and one relay."""
    for name in (ENGINES, RELAYS):
        _patch(cluster, name, ONE_OF_EACH)
    yield demo_fleet
    cluster.kubectl("-n", NAMESPACE, "apply", "-f", str(example_file("demo")))


@pytest.fixture(autouse=True)
def audited(cluster: Cluster, fleet: Fleet) -> Iterator[Since | None]:
    """No test lets a pod be deleted, or evicted, that had not sealed itself. None: the cluster is
    one whose log cannot be read."""
    since = None
    if isinstance(cluster, LocalCluster):
        pods = json.loads(cluster.kubectl("-n", NAMESPACE, "get", "pods", "-o", "json"))["items"]
        since = Since(cluster.audit, cluster.audit.mark(), pods)
    yield since
    if since is not None:
        assert gone_without_seal(since.events(), since.pods, OPERATOR_ACCOUNT) == []


def test_a_drain_taken_back(cluster: Cluster, fleet: Fleet, tmp_path: Path) -> None:
    with operation(cluster, fleet, "taken-back", tmp_path, calls=(2, 3, 4)) as now:
        pod, _ = now.only_pods()
        now.callfleet("drain", pod.name, "--reason", "its node is noisy")
        replacement = now.replacement_of(pod)
        now.call()
        assert (now.calls_on(pod), now.calls_on(replacement)) == (2, 1)
        now.watch_media(pod)

        now.callfleet("undrain", pod.name)
        now.stage.wait(
            f"{pod.name} open again, and the pod in its place one too many",
            lambda seen: (
                pod.uid in {one.uid for one in others_open(seen.engines, replacement)}
                and drains(seen.engines, replacement)
            ),
        )
        now.stage.wait_for_rounds(2)  # labelled, it is told
        now.call()
        assert (now.calls_on(pod), now.calls_on(replacement)) == (3, 1)
        now.watch_media(replacement)
        now.hang_up(replacement)

        (left,) = now.stage.now.engines.pods
        assert (left.uid, left.serves) == (pod.uid, True)
        assert now.calls_on(pod) == 3


def test_a_rollout(cluster: Cluster, fleet: Fleet, tmp_path: Path, audited: Since | None) -> None:
    with operation(cluster, fleet, "rollout", tmp_path, calls=(2, 3)) as now:
        pod, relay = now.only_pods()
        change = {
            "env": [{"name": "ROUND", "value": uuid.uuid4().hex}],
            "drain": {"terminationGracePeriodSeconds": 30},
        }
        for name in (ENGINES, RELAYS):
            _patch(cluster, name, {"spec": change})
        replacement = now.replacement_of(pod)
        now.relay_in_place_of(relay)
        now.call()
        assert (now.calls_on(pod), now.calls_on(replacement)) == (2, 1)
        now.watch_media(pod)
        now.hang_up(pod)
        now.wait_gone(relay)

        done = now.stage.wait(
            "the rollout finished",
            lambda seen: all(
                fleet.condition("Progressing") == "False" for fleet in (seen.engines, seen.relays)
            ),
        )
        assert [one.revision for one in done.engines.pods] == [replacement.revision]
        assert replacement.revision != pod.revision
        assert relay.revision not in {one.revision for one in done.relays.pods}
        assert now.calls_on(replacement) == 1
    if audited is not None:
        for component in ("engine", "relay"):
            events = of_component(audited.events(), component)
            assert fewest_open(events, _of_component(audited.pods, component)) == 1, component


def test_a_node_drain(cluster: Cluster, fleet: Fleet, tmp_path: Path) -> None:
    archives = [image.archive for image in build_images() if image.part != "operator"]
    of_fleet = "--pod-selector=app.kubernetes.io/component in (engine,relay)"
    throw_away = ("--ignore-daemonsets", "--delete-emptydir-data")
    with operation(cluster, fleet, "node-drain", tmp_path, calls=(1, 2, 2)) as now:
        pod, relay = now.only_pods()
        first = pod.node
        with another_node(cluster, first, archives) as second:
            # What serves the fleet has no other node to go to: the drain is of its pods only.
            with now.node_drain(first, of_fleet, *throw_away) as drain:
                moved, moved_relay = now.moved_to(second)
                now.call()
                assert (now.calls_on(pod), now.calls_on(moved)) == (1, 1)
                now.watch_media(pod)
                assert drain.poll() is None
                now.hang_up(pod)
                now.wait_gone(relay)

            with now.node_drain(second, *throw_away) as drain:
                back, _ = now.moved_to(first)
                now.call()
                assert (now.calls_on(moved), now.calls_on(back)) == (1, 1)
                now.watch_media(moved)
                assert drain.poll() is None
                now.hang_up(moved)
                now.wait_gone(moved_relay)
            assert now.calls_on(back) == 1


def test_the_loss_of_the_leader_during_a_drain(
    cluster: Cluster, fleet: Fleet, tmp_path: Path, audited: Since | None
) -> None:
    with operation(cluster, fleet, "leader-loss", tmp_path, calls=(1, 2)) as now:
        pod, _ = now.only_pods()
        now.callfleet("drain", pod.name)
        replacement = now.replacement_of(pod)
        lost = _leader(cluster)
        _kill_operator(cluster, lost)
        now.call()
        assert (now.calls_on(pod), now.calls_on(replacement)) == (1, 1)
        now.watch_media(pod)
        now.stage.wait("another leader", lambda _: _leader(cluster) not in ("", lost))
        now.hang_up(pod)
        assert now.calls_on(replacement) == 1
    if audited is not None:
        acted = acting_pods(audited.events(), OPERATOR_ACCOUNT, NAMESPACE)
        assert len(acted) == len(set(acted)), acted
        assert _leader(cluster).startswith(acted[-1])
    cluster.kubectl(
        "-n", OPERATOR_NAMESPACE, "wait", "deployment", "--all", "--for=condition=Available",
        "--timeout=240s",
    )  # fmt: skip


def test_calls_moved_by_reconnect(cluster: Cluster, fleet: Fleet, tmp_path: Path) -> None:
    with operation(cluster, fleet, "reconnect", tmp_path, calls=(2, 2, 2)) as now:
        pod, relay = now.only_pods()
        for name in (ENGINES, RELAYS):
            _patch(cluster, name, MOVED_AT_ONCE)
        now.callfleet("drain", pod.name)
        replacement = now.replacement_of(pod)
        now.wait_gone(pod)
        now.call()
        assert now.happened("moved") == 4
        assert now.calls_on(replacement) == 2
        now.print_gaps("at the change of engine")

        changes = now.happened("relay-changed")
        now.callfleet("drain", relay.name)
        now.wait_gone(relay)
        now.call()
        assert now.happened("relay-changed") == changes + 4
        assert now.happened("moved") == 4
        now.print_gaps("at the changes of engine and relay")
        for name in (ENGINES, RELAYS):
            _patch(cluster, name, NOT_MOVED)


def test_a_pod_that_a_person_deletes(cluster: Cluster, fleet: Fleet, tmp_path: Path) -> None:
    """What it still has at the end of its grace goes to another pod."""
    with operation(cluster, fleet, "deleted", tmp_path, calls=(2, 2)) as now:
        pod, _ = now.only_pods()
        now.callfleet("drain", pod.name)
        replacement = now.replacement_of(pod)
        cluster.kubectl("-n", NAMESPACE, "delete", "pod", pod.name, "--wait=false")
        now.wait_gone(pod)
        now.call()
        assert now.happened("moved") == 4
        assert now.calls_on(replacement) == 2
        now.print_gaps("at the end of the grace")


def test_the_past_is_replayed_through_the_api_server(cluster: Cluster, fleet: Fleet) -> None:
    """No address of Prometheus is given, and none is reached from here."""

    def replayed() -> dict[str, Any]:
        change = "--set=spec.scaling.targetUtilizationPercent=50"
        options = (change, "--since=3m", "--call-minutes=2", "--output=json")
        said = callfleet(cluster, "simulate", CLUSTER, *options)
        found: dict[str, Any] = json.loads(said)
        return found

    past = eventually(replayed, within=300)  # until Prometheus knows three minutes
    assert past["object"] == f"CallCluster {NAMESPACE}/{CLUSTER}"
    assert past["seconds"] == 180
    names = [outcome["name"] for outcome in past["outcomes"]]
    assert names == ["Callfleet, as it is", "Callfleet, changed", "HPA", "KEDA"]
    assert all(outcome["mostPods"] >= 1 for outcome in past["outcomes"])


def test_commands_of_the_documents_that_look_at_the_operator(
    cluster: Cluster, fleet: Fleet
) -> None:
    written = {
        command
        for page in ("operations", "troubleshooting")
        for command in commands(page)
        if OF_THE_OPERATOR in command
    }
    assert len(written) >= 4
    client = f"{kubectl()} --kubeconfig={cluster.kubeconfig}"
    for command in written:
        run = filled_in(command, {"NAMESPACE": NAMESPACE}).replace("kubectl", client, 1)
        shell = ["bash", "-o", "pipefail", "-c", run]
        done = subprocess.run(
            cluster.in_cluster_network(shell), capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, (command, done.stderr)
        assert done.stdout, command


def _patch(cluster: Cluster, name: str, change: Mapping[str, object]) -> None:
    cluster.kubectl(
        "-n", NAMESPACE, "patch", name, "--type", "merge", "--patch", json.dumps(change)
    )


def _of_component(pods: list[dict[str, Any]], component: str) -> list[dict[str, Any]]:
    label = "app.kubernetes.io/component"
    return [pod for pod in pods if pod["metadata"]["labels"].get(label) == component]


def _leader(cluster: Cluster) -> str:
    """Who holds the Lease: its pod's name and something of its process's own; empty: nobody."""
    lease = json.loads(
        cluster.kubectl("-n", OPERATOR_NAMESPACE, "get", "lease", OPERATOR, "-o", "json")
    )
    return str(lease["spec"].get("holderIdentity", ""))


def _kill_operator(cluster: Cluster, leader: str) -> None:
    """End a replica without a word: SIGKILL, or where no process can be reached a forced delete."""
    names = cluster.kubectl(
        "-n", OPERATOR_NAMESPACE, "get", "pods", "-o", "jsonpath={.items[*].metadata.name}"
    ).split()
    (pod,) = [name for name in names if leader.startswith(name)]
    if isinstance(cluster, LocalCluster):
        cluster.kill_pod(OPERATOR_NAMESPACE, pod)
    else:
        cluster.kubectl(
            "-n", OPERATOR_NAMESPACE, "delete", "pod", pod, "--force", "--grace-period=0"
        )
