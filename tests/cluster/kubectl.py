"""kubectl as a cluster's administrator, inside the cluster's network."""

from __future__ import annotations

import json
import subprocess

from tests.cluster.clients import kubectl
from tests.cluster.errors import HarnessError
from tests.cluster.interface import Cluster

TIMEOUT_SECONDS = 300


def run(cluster: Cluster, *arguments: str, stdin: str | None = None) -> str:
    """Its output. Raises HarnessError if it fails."""
    argv = cluster.in_cluster_network([kubectl(), f"--kubeconfig={cluster.kubeconfig}", *arguments])
    done = subprocess.run(
        argv, input=stdin, capture_output=True, text=True, check=False, timeout=TIMEOUT_SECONDS
    )
    if done.returncode:
        raise HarnessError(f"kubectl {' '.join(arguments)}: {done.stderr}")
    return done.stdout


def node_address(cluster: Cluster) -> str:
    """Where a client reaches a node: its ExternalIP if it has one, else its InternalIP."""
    nodes = json.loads(run(cluster, "get", "nodes", "--output=json"))["items"]
    for kind in ("ExternalIP", "InternalIP"):
        for node in nodes:
            for address in node["status"]["addresses"]:
                if address["type"] == kind:
                    return str(address["address"])
    raise HarnessError(f"no node of {cluster.name} has an address")
