"""Where a join belongs: here, on the pod that owns the call, or on the pod for a new one."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from random import Random

from callfleet_engine.calls.admission import (
    EXPECTED_PARTICIPANTS,
    AdmissionControl,
    draining,
    full,
)
from callfleet_engine.calls.host import CallHost, Entrance
from callfleet_engine.calls.ownership import Look, Ownership, unknown_call
from callfleet_engine.calls.peers import Peers
from callfleet_engine.calls.placement import Candidate, place, place_moved
from callfleet_engine.limits import LimitsSource
from callfleet_engine.signalling.access import Access
from callfleet_engine.signalling.messages import Join
from callfleet_engine.store.interface import CallRoute, Owner
from callfleet_engine.tokens import Grant, Permission


@dataclass(frozen=True, slots=True)
class Here:
    """This pod hosts the call, or is to host it."""

    entrance: Entrance


@dataclass(frozen=True, slots=True)
class There:
    """Another pod does. `placed`: the call is not there yet, so another pod would do as well."""

    owner: Owner
    placed: bool


class Entry:
    """Decides with the store and the peers' heartbeats."""

    def __init__(
        self,
        *,
        me: Owner,
        access: Access,
        host: CallHost,
        ownership: Ownership,
        peers: Peers,
        admission: AdmissionControl,
        limits: LimitsSource,
        is_open: Callable[[], bool],
        random: Random,
    ) -> None:
        self._me = me
        self._access = access
        self._host = host
        self._ownership = ownership
        self._peers = peers
        self._admission = admission
        self._limits = limits
        self._is_open = is_open
        self._random = random

    async def local(self, join: Join) -> Here:
        """A join that another pod passed on: it belongs here or is refused. Raises CallError."""
        return await self._local(join, self._access.verify(join.token))

    async def _local(self, join: Join, grant: Grant | None) -> Here:
        hosted = self._host.has(room=join.room, call=join.call)
        room = hosted.room if hosted else join.room
        if room is None:
            route = await self._ownership.find(room=None, call=join.call)
            if route is None:
                raise unknown_call()
            room = route.room
        return Here(_entrance(self._access.admit(grant, room), room, join))

    async def route(self, join: Join, excluded: Collection[str]) -> Here | There:
        """Where the join belongs; a new call, and one whose owner is dead or gives it up, goes to
        none of the `excluded` pods (uids).

        Raises CallError.
        """
        grant = self._access.verify(join.token)
        if join.room is not None:
            # Whoever may not enter shall not learn whether there is a call.
            self._access.admit(grant, join.room)
        if self._host.has(room=join.room, call=join.call):
            return await self._local(join, grant)
        route = await self._ownership.find(room=join.room, call=join.call)
        room = route.room if route else join.room
        if room is None:
            raise unknown_call()
        admitted = self._access.admit(grant, room)
        here = Here(_entrance(admitted, room, join, Look(route)))
        if route is None and Permission.START not in here.entrance.grant.can:
            raise unknown_call()
        if route is not None and await self._serves(route):
            return There(Owner(route.owner_uid, route.owner_address), placed=False)
        # While the store was asked, somebody else may have begun to open the call here.
        if self._admission.holds(room):
            return here
        moved = 0 if route is None else len(await self._ownership.present(route))
        chosen = self._place(excluded, moved)
        if chosen.uid == self._me.uid:
            return here
        if route is not None and self._ownership.was_mine(route):
            await self._ownership.release(route)
        self._peers.sent_to(chosen.uid, max(EXPECTED_PARTICIPANTS, moved))
        return There(Owner(chosen.uid, chosen.address), placed=True)

    async def _serves(self, route: CallRoute) -> bool:
        """Whether the owner hosts the call. This pod does not, or it would be here."""
        if route.owner_uid == self._me.uid:
            return False
        return await self._ownership.is_held(route)

    def _place(self, excluded: Collection[str], moved: int) -> Candidate:
        """`moved`: who is in the call already. Raises CallError `full`, `draining`."""
        limits = self._limits.value
        mine = Candidate(
            uid=self._me.uid,
            address=self._me.address,
            open=self._is_open(),
            used=self._admission.committed,
            capacity=limits.capacity_participants,
        )
        candidates = [mine, *self._peers.candidates()]
        willing = [candidate for candidate in candidates if candidate.uid not in excluded]
        if moved:
            chosen = place_moved(willing, moved, limits, self._random)
        else:
            chosen = place(willing, limits, self._random)
        if chosen is not None:
            return chosen
        if any(candidate.open for candidate in candidates):
            raise full("No engine pod has room for a new call.")
        raise draining("No engine pod takes new calls at the moment.")


def _entrance(grant: Grant, room: str, join: Join, look: Look | None = None) -> Entrance:
    return Entrance(grant, room, join.call, join.name, join.resume, join.preset, look=look)
