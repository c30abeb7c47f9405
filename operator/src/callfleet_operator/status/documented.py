"""The conditions, and what is written down of each of their reasons."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal


class ConditionType(StrEnum):
    """The conditions of both kinds, in the order in which they are reported."""

    READY = "Ready"
    ACCEPTED = "Accepted"
    METRICS_AVAILABLE = "MetricsAvailable"
    SCALING_ACTIVE = "ScalingActive"
    SCALING_LIMITED = "ScalingLimited"
    DRAINING = "Draining"
    PROGRESSING = "Progressing"
    HEADROOM_EXHAUSTED = "HeadroomExhausted"
    CONNECTIONS_FAILING = "ConnectionsFailing"
    SCALE_OUT_INEFFECTIVE = "ScaleOutIneffective"
    CREDENTIALS_CURRENT = "CredentialsCurrent"
    ADDRESS_KNOWN = "AddressKnown"
    RECONCILIATION_PAUSED = "ReconciliationPaused"


ConditionStatus = Literal["True", "False", "Unknown"]


@dataclass(frozen=True, slots=True)
class Documented:
    """One reason of one condition."""

    type: ConditionType
    reason: str
    status: ConditionStatus
    meaning: str
    remedy: str = ""
    """What to do; empty where nothing needs to be done."""
    warning: bool = False
    """Whether the event that reports it is a Warning."""
