"""A user who only needs a relay: comes for credentials, then allocates and holds on."""

from __future__ import annotations

import asyncio
import random
from typing import Any

from callfleet_engine.load.allocation import (
    Allocation,
    AllocationRefusedError,
    open_allocation,
    spoiled,
)
from callfleet_engine.load.participant import Client
from callfleet_engine.load.scenario import Credentials
from callfleet_engine.load.signalling_client import (
    SignallingClient,
    SignallingClosedError,
    SignallingError,
)

RETRY_SECONDS = (1.0, 3.0)


class TurnClient:
    """Wants one allocation and asks again, as somebody new, each time it is refused one."""

    def __init__(
        self,
        client: Client,
        room: str,
        identity: str,
        credentials: Credentials,
        visits: asyncio.Lock,
    ) -> None:
        """`visits` keeps the room from filling up with people who come for credentials only."""
        self.held = False
        self.credentials = credentials
        self._visits = visits
        self._client = client
        self._room = room
        self._identity = identity
        self._leave = asyncio.Event()

    def leave(self) -> None:
        """Give the allocation back; `run` then returns."""
        self._leave.set()

    async def run(self) -> None:
        """Hold an allocation until `leave`."""
        while not self._leave.is_set():
            allocation = await self._allocate()
            if allocation is None:
                await self._pause(random.uniform(*RETRY_SECONDS))  # noqa: S311
                continue
            self.held = True
            try:
                await self._leave.wait()
            finally:
                self.held = False
                await allocation.close()

    async def _allocate(self) -> Allocation | None:
        events = self._client.events
        try:
            server = await self._relay()
        except (SignallingError, SignallingClosedError) as error:
            code = error.code if isinstance(error, SignallingError) else "unreachable"
            events.write("refused", room=self._room, identity=self._identity, code=code)
            return None
        if self.credentials is Credentials.WRONG:
            server = spoiled(server)
        try:
            allocation = await open_allocation(server)
        except AllocationRefusedError as refused:
            events.write("allocation-refused", identity=self._identity, code=refused.code)
            return None
        events.write("allocation-held", identity=self._identity)
        return allocation

    async def _relay(self) -> dict[str, Any]:
        """Join for a moment: credentials belong to participants."""
        async with (
            self._visits,
            SignallingClient(self._client.http, self._client.url) as signalling,
        ):
            fields: dict[str, Any] = {"room": self._room, "name": self._identity}
            if (token := self._client.token(self._room, self._identity)) is not None:
                fields["token"] = token
            joined = await signalling.ask("join", **fields)
            await signalling.ask("leave")
        servers: list[dict[str, Any]] = joined["iceServers"]
        if not servers:
            raise SignallingError(
                {"code": "no_relay", "message": "The engine handed out no relay."}
            )
        return servers[0]

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._leave.wait()
        except TimeoutError:
            return
