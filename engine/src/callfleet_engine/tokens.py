"""Join tokens: who may enter which room, and do what there.

A token is a JWT (RFC 7519) signed with HS256 or EdDSA (RFC 8037) by a key of a JWK Set (RFC 7517)
that its header names by `kid`. The algorithm is the key's, never the token's: `oct` keys verify
HS256 only, Ed25519 keys EdDSA only.
"""

# ruff: noqa: N818 (errors are named for what is the case: `except StaleOwner` reads as it is)
from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import ClassVar

LEEWAY = timedelta(seconds=10)
"""How far clocks of issuer and engine may differ before a token counts as expired."""


class Permission(StrEnum):
    """What a token lets its bearer do: the values of the claim `can`."""

    PUBLISH = "publish"
    SUBSCRIBE = "subscribe"
    MODERATE = "moderate"
    START = "start"


class TokenError(Exception):
    """Why a token does not admit; `code` is signalling's."""

    code: ClassVar[str] = "token_invalid"

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(f"{message} {remedy}")
        self.message = message
        self.remedy = remedy


class TokenMissing(TokenError):
    """No token was given."""

    code = "token_missing"


class TokenMalformed(TokenError):
    """No JWT, or without the claims a join token needs."""


class UnknownKey(TokenError):
    """Signed with a key that is not in the keys file."""


class BadSignature(TokenError):
    """Not signed by the key it names, or altered since."""


class TokenExpired(TokenError):
    """Its time is over."""

    code = "token_expired"


class WrongRoom(TokenError):
    """Made for another room."""

    code = "wrong_room"


class NotPermitted(TokenError):
    """Good for the room, but not for what is asked."""

    code = "not_permitted"


class KeysFileInvalid(Exception):
    """The keys file cannot be used; the text says what to do."""


@dataclass(frozen=True, slots=True)
class Grant:
    """What a verified token allows."""

    identity: str
    room: str
    can: frozenset[Permission]
    expires: datetime

    def require_room(self, room: str) -> None:
        """Raises WrongRoom unless the token is for this room."""
        raise NotImplementedError

    def require(self, permission: Permission) -> None:
        """Raises NotPermitted unless the token allows it."""
        raise NotImplementedError


class JoinKeys:
    """The keys of one file, read again when it changes.

    A file that is broken after a change leaves the last good keys in use, says so in the log once,
    and in `problem`.
    """

    def __init__(self, path: Path) -> None:
        """Raises KeysFileInvalid if the file is not usable at the start."""
        raise NotImplementedError

    @property
    def problem(self) -> str | None:
        """What is wrong with the file as it stands; None when it is in use."""
        raise NotImplementedError

    def verify(self, token: str | None) -> Grant:
        """Check the token's signature and time. Then call `require_room` and `require`.

        Raises:
            TokenMissing, TokenMalformed, UnknownKey, BadSignature, TokenExpired.
        """
        raise NotImplementedError

    def mint(self, grant: Grant) -> str:
        """Make a token with the first key of the file that can sign."""
        raise NotImplementedError
