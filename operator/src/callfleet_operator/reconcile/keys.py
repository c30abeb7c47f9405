"""Names of the objects that are reconciled."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from callfleet_operator.gateway.resources import CALL_CLUSTERS, TURN_POOLS, ResourceType


class Kind(StrEnum):
    """Kinds of custom resources."""

    CALL_CLUSTER = "CallCluster"
    TURN_POOL = "TurnPool"

    @property
    def resource(self) -> ResourceType:
        """The kind as the API server's addresses name it."""
        return {Kind.CALL_CLUSTER: CALL_CLUSTERS, Kind.TURN_POOL: TURN_POOLS}[self]


class Key(NamedTuple):
    """One custom resource."""

    kind: Kind
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}"
