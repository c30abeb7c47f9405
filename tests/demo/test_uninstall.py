"""docs/uninstall.md, its commands as written, on a fleet that has calls.

The last of these tests: it leaves no operator and no fleet.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.interface import Cluster
from tests.demo.operation import operation
from tests.demo.setting import CLUSTER, NAMESPACE, POOL, Fleet
from tests.demo.stage import OPERATOR_NAMESPACE
from tests.docs.commands import commands, filled_in
from tests.docs.shell import run
from tests.waiting import eventually

pytestmark = pytest.mark.cluster

OURS = "app.kubernetes.io/managed-by=callfleet-operator"
MADE = (
    "pods,services,configmaps,secrets,serviceaccounts,controllerrevisions,"
    "poddisruptionbudgets,networkpolicies"
)
ONE_OF_EACH = json.dumps({"spec": {"scaling": {"maxReplicas": 1}}})


def test_uninstalling_never_hangs(cluster: Cluster, demo_fleet: Fleet, tmp_path: Path) -> None:
    helm_uninstall, delete_fleets, wait_for_pods, *_ = (
        filled_in(command, {"NAMESPACE": NAMESPACE}) for command in commands("uninstall")
    )
    for name in (f"callcluster/{CLUSTER}", f"turnpool/{POOL}"):
        cluster.kubectl("-n", NAMESPACE, "patch", name, "--type=merge", f"--patch={ONE_OF_EACH}")
    with operation(cluster, demo_fleet, "uninstall", tmp_path, calls=(1, 2)) as now:
        now.only_pods()
        pods = _as_they_are(cluster)

        assert "uninstalled" in run(helm_uninstall, cluster.kubeconfig, cluster=cluster)

        label = "app.kubernetes.io/name=callfleet-operator"
        cluster.kubectl(
            *("-n", OPERATOR_NAMESPACE, "wait", "--for=delete", "pod"),
            *("--selector", label, "--timeout=240s"),
        )
        now.call()  # one more begins, and everybody hears everybody
        assert _as_they_are(cluster) == pods
        assert len(_items(cluster, "callclusters,turnpools")) == 2

    assert "deleted" in run(delete_fleets, cluster.kubeconfig, cluster=cluster)
    assert _items(cluster, "callclusters,turnpools") == []
    run(wait_for_pods, cluster.kubeconfig, cluster=cluster)

    def nothing_is_left() -> None:
        assert _names(_items(cluster, MADE, "--selector", OURS)) == []

    eventually(nothing_is_left, within=240)
    theirs = {"Secret/calls-db", "Secret/join-keys"}
    assert theirs <= set(_names(_items(cluster, "secrets")))


def _as_they_are(cluster: Cluster) -> dict[str, Any]:
    """What would differ if somebody had touched a pod."""
    return {
        pod["metadata"]["uid"]: (
            pod["metadata"]["labels"],
            pod["metadata"].get("deletionTimestamp"),
            [one["restartCount"] for one in pod["status"]["containerStatuses"]],
        )
        for pod in _items(cluster, "pods", "--selector", OURS)
    }


def _items(cluster: Cluster, *what: str) -> list[dict[str, Any]]:
    text = cluster.kubectl("-n", NAMESPACE, "get", *what, "-o", "json")
    items: list[dict[str, Any]] = json.loads(text)["items"]
    return items


def _names(items: list[dict[str, Any]]) -> list[str]:
    return [f"{one['kind']}/{one['metadata']['name']}" for one in items]
