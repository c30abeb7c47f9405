"""What a join's token allows; without keys (`--open`) everybody may do everything."""

from __future__ import annotations

from datetime import UTC, datetime

from callfleet_engine.errors import CallError, error_code
from callfleet_engine.tokens import Grant, JoinKeys, Permission, TokenError

GUEST = "guest"
"""The identity of those who came without a token."""


class Access:
    """Verifies tokens with the keys of the file, or lets everybody in."""

    def __init__(self, keys: JoinKeys | None) -> None:
        """`keys` None: open access."""
        self._keys = keys

    def verify(self, token: str | None) -> Grant | None:
        """What the token allows, None with open access.

        Raises CallError `token_missing`, `token_invalid`, `token_expired`.
        """
        if self._keys is None:
            return None
        try:
            return self._keys.verify(token)
        except TokenError as error:
            raise _refusal(error) from error

    def admit(self, grant: Grant | None, room: str) -> Grant:
        """The grant, for this room. Raises CallError `wrong_room`."""
        if grant is None:
            return Grant(GUEST, room, frozenset(Permission), datetime.max.replace(tzinfo=UTC))
        try:
            grant.require_room(room)
        except TokenError as error:
            raise _refusal(error) from error
        return grant


def require(grant: Grant, permission: Permission) -> None:
    """Raises CallError `not_permitted` unless the token allows it."""
    try:
        grant.require(permission)
    except TokenError as error:
        raise _refusal(error) from error


def _refusal(error: TokenError) -> CallError:
    return CallError(error_code(error.code), error.message, error.remedy)
