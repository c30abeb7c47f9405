"""The Secrets with TURN keys: of a CallCluster the derived ones, of a TurnPool the masters."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from callfleet_operator.render.fleet import Fleet
from callfleet_operator.render.relay_pod import MASTER_SECRETS_KEY
from callfleet_operator.render.turn_keys import turn_key


@dataclass(frozen=True, slots=True)
class PoolName:
    """Names a TurnPool."""

    namespace: str
    name: str


def engine_turn_secret(fleet: Fleet, masters: Mapping[PoolName, Sequence[bytes]]) -> dict[str, Any]:
    """A line `KEYID KEY` for each master of each pool, newest first."""
    return _secret(
        fleet,
        {
            f"{pool.namespace}.{pool.name}": "".join(
                f"{derived.keyid} {derived.key}\n"
                for derived in (turn_key(master, fleet.consumer) for master in secrets)
            ).encode()
            for pool, secrets in sorted(
                masters.items(), key=lambda item: (item[0].namespace, item[0].name)
            )
        },
    )


def master_secret(fleet: Fleet, masters: Sequence[bytes]) -> dict[str, Any]:
    """The master secrets of a pool whose owner named none, newest first."""
    return _secret(fleet, {MASTER_SECRETS_KEY: b"".join(master + b"\n" for master in masters)})


def new_master(randomness: bytes) -> bytes:
    """A master secret from 32 random bytes. Raises ValueError when they are fewer."""
    if len(randomness) < 32:
        raise ValueError("a master secret needs 32 random bytes")
    return randomness.hex().encode("ascii")


def _secret(fleet: Fleet, data: Mapping[str, bytes]) -> dict[str, Any]:
    body: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": fleet.metadata(fleet.turn_secret_name),
        "type": "Opaque",
    }
    if data:  # the API server leaves out an empty one, and each new operator would see a change
        body["data"] = {key: base64.b64encode(value).decode("ascii") for key, value in data.items()}
    return body
