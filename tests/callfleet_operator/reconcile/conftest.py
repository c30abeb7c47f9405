"""Fixtures of rounds on a real API server."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.callfleet_operator.gateway.prometheus_server import Server, prometheus
from tests.callfleet_operator.reconcile.world import OPERATOR, World, world
from tests.cluster.api_server import ApiServer

CRDS = Path(__file__).parents[3] / "crds"


@pytest.fixture(scope="session")
def operator_kubeconfig(api_server: ApiServer) -> Path:
    """The operator's, on an API server with the CRDs."""
    api_server.kubectl("apply", "--server-side", "-f", str(CRDS))
    api_server.kubectl("wait", "--for=condition=Established", "-f", str(CRDS), "--timeout=20s")
    return api_server.kubeconfig_of(OPERATOR, ["system:masters"])


@pytest.fixture(scope="session")
def prometheus_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One for all worlds: each has a namespace of its own."""
    with prometheus(tmp_path_factory.mktemp("prometheus")) as server:
        yield server


@pytest.fixture
async def here(
    api_server: ApiServer,
    api_namespace: str,
    operator_kubeconfig: Path,
    prometheus_server: Server,
) -> AsyncIterator[World]:
    """With a real Prometheus."""
    url, exporter = prometheus_server.url, prometheus_server.exporter
    async with world(api_server, api_namespace, operator_kubeconfig, url, exporter) as made:
        yield made


@pytest.fixture
async def blind(
    api_server: ApiServer, api_namespace: str, operator_kubeconfig: Path
) -> AsyncIterator[World]:
    """With nobody at Prometheus' address."""
    url = "http://127.0.0.1:1"
    async with world(api_server, api_namespace, operator_kubeconfig, url) as made:
        yield made
