"""Who may use the admin interface: short tokens of the operator, meant for this pod."""

from __future__ import annotations

import json

import jwt

ISSUER = "callfleet-operator"
MAX_LIFETIME = 60
"""Seconds from `iat` to `exp`."""
CLOCK_SKEW = 10


class TokenError(Exception):
    """Answer 401 with this code."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class InvalidKeysError(ValueError):
    """The key file cannot be used; the message says what to do."""


def read_keys(text: str) -> dict[str, jwt.PyJWK]:
    """Ed25519 public keys of a JWK Set by `kid`. Raises `InvalidKeysError`."""
    try:
        members = json.loads(text)["keys"]
        keys = [(str(member["kid"]), jwt.PyJWK(member, algorithm="EdDSA")) for member in members]
    except (ValueError, KeyError, TypeError, jwt.PyJWKError, jwt.InvalidKeyError) as error:
        message = f"it is no JWK Set (RFC 7517) of Ed25519 keys, each with a kid: {error!r}"
        raise InvalidKeysError(message) from error
    if not keys:
        raise InvalidKeysError("it holds no key: nobody could use the admin interface")
    return dict(keys)


class TokenVerifier:
    """Checks bearer tokens against the present keys."""

    def __init__(self, keys: dict[str, jwt.PyJWK], audience: str) -> None:
        """`audience`: this pod's uid."""
        self.keys = keys
        self._audience = audience

    def verify(self, authorization: str | None) -> None:
        """Check the header `Authorization`. Raises `TokenError`."""
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise TokenError("token_missing", "Send Authorization: Bearer TOKEN.")
        try:
            key = self.keys.get(str(jwt.get_unverified_header(token).get("kid")))
            if key is None:
                raise TokenError("token_invalid", "The token's kid names no key of this pod.")
            claims = jwt.decode(
                token,
                key,
                algorithms=["EdDSA"],
                audience=self._audience,
                issuer=ISSUER,
                leeway=CLOCK_SKEW,
                options={"require": ["exp", "iat", "aud", "iss"]},
            )
        except jwt.ExpiredSignatureError as error:
            raise TokenError("token_expired", "Make a new token for each call.") from error
        except jwt.InvalidAudienceError as error:
            raise TokenError("wrong_audience", "The token is for another pod.") from error
        except jwt.InvalidTokenError as error:
            raise TokenError("token_invalid", f"The token does not verify: {error}.") from error
        if claims["exp"] - claims["iat"] > MAX_LIFETIME:
            message = f"A token may live {MAX_LIFETIME} seconds at most."
            raise TokenError("token_invalid", message)
