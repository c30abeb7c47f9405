"""Whether the certificate of a Secret of type kubernetes.io/tls can be used by a TLS server."""

from __future__ import annotations

from datetime import datetime

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_private_key


def certificate_problem(certificate: bytes, key: bytes, now: datetime) -> str:
    """What is wrong with a PEM certificate (its chain may follow it) and its key; or nothing.

    `now` is aware of its time zone.
    """
    try:
        leaf = x509.load_pem_x509_certificates(certificate)[0]
    except ValueError:
        return "tls.crt holds no PEM certificate"
    try:
        private = load_pem_private_key(key, password=None)
    except TypeError:
        return "tls.key is encrypted: store it without a passphrase"
    except (ValueError, UnsupportedAlgorithm):
        return "tls.key holds no PEM private key"
    if private.public_key() != leaf.public_key():
        return "tls.key is not the key of the certificate in tls.crt"
    if leaf.not_valid_after_utc <= now:
        return f"its certificate has expired on {leaf.not_valid_after_utc.date()}"
    return ""
