"""Which pod owns a call, and how this one comes to own it.

The store decides: a start and a take-over are compare-and-swap there, so two pods never own one
call under the same epoch. An owner is dead when it has sent no heartbeat for three intervals. An
owner that is this pod, without the call in memory, is this pod's former life: its container was
restarted. An owner that gives a call up says so in the store; then any pod may take it over, on the
same path as from a dead owner.
"""

from __future__ import annotations

import logging
from typing import NamedTuple

from callfleet_engine.calls.peers import Peers
from callfleet_engine.errors import CallError, error_code
from callfleet_engine.store.interface import (
    CallRoute,
    NoActiveCall,
    Owner,
    Participant,
    Store,
    StoreError,
)

logger = logging.getLogger(__name__)

ROUNDS = 4
"""Each round is lost only to another pod that has won it."""

STORE_RETRY_AFTER_MS = 3_000


class OwnedElsewhere(Exception):  # noqa: N818 - named for what is the case
    """Another pod that is alive owns the call."""

    def __init__(self, route: CallRoute) -> None:
        super().__init__(f"call {route.call_id} belongs to pod {route.owner_uid}")
        self.route = route


class Look(NamedTuple):
    """What the store had when it was asked for a room's call; a change of owner since is noticed
    when this pod tries to own it."""

    route: CallRoute | None


class Ownership:
    """Routes of calls, as the store has them."""

    def __init__(self, store: Store, peers: Peers, me: Owner) -> None:
        self._store = store
        self._peers = peers
        self._me = me

    async def find(self, *, room: str | None, call: str | None) -> CallRoute | None:
        """The active call of a room or with an identifier, None if there is none.

        Raises CallError `store_unavailable`.
        """
        try:
            if call is not None:
                return await self._store.get_active_call(call=call)
            return await self._store.get_active_call(room=room)
        except StoreError as error:
            raise refusal(error) from error

    async def is_held(self, route: CallRoute) -> bool:
        """Whether the owner has not given the call up and was heard of lately.

        Raises CallError `store_unavailable`.
        """
        if route.released:
            return False
        try:
            return await self._peers.is_alive(route.owner_uid)
        except StoreError as error:
            raise refusal(error) from error

    async def present(self, route: CallRoute) -> tuple[Participant, ...]:
        """Those who are recorded as present in the call. Raises CallError `store_unavailable`."""
        try:
            return await self._store.present_participants(route.call_id)
        except StoreError as error:
            raise refusal(error) from error

    def was_mine(self, route: CallRoute) -> bool:
        """Whether this pod's former life has left the call behind, as it is not here. Another pod
        can take it over only once it is given up, for this pod lives."""
        return route.owner_uid == self._me.uid and not route.released

    async def release(self, route: CallRoute) -> CallRoute | None:
        """Give a call of this pod up; the route as it stands then, None if the call has ended.

        Raises CallError `store_unavailable`.
        """
        try:
            return await self._store.release_call(route.call_id, route.epoch)
        except NoActiveCall:
            return None
        except StoreError as error:
            raise refusal(error) from error

    async def claim(self, room: str, *, may_start: bool, look: Look | None = None) -> CallRoute:
        """Own the room's call: start it, or take it over from an owner that is dead or gives it up.

        `look`: of a moment ago, to begin with.

        Raises OwnedElsewhere, CallError `unknown_call`, `store_unavailable`.
        """
        try:
            for _ in range(ROUNDS):
                look = look or Look(await self._store.get_active_call(room=room))
                route = await self._round(room, look.route, may_start=may_start)
                if route is not None:
                    return route
                look = None
        except StoreError as error:
            raise refusal(error) from error
        raise CallError(
            "store_unavailable",
            "The call's owner keeps changing.",
            "Try again in a few seconds.",
            retry_after_ms=STORE_RETRY_AFTER_MS,
        )

    async def _round(
        self, room: str, route: CallRoute | None, *, may_start: bool
    ) -> CallRoute | None:
        if route is None:
            if not may_start:
                raise unknown_call()
            started = await self._store.initiate_call(room, self._me)
            return started if started.owner_uid == self._me.uid else None
        if route.owner_uid != self._me.uid and await self.is_held(route):
            raise OwnedElsewhere(route)
        try:
            taken = await self._store.take_over(route.call_id, route.epoch, self._me)
        except NoActiveCall:
            return None
        if taken.owner_uid != self._me.uid:
            return None
        logger.warning(
            "call taken over",
            extra={"call": taken.call_id, "from": route.owner_uid, "epoch": taken.epoch},
        )
        return taken


def unknown_call() -> CallError:
    """There is no such call, and the token does not let its bearer start one."""
    return CallError(
        "unknown_call",
        "There is no such call now, and the token may not start one.",
        "Wait until somebody with the permission `start` has joined, or ask for such a token.",
        retry_after_ms=STORE_RETRY_AFTER_MS,
    )


def refusal(error: StoreError) -> CallError:
    """What a client is told of an error of the store."""
    if error.code == "store_unavailable":
        return CallError(
            "store_unavailable",
            "The engine's database does not answer.",
            "Try again in a few seconds; running calls go on.",
            retry_after_ms=STORE_RETRY_AFTER_MS,
        )
    return CallError(error_code(error.code), error.message, error.remedy)
