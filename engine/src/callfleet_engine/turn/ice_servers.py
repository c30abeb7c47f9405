"""`iceServers` for clients: a relay, credentials for it, and when to renew them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from dataclasses import dataclass
from random import Random

from callfleet_engine.errors import CallError
from callfleet_engine.reloading import Reloading
from callfleet_engine.turn.credentials import ConsumerKey, ConsumerSigner, PlainSigner, Signer
from callfleet_engine.turn.relays import Relay, RelayDirectory

logger = logging.getLogger(__name__)

RENEW_AT = 0.75
"""Share of a credential's lifetime after which clients get a fresh one."""

RETRY_AFTER_MS = 5_000


class Signers:
    """Signs for the pools whose keys are mounted, and for the relays of the command line."""

    def __init__(
        self,
        *,
        consumer: str = "",
        keys: Reloading[dict[str, ConsumerKey]] | None = None,
        secret: Reloading[str] | None = None,
    ) -> None:
        self._consumer = consumer
        self._keys = keys
        self._secret = secret

    def can_sign(self, pool: str) -> bool:
        """Whether there is a key for this pool; the empty pool is the command line's."""
        return self.get(pool) is not None

    def get(self, pool: str) -> Signer | None:
        """Who signs for this pool."""
        if not pool:
            return PlainSigner(self._secret.value) if self._secret else None
        key = self._keys.value.get(pool) if self._keys else None
        return ConsumerSigner(key, self._consumer) if key else None


@dataclass(frozen=True, slots=True)
class IceServers:
    """What one client is given."""

    relay: Relay | None
    servers: tuple[dict[str, object], ...]
    """RTCIceServer dictionaries (W3C WebRTC, section 4.2.1)."""
    renew_after_seconds: float | None
    """None when there is nothing that expires."""


class IceServerSource:
    """Chooses relays and signs for them."""

    def __init__(
        self,
        directory: RelayDirectory,
        signers: Signers,
        *,
        lifetime_seconds: int,
        required: bool,
        random: Random,
        now: Callable[[], float],
    ) -> None:
        """`required`: clients reach this engine through relays only. `now`: Unix seconds."""
        self.directory = directory
        self.required = required
        self._signers = signers
        self.lifetime_seconds = lifetime_seconds
        self._random = random
        self._now = now

    def require_relay(self) -> None:
        """Raises CallError `no_relay` when one is required and none is known."""
        if self.required and not self.directory.any_usable(self._signers):
            raise self._none_known()

    def issue(
        self,
        participant: str,
        *,
        keep: Relay | None = None,
        tried: Collection[tuple[str, str]] = (),
    ) -> IceServers:
        """Servers for one client: the relay it has if that is still handed out, else another.

        Raises CallError `no_relay` when one is required and none is known.
        """
        relay = self.directory.get(keep.identity) if keep else None
        if relay is None or not self._signers.can_sign(relay.pool):
            relay = self.directory.choose(self._random, self._signers, tried)
        signer = self._signers.get(relay.pool) if relay else None
        if relay is None or signer is None:
            if self.required:
                raise self._none_known()
            return IceServers(None, (), None)
        credential = signer.sign(participant, int(self._now()) + self.lifetime_seconds)
        server: dict[str, object] = {
            "urls": list(relay.urls),
            "username": credential.username,
            "credential": credential.password,
        }
        return IceServers(relay, (server,), self.lifetime_seconds * RENEW_AT)

    def _none_known(self) -> CallError:
        logger.warning(
            "a join is refused for want of a relay", extra={"relays": len(self.directory)}
        )
        return CallError(
            "no_relay",
            "This engine is reached through relays only, and none is available.",
            "Try again in a few seconds; the operator of the service should look at the "
            "TurnPool's status.",
            retry_after_ms=RETRY_AFTER_MS,
        )
