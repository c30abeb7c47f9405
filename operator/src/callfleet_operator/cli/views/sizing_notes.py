"""What the reader of a plan should know besides its figures."""

from __future__ import annotations

from collections.abc import Iterator

from callfleet_operator.cli.views.figures import percent
from callfleet_operator.cli.views.words import count
from callfleet_operator.plan.sizing.size import Sizing


def notes(sizing: Sizing) -> Iterator[str]:
    """What the figures do not show by themselves."""
    engines, terms = sizing.engines, sizing.inputs.engines
    if engines.blocking_at_most_pods is not None:
        yield (
            f"maxReplicas is {terms.max_pods} and {engines.pods} are needed: raise "
            f"scaling.maxReplicas. {count(terms.max_pods or 0, 'pod')} would refuse "
            f"{percent(engines.blocking_at_most_pods)} of new calls in the busy hour."
        )
    if terms.connections_per_pod is None and engines.pods > 1:
        yield "A SQLite store serves one pod: choose store.type PostgreSQL for more."
    if engines.by_blocking is None:
        yield "maxBlockingPerMillion is 0, so nothing limits how many new calls are refused."
    for pool in sizing.pools:
        most = pool.terms.max_pods
        if most is not None and most < pool.pods:
            yield (
                f"TurnPool {pool.terms.name} has maxReplicas {most} and {pool.pods} are needed: "
                "raise its scaling.maxReplicas."
            )
        if pool.pods == 1:
            yield (
                f"With one relay in TurnPool {pool.terms.name} all that it carries stops with its "
                "node: minReplicas 2 keeps half."
            )
    if unpriced := sizing.cost.unpriced:
        missing = "; ".join(f"{item.name}: {item.missing}" for item in unpriced)
        yield f"The total is not known, as prices are missing. {missing[0].upper()}{missing[1:]}."
    if sizing.inputs.prices.other_monthly is None:
        yield (
            "Database, load balancer and whatever else does not grow with pods are not counted: "
            "--other-monthly."
        )
    yield (
        "Pods are paid as in the busy hour all month; what scaling in saves depends on the shape "
        "of your days and on whether nodes go with the pods."
    )
