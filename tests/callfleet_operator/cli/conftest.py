"""The worlds of the rounds' tests, for commands that look at them and ask for changes."""

from tests.callfleet_operator.reconcile.conftest import (
    here,
    operator_kubeconfig,
    prometheus_server,
)

__all__ = ["here", "operator_kubeconfig", "prometheus_server"]
