"""The certificate of signalling over TLS: checked before it is used, read again when it changes."""

from __future__ import annotations

import asyncio
import logging
import ssl
from pathlib import Path

from cryptography import x509

from callfleet_engine.reloading import Signature, signature

logger = logging.getLogger(__name__)

LOOK_SECONDS = 2.0
"""How often the files are looked at; a mounted Secret follows its object within a minute or so."""


class UnusableCertificate(ValueError):  # noqa: N818 - what it is, not what went wrong
    """The certificate or its key cannot be used; the message says what to do."""


class Certificate:
    """A certificate with its chain and its key, in two PEM files.

    Connections that exist keep what they began with.
    """

    def __init__(self, certificate: Path, key: Path) -> None:
        """Raises UnusableCertificate."""
        self._certificate = certificate
        self._key = key
        self.context = _context()
        self._signature = self._look()
        self._use()

    async def follow(self) -> None:
        """Take what the files hold after each change. Never ends."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            self.check()

    def check(self) -> None:
        """A change that cannot be used leaves the last good certificate in force."""
        try:
            found = self._look()
            if found == self._signature:
                return
            self._signature = found
            self._use()
        except UnusableCertificate as error:
            logger.error("a changed certificate cannot be used, the last one stays: %s", error)  # noqa: TRY400 - the text says it all
        else:
            logger.info("took a new certificate", extra={"path": str(self._certificate)})

    def _look(self) -> tuple[Signature, Signature]:
        try:
            return signature(self._certificate), signature(self._key)
        except OSError as error:
            raise UnusableCertificate(f"{error.filename}: {error.strerror}") from error

    def _use(self) -> None:
        try:
            x509.load_pem_x509_certificates(self._certificate.read_bytes())
            for context in (_context(), self.context):  # the first shows whether they fit
                context.load_cert_chain(self._certificate, self._key, _no_passphrase)
        except _EncryptedKeyError as error:
            raise UnusableCertificate(
                f"{self._key} is encrypted: store it without a passphrase"
            ) from error
        except ssl.SSLError as error:
            raise UnusableCertificate(
                f"{self._key} is no PEM private key of the certificate in {self._certificate}"
            ) from error
        except ValueError as error:
            raise UnusableCertificate(f"{self._certificate} holds no PEM certificate") from error
        except OSError as error:
            raise UnusableCertificate(f"{error.filename}: {error.strerror}") from error


class _EncryptedKeyError(Exception):
    pass


def _no_passphrase() -> str:
    raise _EncryptedKeyError


def _context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    return context
