"""Fixtures and settings of the whole test suite."""

from hypothesis import settings

from tests import hypothesis_profiles as _registered  # noqa: F401

pytest_plugins = ["tests.cluster.fixtures", "tests.crds"]

settings.load_profile("callfleet")
