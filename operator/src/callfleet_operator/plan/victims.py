"""Which pod is missed least when one has to go, and which one most when one may come back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from callfleet_operator.observation import FleetPod
from callfleet_operator.plan.classify import carried

Rank = tuple[float, bool, int, int, int]


def least_missed(
    candidates: Sequence[FleetPod], *, among: Sequence[FleetPod], order: Sequence[str]
) -> FleetPod:
    """The one of `candidates` (at least one) to drain first.

    Fewest participants or allocations, at the high end of what is known; then one that is not
    ready, so an empty pod that still starts is the first of all; then one of the oldest revision,
    `order` being the revisions from the oldest to the newest and one that is not in there older
    than all; then one of the zone with most pods of `among`, pods of unknown zone counting as one
    zone; then the highest ordinal.
    """
    return min(candidates, key=_rank(among, order))


def most_missed(
    candidates: Sequence[FleetPod], *, among: Sequence[FleetPod], order: Sequence[str]
) -> list[FleetPod]:
    """The pods by the same order, the one to drain last first: so are drains taken back."""
    return sorted(candidates, key=_rank(among, order), reverse=True)


def _rank(among: Sequence[FleetPod], order: Sequence[str]) -> Callable[[FleetPod], Rank]:
    zones = Counter(pod.zone for pod in among)
    ages = {revision: age for age, revision in enumerate(order)}

    def rank(pod: FleetPod) -> Rank:
        return (
            carried(pod).high,
            pod.ready,
            ages.get(pod.revision, -1),
            -zones[pod.zone],
            -pod.ordinal,
        )

    return rank
