"""What signalling reads in a session description; the rest is the media plane's."""

from __future__ import annotations

from collections.abc import Iterator

from callfleet_engine.media.interface import SOURCES_OF, Source


def sources_sent(offer: str) -> frozenset[Source]:
    """What an offer announces to send (RFC 8866 sections 5.14, 6.7)."""
    sent: set[Source] = set()
    left: dict[str, Iterator[Source]] = {kind: iter(of) for kind, of in SOURCES_OF.items()}
    for section in offer.replace("\r\n", "\n").split("\nm=")[1:]:
        media_line, *attributes = section.split("\n")
        kind, _, rest = media_line.partition(" ")
        source = next(left.get(kind, iter(())), None)
        rejected = rest.startswith("0 ")
        silent = "a=recvonly" in attributes or "a=inactive" in attributes
        if source is not None and not rejected and not silent:
            sent.add(source)
    return frozenset(sent)
