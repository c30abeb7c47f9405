"""`application/trickle-ice-sdpfrag` (RFC 8840, section 9), and what an ICE restart makes of SDP."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from callfleet_engine.media.interface import IceCandidateInit

MAX_FRAGMENT_BYTES = 32 * 1024
MAX_FRAGMENT_CANDIDATES = 64

_UFRAG = re.compile(r"[A-Za-z0-9+/]{4,256}", re.ASCII)
_PASSWORD = re.compile(r"[A-Za-z0-9+/]{22,256}", re.ASCII)
"""RFC 8839, section 5.4."""

_OF_ICE = ("a=ice-ufrag:", "a=ice-pwd:", "a=candidate:", "a=end-of-candidates")


class BadFragment(ValueError):  # noqa: N818 - named for what is the case
    """No fragment of SDP, or one that contradicts itself."""


@dataclass(frozen=True, slots=True)
class Fragment:
    """What a client tells of its ICE agent; credentials are absent where it named none."""

    ufrag: str | None
    password: str | None
    candidates: tuple[IceCandidateInit, ...]
    ended: bool
    """Whether no more candidates will come."""


def parse_fragment(text: str) -> Fragment:
    """Read a fragment; lines that tell nothing of ICE are passed over. Raises BadFragment."""
    told: dict[str, set[str]] = defaultdict(set)
    candidates: list[IceCandidateInit] = []
    mid: str | None = None
    for name, value in _attributes(text):
        if name == "m":
            mid = None
        elif name == "mid":
            mid = value
        elif name == "candidate":
            candidates.append({"candidate": f"candidate:{value}", "sdpMid": mid})
        else:
            told[name].add(value)
    if len(candidates) > MAX_FRAGMENT_CANDIDATES:
        raise BadFragment(f"it has more than {MAX_FRAGMENT_CANDIDATES} candidates")
    ufrag = _one(told["ice-ufrag"], _UFRAG, "a=ice-ufrag")
    password = _one(told["ice-pwd"], _PASSWORD, "a=ice-pwd")
    if (ufrag is None) != (password is None):
        raise BadFragment("it has one of a=ice-ufrag and a=ice-pwd without the other")
    return Fragment(ufrag, password, tuple(candidates), "end-of-candidates" in told)


def _attributes(text: str) -> Iterator[tuple[str, str]]:
    """Names and values of `a=` lines; the name `m` where an m-line begins."""
    for line in text.splitlines():
        if line.startswith("m="):
            yield "m", ""
        elif line.startswith("a="):
            name, _, value = line[2:].partition(":")
            yield name, value
        elif line.strip() and line[1:2] != "=":
            raise BadFragment(f"{line[:40]!r} is no line of SDP")


def _one(found: set[str], pattern: re.Pattern[str], name: str) -> str | None:
    if not found:
        return None
    if len(found) > 1:
        raise BadFragment(f"it has several values of {name}, though all m-lines are bundled")
    value = found.pop()
    if not pattern.fullmatch(value):
        raise BadFragment(f"{name} has characters or a length that RFC 8839 does not allow")
    return value


def ufrag_of(sdp: str) -> str:
    """The first ufrag of a description, empty without one."""
    return _attribute(sdp, "a=ice-ufrag:")


def restarted(offer: str, fragment: Fragment) -> str:
    """The offer as it would be after an ICE restart with the fragment's credentials."""
    lines = []
    for line in offer.replace("\r\n", "\n").split("\n"):
        if line.startswith("a=ice-ufrag:"):
            lines.append(f"a=ice-ufrag:{fragment.ufrag}")
        elif line.startswith("a=ice-pwd:"):
            lines.append(f"a=ice-pwd:{fragment.password}")
        elif not line.startswith(_OF_ICE):
            lines.append(line)
    return "\r\n".join(lines)


def fragment_of(answer: str) -> str:
    """What a client needs of the answer to a restart.

    That is the ICE of the first m-line: all others are bundled with it.
    """
    session, *sections = answer.replace("\r\n", "\n").split("\nm=")
    first = sections[0].split("\n")
    head = [line for line in session.split("\n") if line.startswith(("a=ice-lite", "a=group:"))]
    told = [line for line in first[1:] if line.startswith(("a=mid:", *_OF_ICE))]
    return "\r\n".join([*head, f"m={first[0]}", *told, ""])


def _attribute(sdp: str, prefix: str) -> str:
    lines = sdp.replace("\r\n", "\n").split("\n")
    return next((line.removeprefix(prefix) for line in lines if line.startswith(prefix)), "")
