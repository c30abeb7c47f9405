"""What signalling reads in a session description; the rest is the media plane's."""

from __future__ import annotations

from callfleet_engine.media.interface import Kind


def kinds_sent(offer: str) -> frozenset[Kind]:
    """The kinds of media that an offer announces to send (RFC 8866 sections 5.14, 6.7)."""
    sent: set[Kind] = set()
    for section in offer.replace("\r\n", "\n").split("\nm=")[1:]:
        media_line, *attributes = section.split("\n")
        kind, _, rest = media_line.partition(" ")
        rejected = rest.startswith("0 ")
        silent = "a=recvonly" in attributes or "a=inactive" in attributes
        if rejected or silent:
            continue
        if kind == "audio":
            sent.add("audio")
        elif kind == "video":
            sent.add("video")
    return frozenset(sent)
