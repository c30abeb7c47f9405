"""Join tokens: who may enter which room, and do what there.

A token is a JWT (RFC 7519) signed with HS256 or EdDSA (RFC 8037) by a key of a JWK Set (RFC 7517)
that its header names by `kid`. The algorithm is the key's, never the token's (RFC 8725, 3.1):
`oct` keys verify HS256 only, Ed25519 keys EdDSA only.
"""

# ruff: noqa: N818 (errors are named for what is the case: `except TokenExpired` reads as it is)
from __future__ import annotations

import base64
import json
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any, ClassVar, Final

import jwt

from callfleet_engine.token_keys import JoinKey, KeysFileInvalid, read_keys

LEEWAY: Final = timedelta(seconds=10)
"""How far clocks of issuer and engine may differ before a token counts as expired."""
LONGEST_TOKEN: Final = 8192
"""Characters; longer ones are not looked at."""
LONGEST_ROOM: Final = 128
LONGEST_IDENTITY: Final = 256
LATEST: Final = 2**37
"""Unix time in the year 6325, for datetime ends with the year 9999."""
CHECK_FILE_SECONDS: Final = 1.0
"""How long a change of the keys file may go unnoticed."""

_REMEDY: Final = "Ask whoever sent the link for a new one; `callfleet token` makes them."

logger = logging.getLogger(__name__)


class Permission(StrEnum):
    """What a token lets its bearer do: the values of the claim `can`."""

    PUBLISH = "publish"
    SUBSCRIBE = "subscribe"
    MODERATE = "moderate"
    START = "start"


class TokenError(Exception):
    """Why a token does not admit; `code` is signalling's. The texts never quote the token."""

    code: ClassVar[str] = "token_invalid"

    def __init__(self, message: str, remedy: str = _REMEDY) -> None:
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


class TokenNotYetValid(TokenError):
    """Its claim `nbf` lies ahead."""


class WrongRoom(TokenError):
    """Made for another room."""

    code = "wrong_room"


class NotPermitted(TokenError):
    """Good for the room, but not for what is asked."""

    code = "not_permitted"


@dataclass(frozen=True, slots=True)
class Grant:
    """What a verified token allows."""

    identity: str
    room: str
    can: frozenset[Permission]
    expires: datetime

    def require_room(self, room: str) -> None:
        """Raises WrongRoom unless the token is for this room."""
        if room != self.room:
            raise WrongRoom("The token is for another room.", "Use the link made for this room.")

    def require(self, permission: Permission) -> None:
        """Raises NotPermitted unless the token allows it."""
        if permission not in self.can:
            raise NotPermitted(
                f"The token does not allow to {permission}.",
                f"Ask for one that does: callfleet token --can {permission},...",
            )


def mint(key: JoinKey, grant: Grant) -> str:
    """A token for the grant.

    Raises:
        KeysFileInvalid: the key can only verify.
        ValueError: the grant is none that `verify` would accept.
    """
    if key.private is None:
        raise KeysFileInvalid(
            f"Key {key.kid} is a public key, which cannot sign.",
            "Use the file with the private keys, as `callfleet token keys` made it.",
        )
    claims = {
        "sub": grant.identity,
        "room": grant.room,
        "can": sorted(grant.can),
        "exp": int(grant.expires.timestamp()),
    }
    try:
        _grant(claims)
    except TokenMalformed as flaw:
        raise ValueError(flaw.message) from flaw
    return jwt.encode(claims, key.private, algorithm=key.algorithm, headers={"kid": key.kid})


def verify(keys: Mapping[str, JoinKey], token: str | None, now: datetime) -> Grant:
    """Check the token's signature and time.

    Raises:
        TokenMissing, TokenMalformed, UnknownKey, BadSignature, TokenExpired, TokenNotYetValid.
    """
    if not token:
        raise TokenMissing("A join token is needed.")
    if len(token) > LONGEST_TOKEN or not token.isascii():
        raise TokenMalformed(f"The token is no JWT of at most {LONGEST_TOKEN} characters.")
    kid = _header(token).get("kid")
    if not isinstance(kid, str):
        raise TokenMalformed("The token's header names no key (kid).")
    key = keys.get(kid)
    if key is None:
        raise UnknownKey("The token is signed with a key this server does not have.")
    claims = _signed_claims(key, token)
    grant = _grant(claims)
    if now >= grant.expires + LEEWAY:
        raise TokenExpired(f"The token was good until {grant.expires:%Y-%m-%d %H:%M:%S} UTC.")
    if "nbf" in claims and now + LEEWAY < (begin := _time(claims, "nbf")):
        raise TokenNotYetValid(
            f"The token is good from {begin:%Y-%m-%d %H:%M:%S} UTC on.", "Come back then."
        )
    return grant


def _header(token: str) -> dict[str, Any]:
    """What names the key; all else of the token is read once the key is known."""
    encoded = token.partition(".")[0]
    try:
        header = json.loads(base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)))
    except (ValueError, RecursionError) as flaw:
        raise TokenMalformed("The token is no JWT.") from flaw
    if not isinstance(header, dict):
        raise TokenMalformed("The token is no JWT.")
    return header


def _signed_claims(key: JoinKey, token: str) -> dict[str, Any]:
    try:
        return jwt.decode(
            token,
            key.public,
            algorithms=[key.algorithm],
            # Times are checked against the clock given, the other claims by _grant.
            options={
                "verify_exp": False,
                "verify_nbf": False,
                "verify_iat": False,
                "verify_sub": False,
                "verify_jti": False,
            },
        )
    except (jwt.InvalidSignatureError, jwt.InvalidAlgorithmError) as flaw:
        raise BadSignature("The token's signature does not fit its key.") from flaw
    except jwt.InvalidAudienceError as flaw:
        raise TokenMalformed("The token is for another service (aud).") from flaw
    except jwt.InvalidTokenError as flaw:
        raise TokenMalformed("The token is no JWT.") from flaw


def _grant(claims: Mapping[str, Any]) -> Grant:
    """What the claims of a signed token say.

    Permissions of a later release are passed over: they are for what this one cannot do.
    """
    can = claims.get("can")
    if not isinstance(can, list) or not all(isinstance(name, str) for name in can):
        raise TokenMalformed("The token's claim can is no list of permissions.")
    return Grant(
        identity=_text(claims, "sub", LONGEST_IDENTITY),
        room=_text(claims, "room", LONGEST_ROOM),
        can=frozenset(Permission(name) for name in can if name in set(Permission)),
        expires=_time(claims, "exp"),
    )


def _time(claims: Mapping[str, Any], name: str) -> datetime:
    value = claims.get(name)
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value < LATEST:
        raise TokenMalformed(f"The token's claim {name} is no time in Unix seconds.")
    return datetime.fromtimestamp(value, UTC)


def _text(claims: Mapping[str, Any], name: str, limit: int) -> str:
    value = claims.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= limit or not _storable(value):
        raise TokenMalformed(f"The token's claim {name} is no text of 1 to {limit} characters.")
    return value


def _storable(value: str) -> bool:
    return not any(char < " " or "\ud800" <= char <= "\udfff" for char in value)


class JoinKeys:
    """The keys of one file, read again when it changes.

    A file that is broken after a change leaves the last good keys in use, says so in the log once,
    and in `problem`. Reading is of a local file of at most 64 KiB, after a change only.
    """

    def __init__(self, path: Path, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Raises KeysFileInvalid if the file is not usable at the start."""
        self._path = path
        self._clock = clock
        self._looked = clock()
        self._problem: str | None = None
        self._seen = _fingerprint(path)
        self._keys = read_keys(path)

    @property
    def problem(self) -> str | None:
        """What is wrong with the file as it stands; None when it is in use."""
        self._look_again()
        return self._problem

    def verify(self, token: str | None) -> Grant:
        """Check the token's signature and time. Then call `require_room` and `require`.

        Raises:
            TokenMissing, TokenMalformed, UnknownKey, BadSignature, TokenExpired, TokenNotYetValid.
        """
        self._look_again()
        return verify(self._keys, token, datetime.now(UTC))

    def mint(self, grant: Grant) -> str:
        """Make a token with the first key of the file that can sign.

        Raises:
            KeysFileInvalid: none can.
            ValueError: the grant is none that `verify` would accept.
        """
        self._look_again()
        keys = list(self._keys.values())
        signing = [key for key in keys if key.private is not None]
        return mint((signing or keys)[0], grant)

    def _look_again(self) -> None:
        if self._clock() - self._looked < CHECK_FILE_SECONDS:
            return
        self._looked = self._clock()
        fingerprint = _fingerprint(self._path)
        if fingerprint == self._seen:
            return
        self._seen = fingerprint
        try:
            self._keys = read_keys(self._path)
        except KeysFileInvalid as flaw:
            self._problem = str(flaw)
            logger.error("%s The keys read before stay in use.", flaw)  # noqa: TRY400 (no bug)
        else:
            self._problem = None
            logger.info("Join keys read anew: %s.", ", ".join(self._keys))


def _fingerprint(path: Path) -> tuple[int, ...] | None:
    """Changes with the file; a mounted Secret is exchanged by a link, hence the inode."""
    try:
        status = path.stat()
    except OSError:
        return None
    return (status.st_ino, status.st_size, status.st_mtime_ns)
