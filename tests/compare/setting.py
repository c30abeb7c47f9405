"""Everything on the cluster that all sides share, and how one side begins and ends."""

from __future__ import annotations

import base64
import json
import time
from pathlib import Path
from string import Template
from urllib.parse import quote

import yaml

from tests.cluster.errors import HarnessError
from tests.cluster.images import Image, load_all
from tests.cluster.interface import Cluster
from tests.cluster.progress import step
from tests.cluster.static_images import PROMETHEUS_ADAPTER, prometheus_adapter_archive
from tests.compare.sides import HERE, NAMESPACE, OPERATED, Json, Operated, Plain
from tests.demo.setting import install_chart, rolled_out, start_services, wait_for

DATABASE = "callfleet"
METRIC = "callfleet_engine_utilization_percent"
SETTINGS = {"operator.demandWindowSeconds": 60}
"""Of the chart: as short as the day is. The operator decides every 15 s, as an HPA does."""
LIMIT_SECONDS = 240
POLL_SECONDS = 1.0


def set_up(cluster: Cluster, directory: Path) -> list[Image]:
    """Images, Prometheus and its adapter, PostgreSQL, the operator, one relay.

    Raises:
        HarnessError: a step failed; the text holds what the program said.
    """
    images = load_all(cluster)
    if not cluster.pulls_images:
        cluster.load([prometheus_adapter_archive()])
    start_services(cluster, NAMESPACE)
    with step("Starting prometheus-adapter", "15 s"):
        # Some of it stands in kube-system: each object names its own namespace.
        cluster.kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all(adapter_manifests()))
        rolled_out(cluster, NAMESPACE, "deployment/prometheus-adapter")
        api = "v1beta2.custom.metrics.k8s.io"
        wait_for(cluster, NAMESPACE, "apiservice", api, "condition=Available")
    with step("helm upgrade --install callfleet charts/callfleet", "10 s"):
        install_chart(cluster, images, directory, namespace=NAMESPACE, settings=SETTINGS)
    with step("Starting the relay", "10 s"):
        _apply(cluster, [o for o in fleet_manifests() if o["kind"] != "CallCluster"])
        wait_for(cluster, NAMESPACE, "turnpool", "--all", "condition=Ready")
    return images


def fleet_manifests() -> list[Json]:
    """Join keys, the pool of one relay, the CallCluster."""
    return list(yaml.safe_load_all((HERE / "fleet.yaml").read_text()))


def adapter_manifests() -> list[Json]:
    """prometheus-adapter and what it may do."""
    text = Template((HERE / "adapter.yaml").read_text())
    return list(yaml.safe_load_all(text.substitute(image=PROMETHEUS_ADAPTER, namespace=NAMESPACE)))


def begin(cluster: Cluster, side: Operated | Plain, images: list[Image]) -> None:
    """Start the engines of a side, and wait until their autoscaler has figures to go by.

    Raises:
        HarnessError: they did not come up.
    """
    if isinstance(side, Operated):
        _apply(cluster, [o for o in fleet_manifests() if o["kind"] == "CallCluster"])
        for condition in ("Ready", "MetricsAvailable"):
            wait_for(cluster, NAMESPACE, "callcluster", side.name, f"condition={condition}")
        return
    _apply(cluster, [_database(cluster, side)])
    (engine,) = [image.reference for image in images if image.part == "engine"]
    _apply(cluster, side.manifests(image=engine, node=cluster.node_address()))
    rolled_out(cluster, NAMESPACE, f"deployment/{side.name}")
    wait_for(cluster, NAMESPACE, "horizontalpodautoscaler", side.name, "condition=ScalingActive")


def end(cluster: Cluster, side: Operated | Plain) -> None:
    """Take a side away, so that the next one has the cores to itself. Raises HarnessError."""
    kinds = "callcluster" if side is OPERATED else "horizontalpodautoscaler,deployment,service"
    cluster.kubectl("-n", NAMESPACE, "delete", kinds, side.name, "--ignore-not-found")
    deadline = time.monotonic() + LIMIT_SECONDS
    while left := json.loads(
        cluster.kubectl("-n", NAMESPACE, "get", "pods", "-l", side.selector, "-o", "json")
    )["items"]:
        if time.monotonic() > deadline:
            raise HarnessError(f"{len(left)} pods of {side.name} did not end")
        time.sleep(POLL_SECONDS)


def keep_what_it_said(cluster: Cluster, side: Operated | Plain, directory: Path) -> None:
    """Events and the state of the autoscaler, for who wants to know why. Raises HarnessError."""
    kind = "callcluster" if isinstance(side, Operated) else "horizontalpodautoscaler"
    for name, arguments in {
        "autoscaler.txt": ("describe", kind, side.name),
        "events.txt": ("get", "events", "--sort-by=.lastTimestamp"),
    }.items():
        (directory / name).write_text(cluster.kubectl("-n", NAMESPACE, *arguments))


def _database(cluster: Cluster, side: Plain) -> Json:
    """A database of the side's own in the same server, and the Secret with its address."""
    name = side.name.replace("-", "_")
    cluster.kubectl(
        "-n", NAMESPACE, "exec", "statefulset/postgresql", "--",
        "createdb", "--no-password", "--username=callfleet", name,
    )  # fmt: skip
    uri = base64.b64decode(
        cluster.kubectl("-n", NAMESPACE, "get", "secret", "calls-db", "-o", "jsonpath={.data.uri}")
    ).decode()
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": f"{side.name}-db"},
        "stringData": {"uri": uri.removesuffix(f"/{DATABASE}") + f"/{quote(name)}"},
    }


def _apply(cluster: Cluster, objects: list[Json]) -> None:
    cluster.kubectl("-n", NAMESPACE, "apply", "-f", "-", stdin=yaml.safe_dump_all(objects))
