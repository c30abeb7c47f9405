"""Which pod is missed least when one has to go."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from callfleet_operator.observation import FleetPod
from callfleet_operator.plan.classify import carried


def least_missed(
    candidates: Sequence[FleetPod], *, among: Sequence[FleetPod], revision: str
) -> FleetPod:
    """The one of `candidates` (at least one) to drain first.

    Fewest participants or allocations, at the high end of what is known; then one that is not
    ready, so an empty pod that still starts is the first of all; then one of an older revision
    than `revision`; then one of the zone with most pods of `among`; then the highest ordinal.
    """
    zones = Counter(pod.zone for pod in among)
    return min(
        candidates,
        key=lambda pod: (
            carried(pod).high,
            pod.ready,
            pod.revision == revision,
            -zones[pod.zone],
            -pod.ordinal,
        ),
    )
