"""Rounds of a CallCluster on a real API server; the audit log is the witness."""

from __future__ import annotations

from typing import Any

import pytest

from callfleet_operator.handlers.keys import Kind
from tests.callfleet_operator.reconcile.world import World

pytestmark = [pytest.mark.api, pytest.mark.peer]

AT_ONCE = {"stabilizationWindowSeconds": 0, "maxPods": 10, "periodSeconds": 1}


def spec(**more: Any) -> dict[str, Any]:  # noqa: ANN401  # a spec
    return {
        "capacity": {"participantsPerPod": 10},
        "scaling": {
            "minReplicas": 1,
            "maxReplicas": 3,
            "maxTotalReplicas": 5,
            "scaleOut": AT_ONCE,
            "scaleIn": AT_ONCE,
        },
        "store": {"type": "PostgreSQL", "postgresql": {"uriSecretRef": {"name": "calls-db"}}},
        **more,
    }


async def secrets(world: World) -> None:
    await world.secret("join-keys", keys_json='{"keys": []}')
    await world.secret("calls-db", uri="postgresql://calls")


async def test_from_nothing_to_one_pod_that_serves(here: World) -> None:
    await secrets(here)
    key = await here.make(Kind.CALL_CLUSTER, "calls", spec())
    await here.settle(key)
    assert [pod.name for pod in here.pods.values()] == ["calls-engine-0"]
    status, reason, _ = await here.condition(key, "Ready")
    assert (status, reason) == ("True", "MinimumReplicasAvailable")
    assert (await here.status(key))["replicas"]["open"] == 1


async def test_at_rest_nothing_is_written(here: World) -> None:
    await secrets(here)
    key = await here.make(Kind.CALL_CLUSTER, "calls", spec())
    await here.settle(key)
    mark = await here.mark()
    await here.round(key)
    await here.round(key)
    await here.restart()
    await here.round(key)
    assert [(e.verb, e.resource, e.name) for e in await here.writes(mark)] == []
