"""TLS of the listeners that speak it: their certificate, and the layer of one connection."""

from __future__ import annotations

import logging
import ssl
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509

from callfleet_relay.watched import WatchedFile

logger = logging.getLogger(__name__)

ALPN = ["stun.turn", "stun.nat-discovery"]
"""RFC 7443. Clients that name no protocol are served all the same."""


class CertificateError(ValueError):
    """The certificate or its key cannot be used; the message says what to do."""


class Certificate:
    """A server certificate and its key in two files: a `Source`.

    A handshake takes what `context` is at its beginning: connections that exist keep what they
    have.
    """

    name = "certificate"

    def __init__(self, certificate: Path, key: Path) -> None:
        """Nothing is read yet: see `load`."""
        self.path = certificate
        self._certificate = WatchedFile(certificate)
        self._key = WatchedFile(key)
        self.context: ssl.SSLContext | None = None
        self.expires: datetime | None = None

    def has_changed(self) -> bool:
        """See `Source`."""
        return self._certificate.has_changed() or self._key.has_changed()

    def load(self) -> Mapping[str, object]:
        """See `Source`. Raises OSError, `CertificateError`.

        An expired certificate takes no other's place. At a start it is better than none: clients
        over UDP and TCP are served.
        """
        context, expires = self._load()
        if expires <= datetime.now(UTC):
            if self.context is not None:
                raise CertificateError(f"it has expired on {expires.date()}: renew it")
            logger.error(
                "the TLS certificate has expired, clients will refuse it: renew it",
                extra={"file": str(self.path), "expired": expires.isoformat()},
            )
        self.context, self.expires = context, expires
        return {"expires": expires.isoformat()}

    def _load(self) -> tuple[ssl.SSLContext, datetime]:
        try:
            text = self._read(self._certificate)
        finally:
            self._read(self._key)  # in any case: whether it changes from now on is to be seen
        try:
            leaf = x509.load_pem_x509_certificates(text.encode())[0]
        except ValueError as error:
            raise CertificateError(
                f"{self._certificate.path} holds no PEM certificate: {error}"
            ) from error
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.options |= ssl.OP_NO_RENEGOTIATION
        context.set_alpn_protocols(ALPN)
        try:
            context.load_cert_chain(self._certificate.path, self._key.path, _no_password)
        except ssl.SSLError as error:
            raise CertificateError(
                f"{self._certificate.path} and {self._key.path} are no pair of PEM certificate "
                f"and key ({error.reason or error})"
            ) from error
        return context, leaf.not_valid_after_utc

    def _read(self, file: WatchedFile) -> str:
        try:
            return file.read()
        except ValueError as error:
            raise CertificateError(f"{file.path}: {error}") from error


class TlsLayer:
    """The server's end of one TLS connection, between two memory buffers."""

    __slots__ = ("_object", "incoming", "is_established", "outgoing", "write")

    def __init__(self, context: ssl.SSLContext) -> None:
        self.incoming = ssl.MemoryBIO()
        """Records as they came."""
        self.outgoing = ssl.MemoryBIO()
        """Records that are to be sent."""
        self._object = context.wrap_bio(self.incoming, self.outgoing, server_side=True)
        self.is_established = False
        self.write = self._object.write
        """Make a record, or several, of this. Raises OSError."""

    def handshake(self) -> None:
        """Go on with the handshake as far as what came allows. Raises OSError where it failed."""
        with suppress(ssl.SSLWantReadError):
            self._object.do_handshake()
            self.is_established = True

    def read_into(self, buffer: memoryview) -> int | None:
        """Plain bytes of at most one record; None without any, 0 once the client has said goodbye.

        Raises OSError where what came is not TLS.
        """
        try:
            return int(self._object.read(len(buffer), buffer))
        except ssl.SSLWantReadError:
            return None

    def say_goodbye(self) -> None:
        """Make a close_notify alert, if the connection has come so far."""
        with suppress(OSError, ValueError):
            self._object.unwrap()


def _no_password() -> str:
    raise CertificateError("the key is encrypted: store it without a passphrase")
