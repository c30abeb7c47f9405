"""Fixtures of the whole test suite."""

pytest_plugins = ["tests.cluster.fixtures", "tests.crds"]
