"""One replica's part in the election, on a real API server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from callfleet_operator.gateway import lease as module
from callfleet_operator.gateway.election import Instant, Tenure
from callfleet_operator.gateway.errors import ForbiddenError, NotFoundError
from callfleet_operator.gateway.kube import Kube
from callfleet_operator.gateway.lease import HARD_STOP, Lease, LeaseLostError
from callfleet_operator.gateway.resources import LEASES
from tests.callfleet_operator.gateway.connections import uncounted
from tests.cluster.api_server import ApiServer
from tests.waiting import until

pytestmark = pytest.mark.api

BOUND = 20.0


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Renewals and looks follow one another without a pause; durations stay."""
    for pause in ("RETRY", "_RETRY_FAILED", "_LOOK"):
        monkeypatch.setattr(module, pause, 0.02)


@pytest.fixture
async def kube(api_server: ApiServer) -> AsyncIterator[Kube]:
    async with uncounted(api_server.kubeconfig) as made:
        yield made


def replica(kube: Kube, namespace: str, identity: str) -> tuple[Lease, Tenure]:
    tenure = Tenure()
    return Lease(kube, namespace, "operator", identity, tenure), tenure


async def spec(kube: Kube, namespace: str) -> dict[str, Any]:
    live = await kube.get(LEASES, namespace, "operator")
    assert live is not None
    found: dict[str, Any] = live["spec"]
    return found


async def edit(kube: Kube, namespace: str, patch: dict[str, Any]) -> None:
    await kube.client.request(
        "patch",
        LEASES.path(namespace, "operator"),
        body=patch,
        content_type="application/merge-patch+json",
        serialize=False,
    )


async def test_taken_and_given_back(kube: Kube, api_namespace: str) -> None:
    (one, tenure), (two, _) = (replica(kube, api_namespace, name) for name in ("one", "two"))
    async with asyncio.timeout(BOUND):
        await one.acquire()
        assert tenure.leading
        assert (await spec(kube, api_namespace))["holderIdentity"] == "one"
        waiting = asyncio.create_task(two.acquire())
        await asyncio.sleep(0.1)
        assert not waiting.done()
        await one.release()
        assert not tenure.leading
        await waiting
    now = await spec(kube, api_namespace)
    assert (now["holderIdentity"], now["leaseTransitions"]) == ("two", 1)


async def test_renewed_while_others_touch_it(kube: Kube, api_namespace: str) -> None:
    one, tenure = replica(kube, api_namespace, "one")
    await one.acquire()
    first = (await spec(kube, api_namespace))["renewTime"]
    keeping = asyncio.create_task(one.keep())
    for number in range(5):
        await edit(kube, api_namespace, {"metadata": {"labels": {"looked": str(number)}}})

    async def is_renewed() -> bool:
        return bool((await spec(kube, api_namespace))["renewTime"] != first)

    await until(is_renewed, within=BOUND)
    assert not keeping.done()
    assert tenure.leading
    keeping.cancel()
    with suppress(asyncio.CancelledError):
        await keeping
    await one.release()  # a renewal may have been cut off
    assert not (await spec(kube, api_namespace)).get("holderIdentity")


@pytest.mark.parametrize(
    ("holder", "says"),
    [("two", "two holds the Lease now"), ("", "nobody holds the Lease now")],
)
async def test_lost_to_another(kube: Kube, api_namespace: str, holder: str, says: str) -> None:
    one, tenure = replica(kube, api_namespace, "one")
    await one.acquire()
    await edit(kube, api_namespace, {"spec": {"holderIdentity": holder}})
    with pytest.raises(LeaseLostError, match=says):
        async with asyncio.timeout(BOUND):
            await one.keep()
    assert not tenure.leading
    await one.release()
    assert (await spec(kube, api_namespace)).get("holderIdentity", "") == holder


async def test_deleted_under_it(kube: Kube, api_namespace: str) -> None:
    one, tenure = replica(kube, api_namespace, "one")
    await one.acquire()
    await kube.client.request("delete", LEASES.path(api_namespace, "operator"), serialize=False)
    with pytest.raises(LeaseLostError, match="deleted the Lease"):
        async with asyncio.timeout(BOUND):
            await one.keep()
    assert not tenure.leading


async def test_two_that_begin_together(kube: Kube, api_namespace: str) -> None:
    started = [replica(kube, api_namespace, f"replica-{number}") for number in range(5)]
    tasks = [asyncio.create_task(lease.acquire()) for lease, _ in started]
    async with asyncio.timeout(BOUND):
        done, rest = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        await asyncio.sleep(0.2)
    assert [tenure.leading for _, tenure in started].count(True) == 1
    for task in rest:
        task.cancel()
    await asyncio.wait(rest)
    assert len(done) == 1


async def test_without_the_right_to(api_server: ApiServer, api_namespace: str) -> None:
    async with uncounted(api_server.kubeconfig_of("guest")) as guest:
        with pytest.raises(ForbiddenError, match="cannot get resource"):
            await replica(guest, api_namespace, "one")[0].acquire()


async def test_in_no_namespace(kube: Kube) -> None:
    with pytest.raises(NotFoundError, match="nowhere"):
        await replica(kube, "nowhere", "one")[0].acquire()


async def test_a_process_that_does_not_leave_is_ended(
    kube: Kube, api_namespace: str, tmp_path: Path
) -> None:
    """Its event loop hangs: only the thread is left to do it."""
    now = Instant.now()
    left = asyncio.Event()
    loop = asyncio.get_running_loop()
    tenure = Tenure(lambda: now)
    tenure.confirm(now)

    def leave() -> None:
        loop.call_soon_threadsafe(left.set)

    watched = Lease(kube, api_namespace, "operator", "one", tenure, leave=leave)
    async with watched.watched():
        now = Instant(now.monotonic + HARD_STOP, now.boottime + HARD_STOP, now.wall + HARD_STOP)
        async with asyncio.timeout(BOUND):
            await left.wait()
