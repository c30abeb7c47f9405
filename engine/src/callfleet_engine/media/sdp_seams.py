"""aiortc's handling of descriptions, each written and read once, with codecs shared by all.

aiortc writes a description of its own as text and reads it again, reads a client's although that
was checked before, and reads the same codecs in each of its m-lines. This is the part of `seams.py`
that spares that; nothing is read or written here that aiortc does not read or write itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from types import FunctionType, SimpleNamespace
from typing import ParamSpec, TypeVar, cast

from aiortc import RTCSessionDescription
from aiortc.rtcrtpparameters import RTCRtpCodecParameters
from aiortc.sdp import GroupDescription, MediaDescription, SessionDescription

from callfleet_engine.media.codec import REMEMBERED, Same
from callfleet_engine.media.negotiation import common_codecs

P = ParamSpec("P")
T = TypeVar("T")

_OF_CODECS = ("a=rtpmap:", "a=fmtp:", "a=rtcp-fb:")


def parse(text: str) -> SessionDescription:
    """A description as `SessionDescription.parse` reads it, which raises what that raises.

    Its codecs are those of any other description with the same lines, and are not to be changed.
    """
    session, sections = _sections(text)
    kept = list(session)
    codecs = []
    for section in sections:
        kept += [line for line in section if not line.startswith(_OF_CODECS)]
        codecs.append((section[0], tuple(x for x in section if x.startswith(_OF_CODECS))))
    description = SessionDescription.parse("\r\n".join(kept) + "\r\n")
    for media, (first, lines) in zip(description.media, codecs, strict=True):
        kind, _, rest = first.split(" ", 2)  # the port is each client's own
        media.rtp.codecs = list(_codecs(f"{kind} 9 {rest}", lines))
    return description


def _sections(text: str) -> tuple[list[str], list[list[str]]]:
    session: list[str] = []
    sections: list[list[str]] = []
    for line in text.splitlines():
        if line.startswith("m="):
            sections.append([])
        (sections[-1] if sections else session).append(line)
    return session, sections


@lru_cache(REMEMBERED)
def _codecs(first: str, lines: tuple[str, ...]) -> tuple[RTCRtpCodecParameters, ...]:
    read = SessionDescription.parse("\r\n".join((first, *lines)) + "\r\n")
    return tuple(read.media[0].rtp.codecs)


@lru_cache(REMEMBERED)
def _common(kind: str, remote: Same) -> tuple[RTCRtpCodecParameters, ...]:
    return tuple(common_codecs(kind, remote.items))


def shared_codecs(
    kind: str, remote: Sequence[RTCRtpCodecParameters]
) -> list[RTCRtpCodecParameters]:
    """`common_codecs`, of the same codecs the same ones."""
    return list(_common(kind, Same(remote)))


def _find_common_codecs(
    local: list[RTCRtpCodecParameters],  # noqa: ARG001 (aiortc's)
    remote: list[RTCRtpCodecParameters],
) -> list[RTCRtpCodecParameters]:
    kind = remote[0].mimeType.partition("/")[0] if remote else "video"
    return shared_codecs(kind, remote)


class _Read(SessionDescription):
    """In place of aiortc's class: what was read or made before is not read again."""

    @classmethod
    def parse(cls, sdp: str) -> SessionDescription:
        return sdp if isinstance(sdp, SessionDescription) else parse(sdp)


def described(description: SessionDescription | str, kind: str) -> RTCSessionDescription:
    """A description for the methods with `TABLES`, which need no text of it."""
    return RTCSessionDescription(sdp=cast("str", description), type=kind)


def _wrap(description: SessionDescription) -> RTCSessionDescription:
    return described(description, description.type or "")


TABLES = {
    "sdp": SimpleNamespace(
        SessionDescription=_Read,
        GroupDescription=GroupDescription,
        MediaDescription=MediaDescription,
    ),
    "wrap_session_description": _wrap,
    "find_common_codecs": _find_common_codecs,
}


def with_tables(method: Callable[P, T], **tables: object) -> Callable[P, T]:
    """A method of aiortc's that sees other tables than those of its module.

    aiortc's own stay as they are: what it encodes and decodes is its clients' affair.
    """
    function = cast("FunctionType", method)
    namespace = {**function.__globals__, **tables}
    changed = FunctionType(
        function.__code__,
        namespace,
        function.__name__,
        function.__defaults__,
        function.__closure__,
    )
    return cast("Callable[P, T]", changed)
