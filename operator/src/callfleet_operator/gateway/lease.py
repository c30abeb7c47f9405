"""The Lease by which one of several operators leads (coordination.k8s.io/v1).

Why not kubernetes.aio.leaderelection: see docs/adr/0005-own-election.md.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, NoReturn

from callfleet_operator.gateway.election import (
    DURATION,
    RETRY,
    TENURE,
    Candidate,
    Instant,
    LeaseRecord,
    Tenure,
)
from callfleet_operator.gateway.errors import (
    AlreadyExistsError,
    ConflictError,
    KubeError,
    NotFoundError,
    UnavailableError,
)
from callfleet_operator.gateway.kube import Body, Kube
from callfleet_operator.gateway.resources import LEASES

HARD_STOP = DURATION - 0.5
"""Seconds after the last confirmed renewal: by then the process is gone, one way or the other."""
_GIVEN_BACK: dict[str, Any] = {"holderIdentity": "", "leaseDurationSeconds": 1}
_LOOK = 0.25
_RETRY_FAILED = 0.5

log = logging.getLogger(__name__)


class LeaseLostError(Exception):
    """This process led and must not any more; it has to leave."""


def leave_at_once() -> NoReturn:
    """End the process without asking anybody in it."""
    os._exit(1)


class Lease:
    """One replica's part in the election."""

    def __init__(
        self,
        kube: Kube,
        namespace: str,
        name: str,
        identity: str,
        tenure: Tenure,
        *,
        clock: Callable[[], Instant] = Instant.now,
        leave: Callable[[], None] = leave_at_once,
    ) -> None:
        """`kube` is a connection of its own, whose requests take ATTEMPT seconds at most: a queue
        of slow requests must not keep a renewal waiting. `identity` is no other process's."""
        self._kube = kube
        self._namespace = namespace
        self._name = name
        self._identity = identity
        self._tenure = tenure
        self._clock = clock
        self._leave = leave
        self._held: Body = {}
        """The Lease as the API server has it since our last write."""

    def __str__(self) -> str:
        return f"{self._namespace}/{self._name}"

    async def acquire(self) -> None:
        """Stand by until the Lease is ours.

        An API server that is away makes it wait, however long: a standby harms nobody. Raises
        KubeError when the API server does not allow it, or there is no such namespace.
        """
        candidate = Candidate(self._identity)
        said = ""
        while True:
            try:
                live = await self._kube.get(LEASES, self._namespace, self._name)
                record = LeaseRecord.of(live) if live else None
                wait = candidate.wait(record, self._clock().monotonic)
                if not wait and await self._take(live, record):
                    self._say("lease-acquired", "this replica leads now")
                    return
                news = f"standing by: {candidate.holder or 'nobody'} holds the Lease"
            except UnavailableError as away:
                wait, news = RETRY, f"standing by: the API server cannot be asked: {away.message}"
            if news != said:
                self._say("standing-by", news)
                said = news
            await asyncio.sleep(min(RETRY, max(wait, _LOOK)))

    async def keep(self) -> NoReturn:
        """Renew until that fails for too long. Raises LeaseLostError; until it does the tenure may
        have been over for a moment, which the gate knows at once."""
        pause = RETRY
        while True:
            await asyncio.sleep(pause)
            pause = RETRY if await self._renew() else _RETRY_FAILED

    async def release(self) -> None:
        """Give it back, so that another takes it at once. Only after everything else has ended."""
        if not self._tenure.leading:
            return
        self._tenure.end("this operator has given its Lease back")
        try:
            try:
                await self._write(_GIVEN_BACK)
            except ConflictError:  # a renewal whose answer we have not waited for
                await self._look_again()
                await self._write(_GIVEN_BACK)
        except (KubeError, LeaseLostError) as refusal:
            self._say("lease-not-released", f"the Lease runs out by itself: {refusal}")
        else:
            self._say("lease-released", "another replica may lead")

    @asynccontextmanager
    async def watched(self) -> AsyncIterator[None]:
        """While the block runs, a thread ends the process if it has not left by HARD_STOP: its
        event loop may hang, or its shutdown."""
        done = threading.Event()
        thread = threading.Thread(target=self._watch, args=[done], name="lease", daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()

    def _watch(self, done: threading.Event) -> None:
        while not done.wait(_LOOK):
            age = self._tenure.age()
            if age >= HARD_STOP:
                log.critical(
                    "leaving at once: %.1f s since the last confirmed renewal of the Lease, and "
                    "the operator has not ended by itself",
                    age,
                    extra={"event": "lease-hard-stop"},
                )
                self._leave()
                return

    async def _take(self, live: Body | None, record: LeaseRecord | None) -> bool:
        """Write ourselves into it; returns whether nobody was quicker."""
        sent = self._clock()
        now = _micro_time()
        mine = {
            "holderIdentity": self._identity,
            "leaseDurationSeconds": DURATION,
            "acquireTime": now,
            "renewTime": now,
            "leaseTransitions": record.transitions + 1 if record else 0,
        }
        try:
            if live is None:
                self._held = await self._kube.create(self._body(mine))
            else:
                self._held = live
                await self._write(mine)
        except (AlreadyExistsError, ConflictError):
            return False
        self._tenure.confirm(sent)
        self._check()
        return True

    def _body(self, spec: dict[str, Any]) -> Body:
        return {
            "apiVersion": LEASES.api_version,
            "kind": LEASES.kind,
            "metadata": {"name": self._name, "namespace": self._namespace},
            "spec": spec,
        }

    async def _renew(self) -> bool:
        """One attempt; returns whether the renewal is confirmed. Raises LeaseLostError."""
        self._check()
        sent = self._clock()
        try:
            # The attempt ends with the tenure: whoever waits longer leaves later.
            async with asyncio.timeout(max(0.0, TENURE - self._tenure.age())):
                await self._write({"renewTime": _micro_time()})
        except (ConflictError, NotFoundError):
            await self._look_again()
            return False
        except (KubeError, TimeoutError) as failure:
            log.warning(
                "the Lease is not renewed: %s",
                str(failure) or "no answer in time",
                extra={"event": "lease-not-renewed"},
            )
            self._check()
            return False
        self._tenure.confirm(sent)
        self._check()
        return True

    async def _look_again(self) -> None:
        """Another version than ours is there: an answer of ours was lost, somebody has edited the
        Lease, or another one holds it."""
        try:
            live = await self._kube.get(LEASES, self._namespace, self._name)
        except UnavailableError:
            return  # the next attempt conflicts again, if need be until the tenure is over
        if live is None:
            self._lose("somebody has deleted the Lease")
        holder = LeaseRecord.of(live).holder
        if holder != self._identity:
            self._lose(f"{holder or 'nobody'} holds the Lease now")
        self._held = live

    async def _write(self, changes: dict[str, Any]) -> None:
        """Replace exactly the version that we know."""
        body = {**self._held, "spec": {**self._held.get("spec", {}), **changes}}
        self._held = await self._kube.replace(body)

    def _check(self) -> None:
        try:
            self._tenure.check()
        except KubeError as over:
            self._lose(over.message)

    def _lose(self, reason: str) -> NoReturn:
        self._tenure.end(reason)
        raise LeaseLostError(
            f"This operator does not lead any more and leaves, to be started again: {reason}."
        )

    def _say(self, event: str, text: str) -> None:
        log.info(
            "%s",
            text,
            extra={
                "event": event,
                "lease": str(self),
                "identity": self._identity,
            },
        )


def _micro_time() -> str:
    """The present time as MicroTime; for people, nobody reckons with it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
