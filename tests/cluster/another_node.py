"""Another node, for tests that empty one."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.cluster.errors import HarnessError
from tests.cluster.interface import Cluster
from tests.cluster.local import LocalCluster


@contextmanager
def another_node(cluster: Cluster, first: str, archives: Sequence[Path]) -> Iterator[str]:
    """The name of a node other than the first, ready and with the images of these archives.

    A cluster of local programs gets one for the time of the block; another cluster must have it.

    Raises:
        HarnessError: it has none.
    """
    if isinstance(cluster, LocalCluster):
        name = cluster.add_node(archives)
        try:
            yield name
        finally:
            cluster.remove_node()
        return
    nodes = json.loads(cluster.kubectl("get", "nodes", "-o=json"))["items"]
    for node in nodes:
        if node["metadata"]["name"] != first and not node["spec"].get("taints"):
            yield node["metadata"]["name"]
            return
    raise HarnessError(
        f"the cluster {cluster.name} has no node beside {first}: set CALLFLEET_CLUSTER to local, "
        "or CALLFLEET_KUBECONFIG to a cluster of several nodes"
    )
