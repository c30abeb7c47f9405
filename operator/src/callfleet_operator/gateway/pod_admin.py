"""The admin interface of engine and relay pods: status, drain, reconnect, seal, relays, peers.

Contract: docs/reference/contracts.md, "Admin interface". Nothing raises: whatever a pod answers,
or does not, is one of the outcomes.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from callfleet_operator.gateway.admin_key import AdminKey
from callfleet_operator.gateway.gate import Check, guarded

PORT = 9091
ANSWER_LIMIT = 64 * 1024
"""Octets; a status has a few hundred."""
_CODE_LIMIT = 64
_DETAIL_LIMIT = 256


@dataclass(frozen=True, slots=True)
class Pod:
    """Whom to call."""

    address: str
    uid: str
    port: int = PORT


@dataclass(frozen=True, slots=True)
class Ok:
    """The pod has done it."""

    answer: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Refused:
    """The pod says no: `code` of the contract, with the counts that explain it."""

    code: str
    message: str
    counts: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Unreachable:
    """No answer of the contract: what the pod knows or has done is unknown."""

    detail: str


Outcome = Ok | Refused | Unreachable


def admin_session(gate: Check, connections: int) -> aiohttp.ClientSession:
    """The HTTP session of a PodAdmin; `gate` is asked before each call that changes something."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=connections), trace_configs=[guarded(gate)]
    )


class PodAdmin:
    """Calls pods, at most `concurrency` at a time, each within `timeout` seconds."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        key: AdminKey,
        *,
        timeout: float,
        concurrency: int,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._session = session
        self._key = key
        self._timeout = timeout
        self._slots = asyncio.Semaphore(concurrency)
        self._now = now

    async def status(self, pod: Pod) -> Outcome:
        """What the pod says of itself; an answer in another pod's name counts as none."""
        outcome = await self._call("GET", pod, "status")
        if isinstance(outcome, Ok) and outcome.answer.get("podUid") != pod.uid:
            return Unreachable("another pod answers at this address")
        return outcome

    async def statuses(self, pods: Iterable[Pod], within: float) -> dict[str, Outcome]:
        """The status of many pods by uid; those that have not answered in time are unreachable."""
        tasks = {pod.uid: asyncio.create_task(self.status(pod)) for pod in pods}
        if not tasks:
            return {}
        try:
            _, late = await asyncio.wait(tasks.values(), timeout=within)
        finally:
            for task in tasks.values():
                task.cancel()
        silent = Unreachable(f"no answer within {within:g} s for all pods together")
        return {uid: silent if task in late else task.result() for uid, task in tasks.items()}

    async def drain(self, pod: Pod, drain_id: str) -> Outcome:
        """Refuse new calls or allocations from now on; may be repeated."""
        return await self._call("POST", pod, "drain", body={"podUid": pod.uid, "drainId": drain_id})

    async def undrain(self, pod: Pod, drain_id: str) -> Outcome:
        """Take new calls or allocations again; refused once sealed. May be repeated."""
        return await self._call(
            "DELETE", pod, "drain", body={"podUid": pod.uid, "drainId": drain_id}
        )

    async def reconnect(self, pod: Pod, drain_id: str) -> Outcome:
        """Let a draining engine move its calls to other pods, if any has room; may be repeated."""
        return await self._call(
            "POST", pod, "reconnect", body={"podUid": pod.uid, "drainId": drain_id}
        )

    async def seal(self, pod: Pod, drain_id: str) -> Outcome:
        """Ok only when nobody is left on the pod, which then never admits anyone again.

        The pod is deleted for this answer: what else may answer 200 to anything does not do.
        """
        body = {"podUid": pod.uid, "drainId": drain_id}
        outcome = await self._call("POST", pod, "seal", body=body)
        if isinstance(outcome, Ok) and outcome.answer.get("admission") != "sealed":
            return Unreachable("HTTP 200 that does not say sealed")
        return outcome

    async def put_relays(self, pod: Pod, relays: list[dict[str, Any]]) -> Outcome:
        """Replace the relays that an engine hands out."""
        return await self._call("PUT", pod, "relays", body=relays)

    async def leave_relays(self, pod: Pod, relays: list[dict[str, Any]]) -> Outcome:
        """Let an engine give the clients of these relays others; may be repeated."""
        return await self._call("POST", pod, "leave-relays", body=relays)

    async def put_peers(self, pod: Pod, peers: list[dict[str, Any]]) -> Outcome:
        """Replace the addresses that a relay exchanges media with."""
        return await self._call("PUT", pod, "peers", body=peers)

    async def _call(
        self,
        method: str,
        pod: Pod,
        call: str,
        body: dict[str, Any] | list[dict[str, Any]] | None = None,
    ) -> Outcome:
        host = f"[{pod.address}]" if ":" in pod.address else pod.address
        async with self._slots:
            token = self._key.token(pod.uid, self._now())
            try:
                async with (
                    asyncio.timeout(self._timeout),
                    self._session.request(
                        method,
                        f"http://{host}:{pod.port}/admin/v1/{call}",
                        json=body,
                        headers={"Authorization": f"Bearer {token}"},
                        allow_redirects=False,
                    ) as response,
                ):
                    content = await _read(response)
                    return _outcome(response.status, content)
            except TimeoutError:
                return Unreachable(f"no answer within {self._timeout:g} s")
            except (aiohttp.ClientError, OSError) as broken:
                return Unreachable(f"{type(broken).__name__}: {broken}"[:_DETAIL_LIMIT])


async def _read(response: aiohttp.ClientResponse) -> bytes:
    """At most ANSWER_LIMIT octets, and one more to tell that there were more."""
    content = bytearray()
    async for chunk in response.content.iter_chunked(ANSWER_LIMIT):
        content += chunk
        if len(content) > ANSWER_LIMIT:
            break
    return bytes(content)


def _outcome(status: int, content: bytes) -> Outcome:
    if len(content) > ANSWER_LIMIT:
        return Unreachable(f"an answer of more than {ANSWER_LIMIT} octets")
    if status == 204:
        return Ok()
    try:
        answer = json.loads(content)
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        return Unreachable(f"HTTP {status} without a JSON object")
    if status == 200:
        return Ok(answer)
    code = answer.get("code")
    if 400 <= status < 500 and isinstance(code, str):
        return Refused(
            code[:_CODE_LIMIT],
            str(answer.get("message", ""))[:_DETAIL_LIMIT],
            {
                name: answer[name]
                for name in ("calls", "joins", "allocations")
                if type(answer.get(name)) is int
            },
        )
    return Unreachable(f"HTTP {status}: {str(answer.get('message', ''))[:_DETAIL_LIMIT]}")
