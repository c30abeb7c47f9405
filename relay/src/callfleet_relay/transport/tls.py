"""TLS of the listeners that speak it: their certificate, and the layer of one connection.

The layer is OpenSSL's here, which is the reference; `native_tls` has the one of the native plane.
"""

from __future__ import annotations

import logging
import ssl
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Protocol

from cryptography import x509

from callfleet_relay.watched import WatchedFile

logger = logging.getLogger(__name__)

ALPN = ["stun.turn", "stun.nat-discovery"]
"""RFC 7443. Clients that name no protocol are served all the same."""


CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"
"""Of TLS 1.2, in OpenSSL's words: those that both layers have."""


class CertificateError(ValueError):
    """The certificate or its key cannot be used; the message says what to do."""


class TlsLayer(Protocol):
    """The server's end of one TLS connection, between bytes that came and bytes to be sent."""

    @property
    def is_established(self) -> bool:
        """Whether the handshake is done."""

    @property
    def pending(self) -> int:
        """Bytes of records that are to be sent."""

    def receive(self, data: memoryview, /) -> object:
        """Take records as they came."""

    def handshake(self) -> None:
        """Go on with the handshake as far as what came allows. Raises OSError where it failed."""

    def read_into(self, buffer: memoryview) -> int | None:
        """Plain bytes of what came; None without any, 0 once the client has said goodbye.

        Raises OSError where what came is not TLS.
        """

    def write(self, data: bytes | memoryview, /) -> object:
        """Make a record of this, or several where it is long. Raises OSError."""

    def write_frames(self, frames: bytes, ends: list[tuple[int, int]]) -> None:
        """Make a record of each frame; `ends` has where each ends, first. Raises OSError."""

    def take_outgoing(self) -> bytes:
        """Records that are to be sent."""

    def say_goodbye(self) -> None:
        """Make a close_notify alert, if the connection has come so far."""


LayerMaker = Callable[[ssl.SSLContext, str, str], Callable[[], TlsLayer]]
"""From OpenSSL's context, or PEM of chain and key: what makes the layer of each connection."""


def openssl_layers(context: ssl.SSLContext, chain: str, key: str) -> Callable[[], TlsLayer]:  # noqa: ARG001 - of other makers
    """See `LayerMaker`."""
    return partial(OpenSslLayer, context)


class Certificate:
    """A server certificate and its key in two files: a `Source`.

    A connection has the certificate that was the last to be loaded when it began.
    """

    name = "certificate"

    def __init__(self, certificate: Path, key: Path, layers: LayerMaker = openssl_layers) -> None:
        """Nothing is read yet: see `load`."""
        self.path = certificate
        self._certificate = WatchedFile(certificate)
        self._key = WatchedFile(key)
        self._layers = layers
        self._new_layer: Callable[[], TlsLayer] | None = None
        self.expires: datetime | None = None

    def new_layer(self) -> TlsLayer:
        """Of a new connection, once `load` has taken a pair."""
        assert self._new_layer is not None  # noqa: S101 - nothing listens before
        return self._new_layer()

    def has_changed(self) -> bool:
        """See `Source`."""
        return self._certificate.has_changed() or self._key.has_changed()

    def load(self) -> Mapping[str, object]:
        """See `Source`. Raises OSError, `CertificateError`.

        An expired certificate takes no other's place. At a start it is better than none: clients
        over UDP and TCP are served.
        """
        new_layer, expires = self._load()
        if expires <= datetime.now(UTC):
            if self._new_layer is not None:
                raise CertificateError(f"it has expired on {expires.date()}: renew it")
            logger.error(
                "the TLS certificate has expired, clients will refuse it: renew it",
                extra={"file": str(self.path), "expired": expires.isoformat()},
            )
        self._new_layer, self.expires = new_layer, expires
        return {"expires": expires.isoformat()}

    def _load(self) -> tuple[Callable[[], TlsLayer], datetime]:
        try:
            chain = self._read(self._certificate)
        finally:
            key = self._read(self._key)  # in any case: whether it changes from now on is to be seen
        try:
            leaf = x509.load_pem_x509_certificates(chain.encode())[0]
        except ValueError as error:
            raise CertificateError(
                f"{self._certificate.path} holds no PEM certificate: {error}"
            ) from error
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.options |= ssl.OP_NO_RENEGOTIATION
        context.set_ciphers(CIPHERS)
        context.set_alpn_protocols(ALPN)
        try:
            context.load_cert_chain(self._certificate.path, self._key.path, _no_password)
        except ssl.SSLError as error:
            raise CertificateError(
                f"{self._certificate.path} and {self._key.path} are no pair of PEM certificate "
                f"and key ({error.reason or error})"
            ) from error
        return self._layers(context, chain, key), leaf.not_valid_after_utc

    def _read(self, file: WatchedFile) -> str:
        try:
            return file.read()
        except ValueError as error:
            raise CertificateError(f"{file.path}: {error}") from error


class OpenSslLayer:
    """See `TlsLayer`: OpenSSL between two memory buffers."""

    __slots__ = ("_object", "_outgoing", "is_established", "receive", "take_outgoing", "write")

    def __init__(self, context: ssl.SSLContext) -> None:
        incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._object = context.wrap_bio(incoming, self._outgoing, server_side=True)
        self.is_established = False
        self.receive = incoming.write
        self.write = self._object.write
        self.take_outgoing = self._outgoing.read

    @property
    def pending(self) -> int:
        return self._outgoing.pending

    def handshake(self) -> None:
        with suppress(ssl.SSLWantReadError):
            self._object.do_handshake()
            self.is_established = True

    def read_into(self, buffer: memoryview) -> int | None:
        """See `TlsLayer`; of at most one record."""
        try:
            return int(self._object.read(len(buffer), buffer))
        except ssl.SSLWantReadError:
            return None

    def write_frames(self, frames: bytes, ends: list[tuple[int, int]]) -> None:
        view, start = memoryview(frames), 0
        for end, _ in ends:
            self.write(view[start:end])
            start = end

    def say_goodbye(self) -> None:
        with suppress(OSError, ValueError):
            self._object.unwrap()


def _no_password() -> str:
    raise CertificateError("the key is encrypted: store it without a passphrase")
