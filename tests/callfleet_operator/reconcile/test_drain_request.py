"""Drains that a person asks for by an annotation on the pod, on a real API server."""

from __future__ import annotations

from typing import Any

import pytest

from callfleet_operator.gateway.resources import PODS
from callfleet_operator.reconcile.keys import Key
from tests.callfleet_operator.reconcile.specs import make_cluster, make_pool
from tests.callfleet_operator.reconcile.witness import assert_no_call_was_cut
from tests.callfleet_operator.reconcile.world import World

pytestmark = [pytest.mark.api, pytest.mark.peer]

REQUESTED = "callfleet.dev/drain-requested"


async def ask(here: World, pod: str, note: str | None = "alice: noisy neighbour") -> None:
    await here.change_pod(pod, {"metadata": {"annotations": {REQUESTED: note}}})


async def metadata(here: World, pod: str) -> dict[str, Any]:
    body = await here.people.get(PODS, here.namespace, pod)
    assert body is not None
    found: dict[str, Any] = body["metadata"]
    return found


async def drain_first(here: World, key: Key) -> None:
    """Ask for the first engine, with a call on it, and see its replacement serve."""
    await here.settle(key)
    here.of("calls-engine-0").used = here.of("calls-engine-0").calls = 2
    await here.scrape()
    await ask(here, "calls-engine-0")
    await here.settle(key, rounds=3)


async def test_a_pod_is_replaced_then_drained_and_its_call_waited_for(here: World) -> None:
    key = await make_cluster(here)
    mark = await here.mark()
    await drain_first(here, key)
    first = here.of("calls-engine-0")
    labels = (await metadata(here, "calls-engine-0"))["labels"]
    assert labels["callfleet.dev/admission"] == "Cordoned"
    reason = (await metadata(here, "calls-engine-0"))["annotations"]["callfleet.dev/drain-reason"]
    assert reason == "DrainRequested"
    assert (first.admission, here.of("calls-engine-1").admission) == ("draining", "open")

    first.used = first.calls = 0
    await here.scrape()
    await here.settle(key, rounds=3)
    assert [pod.name for pod in here.pods.values()] == ["calls-engine-1"]
    writes = await here.writes(mark, "pods")
    assert_no_call_was_cut(here, writes)
    # The number never changed: one pod took the place of another.
    assert (await here.status(key))["replicas"]["desired"] == 1


async def test_taken_back_the_pod_takes_calls_again(here: World) -> None:
    key = await make_cluster(here)
    await drain_first(here, key)
    assert here.of("calls-engine-0").admission == "draining"
    await ask(here, "calls-engine-0", None)
    await here.round(key)
    found = await metadata(here, "calls-engine-0")
    assert found["labels"]["callfleet.dev/admission"] == "Open"
    assert here.of("calls-engine-0").admission == "open"
    assert not [name for name in found["annotations"] if name.startswith("callfleet.dev/drain")]
    # Its replacement, which is empty, is now one too many.
    await here.settle(key, rounds=6)
    assert [pod.name for pod in here.pods.values()] == ["calls-engine-0"]


async def test_taken_back_too_late_the_sealed_pod_goes(here: World) -> None:
    key = await make_cluster(here)
    await drain_first(here, key)
    first = here.of("calls-engine-0")
    first.admission = "sealed"  # it has sealed itself, and the operator has not heard of it
    await ask(here, "calls-engine-0", None)
    first.used = first.calls = 0
    await here.scrape()
    await here.settle(key, rounds=3)
    assert [pod.name for pod in here.pods.values()] == ["calls-engine-1"]


async def test_a_lost_drain_is_taken_back_all_the_same(here: World) -> None:
    key = await make_cluster(here)
    await drain_first(here, key)
    here.of("calls-engine-0").drain_id = "of another time"
    await ask(here, "calls-engine-0", None)
    await here.round(key)
    await here.round(key)
    assert here.of("calls-engine-0").admission == "open"


@pytest.mark.parametrize("mode", ["Paused", "DryRun"])
async def test_a_request_waits_for_the_mode(here: World, mode: str) -> None:
    key = await make_cluster(here, mode="Active")
    await here.settle(key)
    await here.change_resource(key, {"spec": {"mode": mode}})
    await ask(here, "calls-engine-0")
    await here.settle(key, rounds=2)
    assert [pod.name for pod in here.pods.values()] == ["calls-engine-0"]
    await here.change_resource(key, {"spec": {"mode": "ScaleOutOnly"}})
    await here.settle(key, rounds=6)
    assert [pod.name for pod in here.pods.values()] == ["calls-engine-1"]


async def test_relays_too(here: World) -> None:
    key = await make_pool(here)
    await here.settle(key)
    await ask(here, "relays-relay-0")
    await here.settle(key, rounds=6)
    assert [pod.name for pod in here.pods.values()] == ["relays-relay-1"]
