"""The engine: hosts calls and forwards their media."""

from importlib.metadata import version

__version__ = version("callfleet")
