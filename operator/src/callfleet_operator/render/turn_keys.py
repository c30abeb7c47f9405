"""TURN keys, derived from a pool's master secrets. contracts.md, "TURN credentials"."""

from __future__ import annotations

import base64
import hashlib
import hmac
from dataclasses import dataclass
from typing import Final

SHORTEST_MASTER: Final = 32
MOST_MASTERS: Final = 8

_KEYID_DIGITS: Final = 8


@dataclass(frozen=True, slots=True)
class TurnKey:
    """What one consumer signs with, and how relays recognise the master it comes from."""

    keyid: str
    key: str


def parse_masters(text: bytes) -> tuple[bytes, ...]:
    """The master secrets in the value of the key `secrets`: one a line, newest first.

    Raises ValueError, fit to be shown (it quotes no secret), when there is none, one is shorter
    than 32 characters, or there are more than 8.
    """
    masters = tuple(line for line in text.splitlines() if line)
    if not masters:
        raise ValueError("key `secrets` is empty: put one master secret of 32 or more characters")
    if len(masters) > MOST_MASTERS:
        raise ValueError(
            f"key `secrets` has {len(masters)} lines, {MOST_MASTERS} are allowed: remove old ones"
        )
    for number, master in enumerate(masters, start=1):
        if len(master) < SHORTEST_MASTER:
            raise ValueError(
                f"line {number} of key `secrets` has {len(master)} characters: a master secret "
                f"needs {SHORTEST_MASTER}, such as `openssl rand -hex 32` makes"
            )
    return masters


def turn_key(master: bytes, consumer: str) -> TurnKey:
    """The key of a consumer (NAMESPACE/NAME of a CallCluster)."""
    keyid = hmac.digest(master, b"callfleet-keyid", hashlib.sha256).hex()[:_KEYID_DIGITS]
    derived = hmac.digest(master, b"callfleet-turn:" + consumer.encode(), hashlib.sha256)
    return TurnKey(keyid=keyid, key=base64.b64encode(derived).decode("ascii"))
