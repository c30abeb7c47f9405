"""The relays that clients may be given, and the choice among them.

A client is given one relay, with all its URLs: with several, a client allocates on each of them.
The choice is random, weighted by the free allocations that the operator last reported less what
was handed out since. Relays near the engine come first as long as one has room. A relay that is
full is still handed out when no other is left: its refusals are what makes the pool grow.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from random import Random
from typing import Annotated, Protocol

from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from pydantic.alias_generators import to_camel

MAX_RELAYS = 4096
ALLOCATIONS_PER_CLIENT = 2
"""One for each peer connection."""

RelayIdentity = tuple[str, str]
"""Pool and pod."""

Url = Annotated[str, StringConstraints(pattern=r"^turns?:[^\s?]{1,255}(\?transport=(udp|tcp))?$")]


class Relay(BaseModel):
    """One relay pod, or stand-alone relay."""

    model_config = ConfigDict(frozen=True, alias_generator=to_camel, populate_by_name=True)

    pool: Annotated[str, StringConstraints(max_length=300)] = ""
    """NAMESPACE/NAME; empty for a relay of the command line."""
    pod: Annotated[str, StringConstraints(min_length=1, max_length=253)]
    region: Annotated[str, StringConstraints(max_length=63)] = ""
    urls: Annotated[tuple[Url, ...], Field(min_length=1, max_length=16)]
    near: bool = False
    """Whether it stands in the engine's own region."""
    free_allocations: Annotated[int, Field(ge=0, le=10_000_000)] = 1

    @property
    def identity(self) -> RelayIdentity:
        """What tells relays apart."""
        return self.pool, self.pod


class RelaySource(Protocol):
    """Who can sign for a pool."""

    def can_sign(self, pool: str) -> bool:
        """Whether clients can be given credentials for this pool."""
        ...


class RelayDirectory:
    """The relays known at present."""

    def __init__(self, relays: Iterable[Relay] = ()) -> None:
        self._relays: tuple[Relay, ...] = ()
        self._handed_out: dict[RelayIdentity, int] = {}
        self.replace(relays)

    def __len__(self) -> int:
        return len(self._relays)

    def replace(self, relays: Iterable[Relay]) -> None:
        """Take the list as the operator sees it now."""
        self._relays = tuple(relays)
        self._handed_out = {}

    def get(self, identity: RelayIdentity) -> Relay | None:
        """The relay, if it is still to be handed out."""
        return next((relay for relay in self._relays if relay.identity == identity), None)

    def any_usable(self, signers: RelaySource) -> bool:
        """Whether a client could be given one."""
        return any(signers.can_sign(relay.pool) for relay in self._relays)

    def choose(
        self,
        random: Random,
        signers: RelaySource,
        tried: Collection[RelayIdentity] = (),
    ) -> Relay | None:
        """A relay for one client, rather none it has tried; None if there is none at all."""
        usable = [relay for relay in self._relays if signers.can_sign(relay.pool)]
        fresh = [relay for relay in usable if relay.identity not in tried] or usable
        if not fresh:
            return None
        fresh = [relay for relay in fresh if relay.near and self._free(relay)] or fresh
        weights = [self._free(relay) for relay in fresh]
        if not any(weights):
            weights = [1] * len(fresh)
        chosen = random.choices(fresh, weights)[0]
        identity = chosen.identity
        self._handed_out[identity] = self._handed_out.get(identity, 0) + ALLOCATIONS_PER_CLIENT
        return chosen

    def _free(self, relay: Relay) -> int:
        return max(0, relay.free_allocations - self._handed_out.get(relay.identity, 0))
