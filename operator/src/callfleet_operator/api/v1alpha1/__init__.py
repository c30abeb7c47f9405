"""callfleet.dev/v1alpha1: the one source of the CRDs, the reference and `kubectl explain`."""

from callfleet_operator.api.v1alpha1.callcluster import (
    CallCluster,
    CallClusterSpec,
    CallClusterStatus,
)
from callfleet_operator.api.v1alpha1.common import API_VERSION, GROUP, VERSION
from callfleet_operator.api.v1alpha1.turnpool import TurnPool, TurnPoolSpec, TurnPoolStatus

__all__ = [
    "API_VERSION",
    "GROUP",
    "VERSION",
    "CallCluster",
    "CallClusterSpec",
    "CallClusterStatus",
    "TurnPool",
    "TurnPoolSpec",
    "TurnPoolStatus",
]
