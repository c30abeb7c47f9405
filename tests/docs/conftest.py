"""A fleet in a real API server, for the commands of the documents."""

from tests.callfleet_operator.reconcile.conftest import blind, operator_kubeconfig

__all__ = ["blind", "operator_kubeconfig"]
