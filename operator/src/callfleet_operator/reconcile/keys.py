"""Names of the objects that are reconciled."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class Kind(StrEnum):
    """Kinds of custom resources."""

    CALL_CLUSTER = "CallCluster"
    TURN_POOL = "TurnPool"


class Key(NamedTuple):
    """One custom resource."""

    kind: Kind
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}"
