"""Mobility tickets: with one a client takes its allocation to a new address (RFC 8016).

A ticket says which allocation it is for and which of that allocation's tickets it is, under the
relay's own MAC. None is remembered. It is written in 32 characters: coturn's client takes tickets
for strings.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import struct

_BODY = struct.Struct("!QI")
_MAC_LENGTH = 12
_LENGTH = 32
_MAX_GENERATION = 0xFFFFFFFF


class Tickets:
    """Makes and reads tickets, holding none of them."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def make(self, session: int, generation: int) -> bytes:
        """Ticket number `generation` of a session."""
        body = _BODY.pack(session, generation & _MAX_GENERATION)
        return base64.b64encode(body + self._mac(body))

    def read(self, ticket: bytes) -> tuple[int, int] | None:
        """Session and generation of a ticket; None where it is none of this relay's."""
        if len(ticket) != _LENGTH:
            return None
        try:
            raw = base64.b64decode(ticket, validate=True)
        except binascii.Error:
            return None
        body = raw[: _BODY.size]
        if len(body) < _BODY.size or not hmac.compare_digest(raw[len(body) :], self._mac(body)):
            return None
        session, generation = _BODY.unpack(body)
        return session, generation

    def _mac(self, body: bytes) -> bytes:
        return hmac.digest(self._secret, body, "sha256")[:_MAC_LENGTH]
