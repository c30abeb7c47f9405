"""What the node of a whole cluster can do, proved by a pod that is like ours."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster import census
from tests.cluster.another_node import another_node
from tests.cluster.clients import kubectl
from tests.cluster.errors import HarnessError
from tests.cluster.interface import Cluster
from tests.cluster.local import LocalCluster
from tests.cluster.stand_ins import PYTHON
from tests.waiting import eventually

pytestmark = pytest.mark.cluster

HERE = Path(__file__).parent
LIMIT_SECONDS = 90

HTTP = "import urllib.request as r; print(r.urlopen('http://{}', timeout=5).read().decode())"
UDP = (
    "import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(5); "
    "s.sendto(b'{2}', ('{0}', {1})); print(s.recvfrom(9)[0].decode())"
)


@pytest.fixture(scope="module")
def sample(bare_cluster: Cluster) -> Iterator[str]:
    """The namespace in which the sample runs and is ready."""
    if not bare_cluster.pulls_images:
        bare_cluster.load([PYTHON.archive()])
    bare_cluster.kubectl("create", "namespace", "sample")
    where = "--namespace=sample"
    bare_cluster.kubectl(
        "create", "configmap", "sample", where, f"--from-file={HERE / 'sample_pod.py'}"
    )
    bare_cluster.kubectl("apply", where, f"--filename={HERE / 'sample_pod.yaml'}")
    bare_cluster.kubectl(
        "rollout", "status", where, "deployment/sample", f"--timeout={LIMIT_SECONDS}s"
    )
    eventually(lambda: _python(bare_cluster, HTTP.format("sample/readyz")), within=LIMIT_SECONDS)
    yield "sample"
    bare_cluster.kubectl("delete", "namespace", "sample", "--wait=false")


def test_its_pod_has_no_power_and_its_output_is_read(bare_cluster: Cluster, sample: str) -> None:
    assert "serving as uid 10001" in bare_cluster.kubectl("logs", "-n", sample, "deploy/sample")
    status = _exec(bare_cluster, "grep", "-E", "CapBnd|NoNewPrivs|Seccomp:", "/proc/1/status")
    assert dict(line.split() for line in status.splitlines()) == {
        "CapBnd:": "0000000000000000",
        "NoNewPrivs:": "1",
        "Seccomp:": "2",
    }
    with pytest.raises(HarnessError, match="Read-only file system"):
        _exec(bare_cluster, "touch", "/x")


def test_exec_passes_standard_input(bare_cluster: Cluster, sample: str) -> None:
    where = ("-n", sample, "deploy/sample")
    assert bare_cluster.kubectl("exec", "-i", *where, "--", "cat", stdin="piped") == "piped"


def test_pods_find_services_by_name(bare_cluster: Cluster, sample: str) -> None:
    assert _python(bare_cluster, HTTP.format("sample/readyz")) == "ok"
    assert _python(bare_cluster, HTTP.format("sample.sample.svc.cluster.local/")) == "ok"
    assert _python(bare_cluster, UDP.format("sample", 9000, "hello")) == "hello"


def test_nothing_outside_is_found_or_reached(bare_cluster: Cluster, sample: str) -> None:
    if bare_cluster.pulls_images:
        pytest.fail("this cluster has a way out: the test is for the local one")
    with pytest.raises(HarnessError, match="gaierror"):
        _python(bare_cluster, HTTP.format("name.example.org/"))
    with pytest.raises(HarnessError, match="unreachable"):
        _python(bare_cluster, "import socket; socket.create_connection(('192.0.2.1', 80), 5)")


def test_the_client_reaches_host_ports_and_node_ports(bare_cluster: Cluster, sample: str) -> None:
    node = bare_cluster.node_address()
    assert _at_client(bare_cluster, UDP.format(node, 3478, "hello")) == "hello"
    assert _at_client(bare_cluster, HTTP.format(f"{node}:30080/readyz")) == "ok"


def test_the_client_reaches_no_pod_and_no_service(bare_cluster: Cluster, sample: str) -> None:
    pod = bare_cluster.kubectl("get", "pods", "-n", sample, "-o=jsonpath={.items[0].status.podIP}")
    service = bare_cluster.kubectl(
        "get", "service/sample", "-n", sample, "-o=jsonpath={.spec.clusterIP}"
    )
    for address in (f"{pod}:8000", service):
        inside = bare_cluster.in_cluster_network([sys.executable, "-c", HTTP.format(address)])
        assert subprocess.run(inside, capture_output=True, text=True, check=True).stdout == "ok\n\n"
        with pytest.raises(AssertionError, match="Network is unreachable"):
            _at_client(bare_cluster, HTTP.format(address))


def test_a_deleted_pod_serves_on_until_it_is_drained(bare_cluster: Cluster, sample: str) -> None:
    pod = bare_cluster.kubectl("get", "pods", "-n", sample, "-o=name").strip()
    follow = bare_cluster.in_cluster_network(
        [kubectl(), f"--kubeconfig={bare_cluster.kubeconfig}", "logs", "-f", "-n", sample, pod]
    )
    with subprocess.Popen(follow, stdout=subprocess.PIPE, text=True) as logs:
        assert logs.stdout is not None
        assert "serving" in logs.stdout.readline()
        bare_cluster.kubectl("delete", "-n", sample, pod, "--wait=false")
        assert logs.stdout.readline() == "draining\n"
        slices = ("get", "endpointslices", "-n", sample, "-o=json")

        def leaves_its_service() -> None:
            found = json.loads(bare_cluster.kubectl(*slices))["items"]
            conditions = [e["conditions"] for s in found for e in s["endpoints"] or []]
            assert [c["ready"] for c in conditions if c.get("terminating")] == [False]

        eventually(leaves_its_service, within=LIMIT_SECONDS)
        node = bare_cluster.node_address()
        for word in ("hello", "end"):
            assert _at_client(bare_cluster, UDP.format(node, 3478, word)) == word
        assert logs.stdout.readline() == "drained\n"
    bare_cluster.kubectl("wait", "-n", sample, "--for=delete", pod, f"--timeout={LIMIT_SECONDS}s")
    bare_cluster.kubectl("rollout", "status", "-n", sample, "deployment/sample", "--timeout=60s")


def test_a_second_node_comes_and_goes(bare_cluster: Cluster, sample: str) -> None:
    before = census.machine()
    first = bare_cluster.kubectl("get", "nodes", "-o=jsonpath={.items[0].metadata.name}")
    with another_node(bare_cluster, first, [PYTHON.archive()]) as second:
        # They have the same host port: one on each node.
        bare_cluster.kubectl("scale", "-n", sample, "deployment/sample", "--replicas=2")
        bare_cluster.kubectl(
            "rollout", "status", "-n", sample, "deployment/sample", f"--timeout={LIMIT_SECONDS}s"
        )
        pods = json.loads(bare_cluster.kubectl("get", "pods", "-n", sample, "-o=json"))["items"]
        assert second in {pod["spec"]["nodeName"] for pod in pods}
        targets = [f"{pod['status']['podIP']}:8000" for pod in pods] + ["sample"]
        hosts = [pod["status"]["hostIP"] for pod in pods]

        def everybody_reaches_everybody() -> None:
            for pod in pods:
                inside = ("exec", "-n", sample, pod["metadata"]["name"], "--", "python3", "-c")
                for target in targets:
                    assert "ok" in bare_cluster.kubectl(*inside, HTTP.format(f"{target}/"))
                for host in hosts:
                    assert "hello" in bare_cluster.kubectl(*inside, UDP.format(host, 3478, "hello"))
            for host in hosts:
                assert _at_client(bare_cluster, UDP.format(host, 3478, "hello")) == "hello"

        eventually(everybody_reaches_everybody, within=LIMIT_SECONDS)

    assert second not in bare_cluster.kubectl("get", "nodes", "-o=name")
    assert isinstance(bare_cluster, LocalCluster)
    assert census.traces_of(bare_cluster.run.directory / "second", second) == []
    assert census.machine() == before


def _exec(cluster: Cluster, *command: str) -> str:
    return cluster.kubectl("exec", "-n", "sample", "deploy/sample", "--", *command)


def _python(cluster: Cluster, source: str) -> str:
    return _exec(cluster, "python3", "-c", source).strip()


def _at_client(cluster: Cluster, source: str) -> str:
    argv = cluster.in_client_network([sys.executable, "-c", source])
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()
