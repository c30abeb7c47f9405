"""Pods of a fleet during a rollout."""

from __future__ import annotations

from dataclasses import replace

from callfleet_operator.observation import Admission, FleetPod, Process
from callfleet_operator.plan.reasons import Reason
from tests.callfleet_operator.plan.samples import OLDER, known, pod, unknown


def old(ordinal: int, used: float = 0, revision: str = OLDER) -> FleetPod:
    return pod(ordinal, load=known(used), revision=revision)


def replaced(ordinal: int, used: float = 5) -> FleetPod:
    """An old pod that drains because a new one has taken its place."""
    draining = pod(ordinal, load=known(used), revision=OLDER, admission=Admission.CORDONED)
    return replace(draining, drain_reason=Reason.OUTDATED)


def stuck(ordinal: int, process: Process = Process.NEVER_STARTED) -> FleetPod:
    """A new pod that does not become ready in time."""
    return pod(
        ordinal,
        load=unknown(),
        ready=False,
        age=600,
        ready_for=None,
        failure="ImagePullBackOff",
        process=process,
    )
