"""The CRDs on the API server of the tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cluster.api_server import ApiServer

CRDS = Path(__file__).parents[1] / "crds"


@pytest.fixture(scope="session")
def crds(api_server: ApiServer) -> None:
    """The project's CRDs, established on `api_server`."""
    api_server.kubectl("apply", "--server-side", "-f", str(CRDS))
    api_server.kubectl("wait", "--for=condition=Established", "--timeout=60s", "-f", str(CRDS))
