"""The worlds of the rounds' tests, for commands that look at them and ask for changes; relays, a
database."""

from tests.callfleet_engine.postgresql import postgresql_server
from tests.callfleet_operator.reconcile.conftest import (
    here,
    operator_kubeconfig,
    prometheus_server,
)
from tests.callfleet_relay.conftest import secret_file, start_relay

__all__ = [
    "here",
    "operator_kubeconfig",
    "postgresql_server",
    "prometheus_server",
    "secret_file",
    "start_relay",
]
