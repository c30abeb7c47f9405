"""Connections to an API server as tests need them."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from pathlib import Path

from callfleet_operator.gateway.gate import always_open
from callfleet_operator.gateway.kube import Kube, connect


def uncounted(kubeconfig: Path, answer_within: float = 20) -> AbstractAsyncContextManager[Kube]:
    """One whose requests nobody counts or holds back."""
    return connect(
        answer_within=answer_within,
        count=lambda *_: None,
        gate=always_open,
        in_cluster=False,
        kubeconfig=kubeconfig,
    )
