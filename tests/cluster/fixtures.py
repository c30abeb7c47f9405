"""pytest fixtures: real clusters, started when first asked for, gone with the session.

What a killed session leaves behind is removed by the next one, and by `clean`.
"""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterator

import pytest

from tests.cluster import choice, images, prepare
from tests.cluster.api_server import ApiServer
from tests.cluster.interface import Cluster
from tests.cluster.kind import KindCluster
from tests.cluster.local import LocalCluster
from tests.cluster.run import Run


@pytest.fixture(scope="session")
def api_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """etcd, kube-apiserver and kube-controller-manager; no node, no root.

    `api_server.kubeconfig` is the administrator's, `api_server.kubeconfig_of(user, groups)`
    anybody else's, `api_server.audit` the log of what was asked of it.
    """
    prepare.require(prepare.API)
    choice.remove()
    server = choice.new_api_server(f"pytest-{os.getpid()}-api")
    try:
        server.up(owned=True)
        yield server
    finally:
        _keep_logs(server.run, tmp_path_factory)
        server.down()


@pytest.fixture
def api_namespace(api_server: ApiServer) -> Iterator[str]:
    """A namespace of the test's own on `api_server`; it is deleted afterwards."""
    name = _unique("test")
    api_server.kubectl("create", "namespace", name)
    yield name
    api_server.kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture(scope="session")
def bare_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A whole cluster with a node, without our images."""
    choice.remove()
    cluster = choice.new_cluster(f"pytest-{os.getpid()}")
    if isinstance(cluster, LocalCluster):
        prepare.require(prepare.CLUSTER)
    try:
        cluster.up(owned=True)
        yield cluster
    finally:
        if isinstance(cluster, LocalCluster | KindCluster):
            _keep_logs(cluster.run, tmp_path_factory)
        cluster.down()


@pytest.fixture(scope="session")
def cluster(bare_cluster: Cluster) -> Cluster:
    """A whole cluster with a node that has the images of operator, engine, relay and the
    services of examples/."""
    images.load_all(bare_cluster)
    return bare_cluster


@pytest.fixture
def namespace(bare_cluster: Cluster) -> Iterator[str]:
    """A namespace of the test's own on the whole cluster; it is deleted afterwards."""
    name = _unique("test")
    bare_cluster.kubectl("create", "namespace", name)
    yield name
    bare_cluster.kubectl("delete", "namespace", name, "--wait=false")


def _unique(prefix: str) -> str:
    return f"{prefix}-{uuid.uuid4().hex[:8]}"


def _keep_logs(run: Run, factory: pytest.TempPathFactory) -> None:
    """pytest keeps the temporary folders of its last three sessions."""
    run.end()
    kept = factory.mktemp(run.directory.name)
    for source in (run.processes.logs, run.directory / "root/var/log/pods"):
        if source.exists():
            shutil.copytree(source, kept / source.name, symlinks=True)
    audit = run.directory / "audit.log"
    if audit.exists():
        shutil.copy(audit, kept)
