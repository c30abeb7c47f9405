"""Runs docs/quickstart.md, whole and as written, on a cluster of its own.

    python -m tests.docs.quickstart

What stands in for a reader's own is what the page names: no registry, one node with few CPUs, its
address. `tests/docs/test_quickstart.py` runs what needs no node in each run of the tests.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import yaml

from tests.cluster import choice
from tests.cluster.cache import scratch
from tests.cluster.images import load_all
from tests.cluster.interface import Cluster
from tests.cluster.paths import state_root
from tests.docs.commands import CHECKOUT, blocks
from tests.docs.shell import environment

NAME = "callfleet-quickstart"
REGISTRY = " REGISTRY=registry.example.org/team"
FOREIGN_ADDRESS = "203.0.113.7"
FEW_CPUS = {"requests": {"cpu": "100m", "memory": "128Mi"}}
LIMIT_SECONDS = 900


def main() -> int:
    cluster = choice.new_cluster(NAME)
    cluster.up(owned=True)
    try:
        load_all(cluster)
        with scratch(state_root() / NAME) as folder:
            return run(cluster, folder)
    finally:
        cluster.down()


def run(cluster: Cluster, folder: Path) -> int:
    """The exit code of one shell that has been given every block."""
    checkout_for_one_node(folder)
    node = cluster.kubectl("get", "nodes", "-o", "jsonpath={.items[0].metadata.name}")
    words = {REGISTRY: "", " NODE ": f" {node} ", FOREIGN_ADDRESS: cluster.node_address()}
    page = "\n".join(blocks("quickstart"))
    for word, own in words.items():
        assert word in page, f"the page no longer has {word!r}"
        page = page.replace(word, own)
    named = [f"{name}={value}" for name, value in environment(cluster.kubeconfig).items()]
    script = f"set -x\ntrap 'kill $(jobs -p)' EXIT\n{page}"
    command = ["env", *named, "bash", "-o", "pipefail", "-euc", script]
    began = time.monotonic()
    done = subprocess.run(
        cluster.in_cluster_network(command), cwd=folder, check=False, timeout=LIMIT_SECONDS
    )
    print(f"Ended with {done.returncode} after {time.monotonic() - began:.0f} s.")
    return done.returncode


def checkout_for_one_node(folder: Path) -> None:
    """The checkout, with the example as the page has it for one node with few CPUs."""
    for entry in CHECKOUT.iterdir():
        if entry.name != "examples":
            (folder / entry.name).symlink_to(entry)
    (folder / "examples").mkdir()
    for example in (CHECKOUT / "examples").glob("*.yaml"):
        (folder / "examples" / example.name).symlink_to(example)
    ours = folder / "examples" / "quickstart.yaml"
    ours.unlink()
    documents = list(yaml.safe_load_all((CHECKOUT / "examples/quickstart.yaml").read_text("utf-8")))
    ours.write_text(yaml.safe_dump_all(map(for_one_node, documents)))


def for_one_node(document: dict[str, Any]) -> dict[str, Any]:
    if document["kind"] == "Namespace":
        return document
    spec = document["spec"] | {"resources": FEW_CPUS}
    if document["kind"] == "TurnPool":
        spec["scaling"] = spec["scaling"] | {"minReplicas": 1}
    return document | {"spec": spec}


if __name__ == "__main__":
    os.environ.setdefault("PYTHONUNBUFFERED", "1")
    sys.exit(main())
