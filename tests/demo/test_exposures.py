"""Calls from a client that reaches the node's address alone, in each way to reach an engine."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster.images import build_images
from tests.cluster.interface import Cluster
from tests.demo.setting import KEYS, install_chart

MANIFEST = Path(__file__).with_name("exposures.yaml")
LIMIT_SECONDS = 180
EXTERNAL_ADDRESS = "callfleet.dev/external-address"
PAIRS = {"turn-only": "relay-host", "host-port": "host-host", "host-network": "host-host"}
SCENARIO = {
    "phases": [{"name": "talk", "calls": 1, "participantsPerCall": 2, "limitSeconds": 60}],
}


@pytest.fixture
def fleets(cluster: Cluster, namespace: str, tmp_path: Path) -> Iterator[str]:
    """The namespace of a CallCluster of each exposure, all ready."""
    install_chart(cluster, build_images(), tmp_path)
    cluster.kubectl(
        "annotate", "node", "--all", "--overwrite", f"{EXTERNAL_ADDRESS}={cluster.node_address()}"
    )
    cluster.kubectl("-n", namespace, "apply", "-f", str(MANIFEST))
    for kind in ("turnpool", "callcluster"):
        cluster.kubectl(
            "-n", namespace, "wait", kind, "--all", "--for=condition=Ready",
            f"--timeout={LIMIT_SECONDS}s",
        )  # fmt: skip
    yield namespace
    cluster.kubectl("annotate", "node", "--all", f"{EXTERNAL_ADDRESS}-")


@pytest.mark.cluster
def test_each_exposure_has_its_pair(cluster: Cluster, fleets: str, tmp_path: Path) -> None:
    seen = {name: _pairs(cluster, fleets, name, tmp_path) for name in PAIRS}
    assert seen == {name: [pair, pair] for name, pair in PAIRS.items()}
    ports = {
        pod["metadata"]["labels"]["callfleet.dev/cluster"]: pod["metadata"]["annotations"][
            "callfleet.dev/media-port"
        ]
        for pod in _items(cluster, fleets, "pods", "-l", "app.kubernetes.io/component=engine")
    }
    assert ports["turn-only"] == "10000"
    assert {ports["host-port"], ports["host-network"]} == {"20500", "20501"}
    for found in _items(cluster, fleets, "callclusters"):
        conditions = {one["type"]: one["status"] for one in found["status"]["conditions"]}
        assert conditions["AddressKnown"] == "True", found["metadata"]["name"]


def _items(cluster: Cluster, namespace: str, *what: str) -> list[dict[str, Any]]:
    text = cluster.kubectl("-n", namespace, "get", *what, "-o", "json")
    items: list[dict[str, Any]] = json.loads(text)["items"]
    return items


def _pairs(cluster: Cluster, namespace: str, name: str, directory: Path) -> list[str]:
    """The pair of each participant of one call that was heard by the other."""
    service = json.loads(
        cluster.kubectl("-n", namespace, "get", "service", f"{name}-engine", "-o", "json")
    )
    (port,) = [p["nodePort"] for p in service["spec"]["ports"] if p["name"] == "signalling"]
    keys = directory / KEYS
    keys.write_text(
        cluster.kubectl(
            "-n", namespace, "get", "secret", "join-keys", "-o",
            "go-template={{index .data \"keys.json\" | base64decode}}",
        )
    )  # fmt: skip
    scenario = directory / "scenario.yaml"
    scenario.write_text(yaml.safe_dump(SCENARIO))
    command = cluster.in_client_network(
        [
            Path(sys.executable).parent / "callfleet",
            "load",
            *("--url", f"http://{cluster.node_address()}:{port}"),
            *("--keys-file", str(keys)),
            *("--scenario", str(scenario)),
            *("--report", str(directory / f"{name}.json")),
            *("--events", "-"),
        ]
    )
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=LIMIT_SECONDS
    )
    assert done.returncode == 0, f"{name}: {done.stdout}\n{done.stderr}"
    events = [json.loads(line) for line in done.stdout.splitlines()]
    return [event["pair"] for event in events if event["event"] == "connected"]
