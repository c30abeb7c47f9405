"""TLS records in Rust: the layer of connections beside the native data plane.

Importing it fails where the extension was not built.
"""

from __future__ import annotations

import logging
import ssl
from collections.abc import Callable

from callfleet_relay import _native
from callfleet_relay.transport.tls import ALPN, TlsLayer, openssl_layers

logger = logging.getLogger(__name__)


def rustls_layers(context: ssl.SSLContext, chain: str, key: str) -> Callable[[], TlsLayer]:
    """See `LayerMaker`. A pair that OpenSSL alone can use is left to OpenSSL."""
    try:
        return _native.TlsServer(chain.encode(), key.encode(), ALPN).accept
    except ValueError as error:
        logger.warning(
            "the native data plane cannot use this kind of certificate or key, so Python's TLS "
            "serves it, which takes more CPU: have one issued for an ECDSA P-256 key",
            extra={"why": str(error)},
        )
        return openssl_layers(context, chain, key)
