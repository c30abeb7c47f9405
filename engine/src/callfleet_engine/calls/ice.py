"""ICE attempts: when one begins, how it ends, and why it failed, as metrics count them.

An attempt is one peer connection's first way to `connected`. The media plane tells how it ended;
only the client knows what its TURN server said, and tells it in `report`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from callfleet_engine.media.interface import FailureCause, Path, PeerConnection
from callfleet_engine.signalling.messages import Report

Cause = Literal[
    "relay_capacity",
    "relay_auth",
    "relay_unreachable",
    "no_route",
    "timeout",
    "unreported",
    "other",
]

CAUSE_OF_ERROR: dict[int, Cause] = {
    486: "relay_capacity",  # Allocation Quota Reached (RFC 8656, section 19)
    508: "relay_capacity",  # Insufficient Capacity (RFC 8656, section 19)
    300: "relay_capacity",  # Try Alternate (RFC 8489, section 14.8): a relay that drains
    401: "relay_auth",  # Unauthorized (RFC 8489, section 14.8)
    403: "relay_auth",  # Forbidden (RFC 8656, section 19)
    438: "relay_auth",  # Stale Nonce (RFC 8489, section 14.8)
    441: "relay_auth",  # Wrong Credentials (RFC 8656, section 19)
    701: "relay_unreachable",  # never answered (W3C WebRTC, section 4.8.2)
}
_WEIGHTIEST_FIRST: tuple[Cause, ...] = ("relay_capacity", "relay_auth", "relay_unreachable")


@dataclass(slots=True)
class Reports:
    """What one client has told about its attempts."""

    heard: bool = False
    causes: set[Cause] = field(default_factory=set)
    pairs_seen: set[PeerConnection] = field(default_factory=set)
    relayed: set[PeerConnection] = field(default_factory=set)

    def add(self, report: Report) -> bool:
        """Take a report; whether it tells of a relay that did not serve."""
        self.heard = True
        causes = {
            cause
            for error in report.ice_errors
            if not error.url.startswith("stun")
            and (cause := CAUSE_OF_ERROR.get(error.error_code)) is not None
        }
        self.causes |= causes
        self.pairs_seen |= {pair.pc for pair in report.candidate_pairs}
        self.relayed |= {pair.pc for pair in report.candidate_pairs if pair.local == "relay"}
        return bool(causes)

    def forget(self) -> None:
        """A new attempt begins, on another relay."""
        self.heard = False
        self.causes = set()
        self.pairs_seen = set()
        self.relayed = set()


def failure(
    pc: PeerConnection, cause: FailureCause, reports: Reports, *, relay_only: bool
) -> tuple[Path, Cause]:
    """The path that was tried and why it failed, from both ends' knowledge."""
    path: Path = "relayed" if relay_only or reports.causes or pc in reports.relayed else "direct"
    return path, _cause(pc, cause, reports)


def _cause(pc: PeerConnection, cause: FailureCause, reports: Reports) -> Cause:
    if cause == "dtls":
        return "other"
    for told in _WEIGHTIEST_FIRST:
        if told in reports.causes:
            return told
    if pc in reports.pairs_seen:
        return "no_route"
    return "timeout" if reports.heard else "unreported"
