"""A fleet of each kind with two pods that serve, for rollouts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from callfleet_operator.reconcile.keys import Key
from tests.callfleet_operator.reconcile.specs import SCALING, make_cluster, make_pool
from tests.callfleet_operator.reconcile.world import World

TWO = SCALING | {"minReplicas": 2, "maxReplicas": 3, "maxTotalReplicas": 5}
NEW = {"spec": {"image": "example.org/image:2"}}
BACK: dict[str, Any] = {"spec": {"image": None}}


@dataclass(frozen=True)
class Fleet:
    """One of the two kinds with two pods that serve."""

    here: World
    key: Key
    pods: tuple[str, ...]
    """Names."""

    @property
    def first(self) -> set[str]:
        """Uids of the pods of these names."""
        return {self.here.of(name).uid for name in self.pods}

    async def settle(self, rounds: int = 4) -> None:
        await self.here.settle(self.key, rounds=rounds)

    async def change(self, patch: dict[str, Any]) -> None:
        await self.here.change_resource(self.key, patch)

    async def progressing(self) -> tuple[str, str, str]:
        return await self.here.condition(self.key, "Progressing")

    async def revisions(self) -> list[str]:
        """Of the pods that are there."""
        pods = await self.here.list_pods()
        return [pod["metadata"]["labels"]["callfleet.dev/revision"] for pod in pods]

    async def is_rolled_out(self) -> bool:
        status = await self.here.status(self.key)
        return (
            status["currentRevision"] == status["updateRevision"]
            and set(await self.revisions()) == {status["updateRevision"]}
            and (await self.progressing())[1] == "UpToDate"
        )

    def used(self, number: int) -> None:
        """Participants or allocations on every pod."""
        for pod in self.here.pods.values():
            pod.used = number
            pod.calls = number if pod.component == "engine" else 0


async def engines(here: World, **spec: Any) -> Fleet:  # noqa: ANN401  # fields of a spec
    key = await make_cluster(here, **{"scaling": TWO, **spec})
    return await _settled(here, key, "calls-engine")


async def relays(here: World, **spec: Any) -> Fleet:  # noqa: ANN401  # fields of a spec
    key = await make_pool(here, **{"scaling": TWO | {"minAttempts": 5}, **spec})
    return await _settled(here, key, "relays-relay")


async def _settled(here: World, key: Key, prefix: str) -> Fleet:
    await here.settle(key, rounds=2)
    names = tuple(sorted(pod.name for pod in here.pods.values()))
    assert names == tuple(f"{prefix}-{ordinal}" for ordinal in range(len(names)))
    return Fleet(here, key, names)
