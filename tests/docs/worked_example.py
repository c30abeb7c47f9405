"""The example in docs/concepts.md, as the plan itself decides it.

    python -m tests.docs.worked_example

Four open pods of 150 participants and one that drains; 12 calls of 4 begin in a minute.
"""

from __future__ import annotations

from callfleet_operator.api.v1alpha1 import CallClusterSpec
from callfleet_operator.observation import Admission, CallDemand
from callfleet_operator.plan import engines
from callfleet_operator.plan.decision import Memory
from tests.callfleet_operator.plan.samples import known, observed, pod

CAPACITY = 150
OPEN = (112, 108, 105, 64)
DRAINING = 40
SPEC = CallClusterSpec.model_validate(
    {
        "capacity": {"participantsPerPod": CAPACITY},
        "scaling": {"minReplicas": 2, "maxReplicas": 10},
        "store": {"type": "PostgreSQL", "postgresql": {"uriSecretRef": {"name": "calls-db"}}},
    }
)


def trace() -> str:
    """One line a stage: number in, number out, reason, message."""
    ready = [
        pod(ordinal, load=known(used, capacity=CAPACITY), ready_for=3575)
        for ordinal, used in enumerate(OPEN)
    ]
    draining = pod(4, load=known(DRAINING, capacity=CAPACITY), admission=Admission.CORDONED)
    demand = CallDemand(
        arrivals_per_second=0.2,
        mean_duration_seconds=600,
        mean_participants=4,
        hourly_arrivals_per_second=0.2,
    )
    decision, _ = engines.plan(SPEC, observed(*ready, draining, demand=demand), Memory())
    return "\n".join(
        f"{record.stage:<13}  {record.before} -> {record.after}  {record.reason:<18}  "
        f"{record.message}"
        for record in decision.trace
    )


if __name__ == "__main__":
    print(trace())
