"""Checks of descriptions and candidates from clients, before any state changes. No I/O."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, field
from itertools import pairwise

from aiortc.sdp import MediaDescription, SessionDescription, candidate_from_sdp

from callfleet_engine.media import sdp_seams
from callfleet_engine.media.interface import (
    SOURCES_OF,
    BadSdpError,
    IceCandidateInit,
    Source,
)
from callfleet_engine.media.negotiation import codec_names
from callfleet_engine.media.simulcast import mid_of, offered_rids, sections

MAX_SDP_BYTES = 120_000
MAX_LINES = 4_000
MAX_PLAY_SECTIONS = 48
MAX_CANDIDATES = 32

_MID = re.compile(r"[!-~]{1,32}", re.ASCII)

Address = tuple[str, int]

_SEND_A_NEW_OFFER = "Send the SDP of RTCPeerConnection.createOffer() unchanged."
_SEND_THE_ANSWER = "Send the SDP of RTCPeerConnection.createAnswer() to the last offer unchanged."


@dataclass(frozen=True, slots=True)
class RemoteDescription:
    """What a client's description says beyond what the peer connection reads itself.

    `mids` are in the order of the m-lines; `ssrcs` are the media SSRCs by mid, `sources` what an
    offer's m-lines carry, `sending` those that do now, `rids` the layers of a simulcast as
    declared, `repairs` leads from SSRCs of retransmissions to those they repeat (RFC 4588);
    `candidates` are (address, port) with their type. Another `ufrag` than before with the same
    `fingerprints` restarts ICE (RFC 8839 section 4.4.1.1.1). `dtls_server`: the client leaves the
    role of DTLS client to the engine (`a=setup:passive`, RFC 8842 section 5.3). `description` is
    for the peer connection.
    """

    description: SessionDescription = field(repr=False, compare=False)
    ufrag: str
    fingerprints: frozenset[str]
    mids: tuple[str, ...]
    ssrcs: dict[str, tuple[int, ...]]
    candidates: tuple[tuple[Address, str], ...]
    sources: dict[str, Source]
    sending: frozenset[Source]
    rids: dict[str, tuple[str, ...]]
    repairs: dict[int, int]
    dtls_server: bool = False


def check_offer(sdp: str, *, previous: RemoteDescription | None = None) -> RemoteDescription:
    """Check a publish offer; `previous` is the one before it on this peer connection.

    Raises BadSdpError with what is wrong and what to do.
    """
    description = _parse_offer(sdp)
    kinds = [m.kind for m in description.media]
    if any(kinds.count(kind) > len(sources) for kind, sources in SOURCES_OF.items()):
        raise BadSdpError(
            "The offer has more than one audio or more than two video m-lines.",
            "Publish one audio track, a camera and a screen; use replaceTrack() to change what"
            " they carry.",
        )
    return _check_offered(description, previous, sdp)


def check_play_offer(sdp: str, *, previous: RemoteDescription | None = None) -> RemoteDescription:
    """Check an offer to receive; `previous` is the one before it on this peer connection.

    Raises BadSdpError with what is wrong and what to do.
    """
    description = _parse_offer(sdp)
    if any(m.direction not in {"recvonly", "sendrecv"} for m in description.media):
        raise BadSdpError(
            "An m-line of the offer does not receive.",
            "Offer a=recvonly: addTransceiver(kind, {direction: 'recvonly'}).",
        )
    if len(description.media) > MAX_PLAY_SECTIONS:
        raise BadSdpError(
            f"The offer has more than {MAX_PLAY_SECTIONS} m-lines.",
            "Offer one audio and one video m-line for each publisher to receive.",
        )
    return _check_offered(description, previous)


def _parse_offer(sdp: str) -> SessionDescription:
    description = _parse(sdp, _SEND_A_NEW_OFFER)
    kinds = (m.kind for m in description.media)
    if other := next((k for k in kinds if k not in SOURCES_OF), None):
        raise BadSdpError(
            f"The offer has an m-line of kind {other!r}; it may have audio and video only.",
            "Remove data channels from the offer.",
        )
    return description


def _check_offered(
    description: SessionDescription, previous: RemoteDescription | None, published: str = ""
) -> RemoteDescription:
    """`published`: the offer, of one that publishes."""
    media_sections = description.media
    bundled = {mid for g in description.group if g.semantic == "BUNDLE" for mid in g.items}
    for media in media_sections:
        _check_section(media)
        if len(media_sections) > 1 and media.rtp.muxId not in bundled:
            raise BadSdpError(
                "The offer does not bundle its m-lines.",
                "Set bundlePolicy to max-bundle or leave it at its default.",
            )
        if media.dtls is None:
            raise BadSdpError("The offer has no DTLS parameters.", _SEND_A_NEW_OFFER)
        if not sdp_seams.shared_codecs(media.kind, media.rtp.codecs):
            raise BadSdpError(
                f"No {media.kind} codec of the offer can be forwarded.",
                "Offer " + " or ".join(codec_names(media.kind)) + ".",
            )
    remote = _remote(description, published)
    if previous is not None and remote.fingerprints != previous.fingerprints:
        raise BadSdpError(
            "The offer belongs to another peer connection than the one before it.",
            "Join the call again to publish from a new peer connection.",
        )
    if previous is not None and remote.mids[: len(previous.mids)] != previous.mids:
        raise BadSdpError(
            "The offer removes, renames or reorders m-lines of the offer before it.",
            _SEND_A_NEW_OFFER,
        )
    return remote


def check_answer(sdp: str) -> RemoteDescription:
    """Check the answer to a subscribe offer. Raises BadSdpError."""
    description = _parse(sdp, _SEND_THE_ANSWER)
    for media in description.media:
        _check_section(media)
        if media.dtls is None or media.dtls.role not in {"client", "server"}:
            raise BadSdpError("The answer leaves the DTLS role open.", "Answer a=setup:active.")
    return _remote(description, "")


def check_candidate(candidate: IceCandidateInit) -> tuple[Address, str] | None:
    """The address and type of a trickled candidate; None at the end and for hidden names.

    Raises BadSdpError if it cannot be read.
    """
    text: object = candidate.get("candidate", "")
    if not isinstance(text, str) or len(text) > 1024:
        raise BadSdpError(
            "The candidate is not a string of at most 1024 characters.",
            "Send RTCIceCandidate.toJSON() unchanged.",
        )
    text = text.removeprefix("a=").removeprefix("candidate:")
    if not text:
        return None
    try:
        parsed = candidate_from_sdp(text)
    except (AssertionError, ValueError) as error:
        raise BadSdpError(
            "The candidate cannot be read.", "Send RTCIceCandidate.toJSON() unchanged."
        ) from error
    return _address(parsed.ip, parsed.port, parsed.type)


def _parse(sdp: str, remedy: str) -> SessionDescription:
    if len(sdp) > MAX_SDP_BYTES or sdp.count("\n") > MAX_LINES:
        raise BadSdpError(
            f"The description is longer than {MAX_SDP_BYTES} bytes or {MAX_LINES} lines.", remedy
        )
    try:
        description = sdp_seams.parse(sdp)
    except (
        AssertionError,
        AttributeError,
        IndexError,
        KeyError,
        StopIteration,
        TypeError,
        ValueError,
    ) as error:  # what aiortc's parser raises at various malformed lines
        raise BadSdpError("The description is not valid SDP.", remedy) from error
    if not description.media:
        raise BadSdpError("The description has no m-line.", remedy)
    # An attribute without a value is None, whatever aiortc's types say.
    found: list[str | None] = [m.rtp.muxId for m in description.media]
    mids = sorted(mid for mid in found if mid is not None and _MID.fullmatch(mid))
    if len(mids) < len(found):
        raise BadSdpError("An m-line has no a=mid of at most 32 characters.", remedy)
    if any(a == b for a, b in pairwise(mids)):
        raise BadSdpError("Two m-lines have the same a=mid.", remedy)
    return description


def _check_section(media: MediaDescription) -> None:
    if media.ice is None or not media.ice.usernameFragment or not media.ice.password:
        raise BadSdpError("An m-line has no ICE credentials.", "Keep a=ice-ufrag and a=ice-pwd.")
    if media.ice.iceLite:
        raise BadSdpError(
            "The client is ICE-lite, and so is the engine: nobody would check a pair.",
            "Use full ICE, as browsers do.",
        )
    if media.dtls is not None and not media.dtls.fingerprints:
        raise BadSdpError("An m-line has no DTLS fingerprint.", "Keep a=fingerprint.")
    if not media.rtcp_mux:
        raise BadSdpError("An m-line has no a=rtcp-mux.", "Set rtcpMuxPolicy to require.")
    if any(not 0 <= s.ssrc <= 0xFFFFFFFF for s in media.ssrc):
        raise BadSdpError("An a=ssrc does not fit 32 bits.", "Keep the a=ssrc lines.")
    if len(media.ice_candidates) > MAX_CANDIDATES:
        raise BadSdpError(
            f"An m-line has more than {MAX_CANDIDATES} candidates.",
            "Gather from fewer interfaces or relays.",
        )


def _remote(description: SessionDescription, offer: str) -> RemoteDescription:
    media_sections = description.media
    ice = media_sections[0].ice
    sources = _sources(media_sections) if offer else {}
    candidates = {}
    for media in media_sections:
        for c in media.ice_candidates:
            if found := _address(c.ip, c.port, c.type):
                candidates[found[0]] = found
    return RemoteDescription(
        description=description,
        ufrag=(ice.usernameFragment or "") if ice is not None else "",
        fingerprints=frozenset(
            f"{f.algorithm} {f.value}".lower()
            for m in media_sections
            if m.dtls is not None
            for f in m.dtls.fingerprints
        ),
        mids=tuple(m.rtp.muxId for m in media_sections),
        ssrcs={m.rtp.muxId: tuple(s.ssrc for s in m.ssrc) for m in media_sections},
        candidates=tuple(candidates.values())[:MAX_CANDIDATES],
        sources=sources,
        sending=frozenset(
            sources[m.rtp.muxId]
            for m in media_sections
            if m.rtp.muxId in sources and m.direction in {None, "sendonly", "sendrecv"}
        ),
        repairs={
            int(group.items[1]): int(group.items[0])
            for m in media_sections
            for group in m.ssrc_group
            if group.semantic == "FID" and len(group.items) == 2
        },
        rids={
            mid_of(section): rids
            for section in sections(offer)
            if section[0].startswith("m=video ") and (rids := offered_rids(section))
        },
        dtls_server=any(m.dtls is not None and m.dtls.role == "server" for m in media_sections),
    )


def _sources(media_sections: list[MediaDescription]) -> dict[str, Source]:
    left = {kind: iter(sources) for kind, sources in SOURCES_OF.items()}
    return {media.rtp.muxId: next(left[media.kind]) for media in media_sections}


def _address(host: str, port: int, candidate_type: str) -> tuple[Address, str] | None:
    try:
        return (str(ipaddress.ip_address(host)), port), candidate_type
    except ValueError:  # an mDNS name, which hides the address by intent
        return None
