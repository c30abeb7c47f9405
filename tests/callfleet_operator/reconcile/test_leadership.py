"""Several operators, one of which acts. The audit log of the API server is the witness."""

from __future__ import annotations

import asyncio
import json
import signal
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from callfleet_operator.gateway.resources import CONFIG_MAPS, LEASES
from tests.callfleet_operator.reconcile.cable import Cable, cable
from tests.callfleet_operator.reconcile.operators import Operator, arguments, operator, until
from tests.callfleet_operator.reconcile.specs import make_pool
from tests.callfleet_operator.reconcile.world import World
from tests.cluster.audit import AuditEvent

pytestmark = pytest.mark.api

NOBODY_AT = "http://127.0.0.1:1"
UNDONE = "relays-relay"
"""The ConfigMap that is deleted again and again, so that whoever acts has something to write."""


@dataclass
class Replicas:
    """Operators that share a Lease, each with a name of its own for the audit log."""

    world: World
    folder: Path
    mark: int
    stack: AsyncExitStack
    run: str = field(default_factory=lambda: uuid.uuid4().hex[:6])

    def kubeconfig(self, name: str) -> Path:
        return self.world.api.kubeconfig_of(self.user(name), ["system:masters"])

    def user(self, name: str) -> str:
        return f"{name}-{self.run}"

    async def start(self, name: str, kubeconfig: Path | None = None) -> Operator:
        """A replica that serves its pages."""
        path = kubeconfig or self.kubeconfig(name)
        log = self.folder / f"{name}.log"
        options = arguments(self.world, NOBODY_AT)
        started = await self.stack.enter_async_context(operator(path, log, *options))
        await started.listening()
        return started

    async def cable(self, name: str) -> tuple[Cable, Path]:
        """A connection for one replica, and the kubeconfig that goes through it."""
        through = self.folder / f"{name}.kubeconfig"
        made = await self.stack.enter_async_context(cable(self.kubeconfig(name), through))
        return made, through

    async def writes(self) -> list[AuditEvent]:
        """Of all replicas, in the order of arrival."""
        found = await asyncio.to_thread(self.world.api.audit.writes, self.mark)
        ours = [one for one in found if one.user.endswith(f"-{self.run}")]
        return sorted(ours, key=lambda event: event.received)

    def has_acted(self, name: str) -> Callable[[], Awaitable[bool]]:
        """Whether it has written anything but the Lease."""

        async def acted() -> bool:
            return any(
                event.user == self.user(name) and event.resource != "leases"
                for event in await self.writes()
            )

        return acted


def trespasses(writes: Sequence[AuditEvent]) -> list[AuditEvent]:
    """Those that came from somebody who did not hold the Lease when they arrived."""
    holder, found = "", []
    for event in writes:
        if event.resource == "leases":
            if event.code < 300:
                held = event.response["spec"].get("holderIdentity", "")
                holder = event.user if held else ""
        elif event.user != holder:
            found.append(event)
    return found


def leaders(writes: Sequence[AuditEvent]) -> list[str]:
    """Whose turn it was, one after the other; empty: nobody's, the Lease was given back."""
    turns: list[str] = []
    for event in writes:
        if event.resource == "leases" and event.code < 300:
            held = event.response["spec"].get("holderIdentity", "")
            turn = event.user.split("-")[0] if held else ""
            if turns[-1:] != [turn]:
                turns.append(turn)
    return turns


@pytest.fixture
async def replicas(blind: World, tmp_path: Path) -> AsyncIterator[Replicas]:
    async with AsyncExitStack() as stack:
        await make_pool(blind)
        await stack.enter_async_context(_undoing(blind))
        yield Replicas(blind, tmp_path, await blind.mark(), stack)


@asynccontextmanager
async def _undoing(world: World) -> AsyncIterator[None]:
    path = CONFIG_MAPS.path(world.namespace, UNDONE)

    async def undo() -> None:
        while True:
            if await world.people.get(CONFIG_MAPS, world.namespace, UNDONE) is not None:
                await world.people.client.request("delete", path, serialize=False)
            await asyncio.sleep(0.05)

    task = asyncio.create_task(undo())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})


async def test_killed_and_asked_to_end(replicas: Replicas) -> None:
    one = await replicas.start("one")
    await until(replicas.has_acted("one"), "a write of one", one)
    two = await replicas.start("two")
    status, health = await two.page("/healthz")
    assert (status, json.loads(health)["leading"]) == (200, False)
    assert await one.leads()
    assert not await two.leads()

    one.process.kill()
    await until(replicas.has_acted("two"), "a write of two", two)
    assert await two.leads()
    standing = two.lines("standing-by")
    assert "holds the Lease" in standing[-1]["message"]

    three = await replicas.start("three")
    two.process.terminate()
    assert await two.exit_code() == 0
    await until(replicas.has_acted("three"), "a write of three", three)
    assert two.lines("lease-released")

    writes = await replicas.writes()
    assert trespasses(writes) == []
    assert leaders(writes) == ["one", "two", "", "three"]
    lease = await replicas.world.people.get(LEASES, replicas.world.namespace, "callfleet-operator")
    assert lease is not None
    assert lease["spec"]["leaseTransitions"] == 2


async def test_a_stopped_leader_that_wakes(replicas: Replicas) -> None:
    """It is stopped in the middle of a round: what it has asked is answered while it sleeps, and
    when it wakes it would go on to write."""
    connection, through = await replicas.cable("one")
    one = await replicas.start("one", through)
    await until(replicas.has_acted("one"), "a write of one", one)
    two = await replicas.start("two")

    connection.hang()

    async def asking() -> bool:
        return connection.held > 0

    await until(asking, "a request of one", one)
    one.process.send_signal(signal.SIGSTOP)
    connection.mend()
    await until(replicas.has_acted("two"), "a write of two", two)
    one.process.send_signal(signal.SIGCONT)
    assert await one.exit_code() == 1
    said = one.log.read_text()
    # Whichever notices first: the renewals, or the thread that watches them.
    assert "does not lead any more" in said or one.lines("lease-hard-stop")

    writes = await replicas.writes()
    assert trespasses(writes) == []
    assert leaders(writes) == ["one", "two"]


@pytest.mark.parametrize("way", ["hang", "refuse"])
async def test_a_leader_that_is_cut_off(replicas: Replicas, way: str) -> None:
    connection, through = await replicas.cable("one")
    one = await replicas.start("one", through)
    await until(replicas.has_acted("one"), "a write of one", one)
    two = await replicas.start("two")

    connection.hang() if way == "hang" else connection.refuse()
    assert await one.exit_code() == 1
    await until(replicas.has_acted("two"), "a write of two", two)
    connection.mend()
    assert "This operator does not lead any more" in one.log.read_text()
    assert one.lines("lease-not-renewed")

    again = await replicas.start("one", through)  # as Kubernetes does

    async def stands_by() -> bool:
        return bool(again.lines("standing-by"))

    await until(stands_by, "standing by", again)
    writes = await replicas.writes()
    assert trespasses(writes) == []
    assert leaders(writes) == ["one", "two"]
