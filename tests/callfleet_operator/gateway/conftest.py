"""Relays to ask."""

from tests.callfleet_relay.conftest import secret_file, start_relay

__all__ = ["secret_file", "start_relay"]
