"""pytest fixtures: real clusters, started when first asked for, gone with the session."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterator

import pytest

from tests.cluster.api_server import ApiServer
from tests.cluster.paths import state_root


@pytest.fixture(scope="session")
def api_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """etcd, kube-apiserver and kube-controller-manager; no node, no root.

    `api_server.kubeconfig` is the administrator's, `api_server.kubeconfig_of(user, groups)`
    anybody else's, `api_server.audit` the log of what was asked of it.
    """
    server = ApiServer(state_root() / f"pytest-{os.getpid()}-api")
    server.up(owned=True)
    try:
        yield server
    finally:
        server.run.processes.kill()
        logs = tmp_path_factory.mktemp("api_server") / "logs"  # pytest keeps the last three
        shutil.copytree(server.run.processes.logs, logs)
        shutil.copy(server.run.directory / "audit.log", logs)
        server.down()


@pytest.fixture
def api_namespace(api_server: ApiServer) -> Iterator[str]:
    """A namespace of the test's own on `api_server`; it is deleted afterwards."""
    name = f"test-{uuid.uuid4().hex[:8]}"
    api_server.kubectl("create", "namespace", name)
    yield name
    api_server.kubectl("delete", "namespace", name, "--wait=false")
