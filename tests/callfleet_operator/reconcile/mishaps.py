"""What befalls an operator between two rounds or within one: it dies, or sees what was before."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from callfleet_operator.reconcile.errors import RoundError
from callfleet_operator.reconcile.keys import Key
from tests.callfleet_operator.reconcile.world import World


class KilledError(BaseException):
    """The operator's process is gone: nothing may catch this."""


async def kill_after(here: World, actions: int, *keys: Key, done: bool = True) -> bool:
    """Rounds of an operator that dies with its next action after so many on the API server or
    on a pod; returns whether it did. `done`: that action has its effect, unknown to it."""
    life = _Life(actions, done=done)
    kube_request, pod_request = here.kube.client.request, here.session.request

    async def request_kube(method: str, *arguments: Any, **named: Any) -> Any:  # noqa: ANN401
        if method == "get":
            life.require()
            return await kube_request(method, *arguments, **named)
        last = life.act()
        answer = await kube_request(method, *arguments, **named)
        if last:
            raise KilledError
        return answer

    @asynccontextmanager
    async def request_pod(*arguments: Any, **named: Any) -> AsyncIterator[Any]:  # noqa: ANN401
        last = life.act()
        async with pod_request(*arguments, **named) as response:
            if last:
                raise KilledError
            yield response

    here.kube.client.request = request_kube
    here.session.request = request_pod  # type: ignore[assignment,method-assign] # dies in it
    try:
        for key in keys:
            await here.round(key)
    except KilledError:
        return True
    finally:
        here.kube.client.request = kube_request
        here.session.request = pod_request  # type: ignore[method-assign]
        await here.restart()
    return False


@dataclass
class Hindsight:
    """Lists of pods as the operator has seen them, to be shown to it again."""

    here: World
    lists: list[bytes] = field(default_factory=list)

    async def round(self, *keys: Key) -> None:
        """Rounds whose lists of pods are kept."""
        kube_request = self.here.kube.client.request

        async def request_kube(method: str, path: str, **named: Any) -> Any:  # noqa: ANN401
            answer = await kube_request(method, path, **named)
            if method == "get" and path.endswith("/pods"):
                self.lists.append(await answer.read())
            return answer

        self.here.kube.client.request = request_kube
        try:
            for key in keys:
                await self.here.round(key)
        finally:
            self.here.kube.client.request = kube_request

    async def stale_round(self, *keys: Key, age: int = 0) -> None:
        """Rounds that are shown a list of pods of before: 0 is that of the latest round."""
        kube_request = self.here.kube.client.request
        lists = self.lists[: len(self.lists) - age]

        async def request_kube(method: str, path: str, **named: Any) -> Any:  # noqa: ANN401
            if lists and method == "get" and path.endswith("/pods"):
                return _Answer(lists[-1])
            return await kube_request(method, path, **named)

        self.here.kube.client.request = request_kube
        try:
            for key in keys:
                with suppress(RoundError):
                    await self.here.round(key)
        finally:
            self.here.kube.client.request = kube_request


@dataclass
class _Life:
    """Of an operator that dies. The dead do nothing."""

    left: int
    done: bool
    dead: bool = False

    def require(self) -> None:
        if self.dead:
            raise KilledError

    def act(self) -> bool:
        """Whether this action is the last one, and has its effect."""
        self.require()
        self.left -= 1
        self.dead = self.left < 0
        if self.dead and not self.done:
            raise KilledError
        return self.dead


@dataclass(frozen=True)
class _Answer:
    """An answer of the API server, given again."""

    body: bytes
    status: int = 200

    async def read(self) -> bytes:
        return self.body
