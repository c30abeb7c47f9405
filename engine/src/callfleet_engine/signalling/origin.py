"""Which web pages may open a WebSocket: browsers send cookies and reach private networks, but
they also say whose page it is (RFC 6455, section 10.2)."""

from __future__ import annotations

from collections.abc import Collection
from urllib.parse import urlsplit


def allowed(origin: str | None, host: str, others: Collection[str]) -> bool:
    """The engine's own pages, those of `others` (`*`: all), and programs that are no browser."""
    if origin is None or "*" in others or origin in others:
        return True
    try:
        return urlsplit(origin).netloc == host
    except ValueError:  # no origin that a browser would name
        return False
