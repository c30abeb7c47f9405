"""Simulcast in SDP: `a=rid` (RFC 8851) and `a=simulcast` (RFC 8853), which aiortc lacks. No I/O."""

from __future__ import annotations

import re
from collections.abc import Mapping

from callfleet_engine.media.interface import BadSdpError
from callfleet_engine.media.layers import MAX_LAYERS

_RID = re.compile(r"[A-Za-z0-9_-]{1,16}", re.ASCII)
"""As long as a header extension of one byte carries (RFC 8285 section 4.2)."""


def sections(sdp: str) -> list[list[str]]:
    """The lines of each m-section, the m-line first."""
    found: list[list[str]] = []
    for line in sdp.splitlines():
        if line.startswith("m="):
            found.append([line])
        elif found:
            found[-1].append(line)
    return found


def mid_of(section: list[str]) -> str:
    """The section's `a=mid`, empty without one."""
    return next((line[6:] for line in section if line.startswith("a=mid:")), "")


def offered_rids(section: list[str]) -> tuple[str, ...]:
    """The RIDs that a section offers to send, in their order; none without simulcast.

    Of alternatives (`1,2`) the first counts; a paused one (`~1`) may begin later. Raises
    BadSdpError.
    """
    line = next((ln for ln in section if ln.startswith("a=simulcast:")), None)
    if line is None:
        return ()
    words = line[len("a=simulcast:") :].split()
    directions = dict(zip(words[::2], words[1::2], strict=False))
    sent = directions.get("send", "")
    rids = tuple(item.split(",")[0].removeprefix("~") for item in sent.split(";") if item)
    declared = {ln[6:].split(" ")[0] for ln in section if re.match(r"a=rid:\S+ send", ln)}
    if len(rids) > MAX_LAYERS:
        raise BadSdpError(
            f"The offer has a simulcast of {len(rids)} layers.",
            f"Give sendEncodings at most {MAX_LAYERS} entries.",
        )
    if len(set(rids)) < len(rids) or not all(_RID.fullmatch(r) and r in declared for r in rids):
        raise BadSdpError(
            "The a=simulcast line names RIDs that are repeated, undeclared, or not 1 to 16 letters,"
            " digits, '-' or '_'.",
            "Send the SDP of RTCPeerConnection.createOffer() unchanged.",
        )
    return rids


def with_simulcast(answer: str, rids: Mapping[str, tuple[str, ...]]) -> str:
    """The answer with the layers of each mid accepted."""
    session, *media = re.split(r"(?m)^(?=m=)", answer)
    whole = session
    for section in media:
        whole += section
        if found := rids.get(mid_of(section.splitlines())):
            whole += "".join(f"a=rid:{rid} recv\r\n" for rid in found)
            whole += f"a=simulcast:recv {';'.join(found)}\r\n"
    return whole
