"""Fixtures of the tests with real calls."""

from __future__ import annotations

import pytest

from tests.cluster.interface import Cluster
from tests.demo.setting import Fleet, set_up


@pytest.fixture(scope="session")
def demo_fleet(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Fleet:
    """The fleet of examples/demo.yaml, set up once for all tests."""
    return set_up(cluster, tmp_path_factory.mktemp("demo-fleet"))
