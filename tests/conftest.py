"""Fixtures and settings of the whole test suite."""

from hypothesis import settings

pytest_plugins = ["tests.cluster.fixtures", "tests.crds"]

# How long an example takes says how busy the machine is.
settings.register_profile("callfleet", deadline=None)
settings.load_profile("callfleet")
