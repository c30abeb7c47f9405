"""What a participant's preset of quality keeps it to, whatever its client does."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Final

from callfleet_engine.media.interface import KIND_OF, MediaSession, Source
from callfleet_engine.presets import Chosen, Preset

VIDEOS: Final[frozenset[Source]] = frozenset(s for s, kind in KIND_OF.items() if kind == "video")
_OPUS: Final = re.compile(r"(?m)^a=rtpmap:(\d+) opus/48000", re.IGNORECASE)
_MAXIMUM: Final = "maxaveragebitrate"


class Kept:
    """A participant's preset, and what it holds back."""

    def __init__(self, chosen: Chosen) -> None:
        self.chosen = chosen

    @property
    def preset(self) -> Preset:
        """The bounds themselves."""
        return self.chosen.preset

    @property
    def withheld(self) -> Collection[Source]:
        """Sources that are not forwarded, whatever comes."""
        return () if self.preset.has_video else VIDEOS

    def bind(self, media: MediaSession, sending: Mapping[Source, bool]) -> None:
        """Tell a media session; `sending` is what the client wants."""
        media.grant(self.preset.granted_bits_per_second)
        self.set_sending(media, sending)

    def set_sending(self, media: MediaSession, sending: Mapping[Source, bool]) -> None:
        """Forward or hold back, as far as the preset has it."""
        media.set_sending({s: on and s not in self.withheld for s, on in sending.items()})

    def answered(self, answer: str) -> str:
        """The answer to a publisher with the bit rate of its sound."""
        return with_audio_bound(answer, self.preset.audio_bits_per_second)


def with_audio_bound(answer: str, bits_per_second: int) -> str:
    """The answer with Opus's `maxaveragebitrate` (RFC 7587 section 6.1), which senders heed."""
    for payload_type in _OPUS.findall(answer):
        answer = _bound(answer, payload_type, f"{_MAXIMUM}={bits_per_second}")
    return answer


def _bound(answer: str, payload_type: str, bound: str) -> str:
    line = re.compile(rf"(?m)^a=fmtp:{payload_type} (.*?)(\r?)$")
    if (found := line.search(answer)) is None:
        rtpmap = re.compile(rf"(?m)^a=rtpmap:{payload_type} [^\r\n]*(\r?\n)")
        return rtpmap.sub(rf"\g<0>a=fmtp:{payload_type} {bound}\g<1>", answer, count=1)
    given = [p.strip() for p in found[1].split(";")]
    kept = [p for p in given if p and p.partition("=")[0].lower() != _MAXIMUM]
    changed = f"a=fmtp:{payload_type} {';'.join([*kept, bound])}{found[2]}"
    return answer[: found.start()] + changed + answer[found.end() :]
