"""The services of examples/ on a whole cluster."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.api_server import ApiServer
from tests.cluster.errors import HarnessError
from tests.cluster.interface import Cluster
from tests.cluster.stand_ins import POSTGRES, PYTHON
from tests.cluster.static_images import prometheus_archive
from tests.waiting import eventually

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
HERE = Path(__file__).parent
LIMIT_SECONDS = 120


@pytest.mark.api
@pytest.mark.parametrize("name", ["prometheus.yaml", "postgresql.yaml"])
def test_the_api_server_takes_it_as_it_is(
    api_server: ApiServer, api_namespace: str, name: str
) -> None:
    checks = ("--dry-run=server", "--validate=strict")
    where = (f"--namespace={api_namespace}", f"--filename={EXAMPLES / name}")
    assert "(server dry run)" in api_server.kubectl("apply", *checks, *where)


@pytest.mark.cluster
def test_postgresql_is_what_the_secret_says(bare_cluster: Cluster, namespace: str) -> None:
    _apply(bare_cluster, namespace, "postgresql.yaml", [POSTGRES.archive])
    where = ("-n", namespace)
    limit = f"--timeout={LIMIT_SECONDS}s"
    bare_cluster.kubectl("rollout", "status", *where, "statefulset/postgresql", limit)
    uri = bare_cluster.kubectl(
        "get", *where, "secret/calls-db", "-o=go-template={{.data.uri | base64decode}}"
    )
    # A service leads to a pod some moments after the pod is ready.
    reachable = f"until pg_isready --quiet --dbname='{uri}'; do sleep 0.2; done"
    limited = ("timeout", str(LIMIT_SECONDS), "sh", "-c", reachable)
    bare_cluster.kubectl("exec", *where, "postgresql-0", "--", *limited)
    query = ("psql", uri, "--tuples-only", "--no-align", "--command=SELECT current_database()")
    answer = bare_cluster.kubectl("exec", *where, "postgresql-0", "--", *query)
    assert answer.strip() == "callfleet"
    wrong = uri.replace("change-me", "guessed")
    with pytest.raises(HarnessError, match="password authentication failed"):
        bare_cluster.kubectl("exec", *where, "postgresql-0", "--", "psql", wrong, "--command=\\l")


@pytest.mark.cluster
def test_prometheus_gives_the_target_labels_of_the_contract(
    bare_cluster: Cluster, namespace: str
) -> None:
    where = ("-n", namespace)
    _apply(bare_cluster, namespace, "prometheus.yaml", [prometheus_archive, PYTHON.archive])
    source = f"--from-file={HERE / 'sample_pod.py'}"
    bare_cluster.kubectl("create", *where, "configmap", "sample", source)
    # Only the Deployment: host port and node port belong to the other test's.
    deployment, _ = (HERE / "sample_pod.yaml").read_text().split("\n---\n")
    manifest = deployment.replace("hostPort: 3478, ", "")
    bare_cluster.kubectl("apply", *where, "--filename=-", stdin=manifest)
    limit = f"--timeout={LIMIT_SECONDS}s"
    bare_cluster.kubectl("rollout", "status", *where, "deployment/sample", limit)
    bare_cluster.kubectl("rollout", "status", *where, "deployment/prometheus", limit)
    pod = json.loads(bare_cluster.kubectl("get", "pods", *where, "-l=app=sample", "-o=json"))
    metadata = pod["items"][0]["metadata"]

    (series,) = _query(bare_cluster, namespace, "sample_info")

    labels = dict(series["metric"])
    assert labels.pop("instance").endswith(":8000")
    assert labels == {
        "__name__": "sample_info",
        "job": "callfleet",
        "namespace": namespace,
        "pod": metadata["name"],
        "pod_uid": metadata["uid"],
        "callfleet_cluster": "demo",
    }


def _apply(cluster: Cluster, namespace: str, name: str, archives: list[Any]) -> None:
    if not cluster.pulls_images:
        cluster.load([archive() for archive in archives])
    cluster.kubectl("apply", "-n", namespace, f"--filename={EXAMPLES / name}")


def _query(cluster: Cluster, namespace: str, expression: str) -> list[dict[str, Any]]:
    """The result, as soon as there is one: the first scrape comes within an interval."""
    path = f"/api/v1/namespaces/{namespace}/services/prometheus:http/proxy/api/v1/query"

    def query() -> list[dict[str, Any]]:
        answer = json.loads(cluster.kubectl("get", f"--raw={path}?query={expression}"))
        result: list[dict[str, Any]] = answer["data"]["result"]
        assert result, f"Prometheus does not have {expression}"
        return result

    return eventually(query, within=LIMIT_SECONDS)
