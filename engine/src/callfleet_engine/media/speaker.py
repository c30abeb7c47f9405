"""Who speaks in a call, by the levels that publishers measure themselves (RFC 6464). No I/O."""

from __future__ import annotations

from collections.abc import Mapping

from callfleet_engine.media.rtp import SILENCE

SPEECH = 50
"""-dBov: what is quieter than this is a room, not a voice."""

BREATH = 20
"""dB by which a speaker's mean may fall below that before it is over."""

_ATTACK, _RELEASE = 0.35, 0.06
"""Shares of the newest level in the mean: a voice is heard soon, a pause for breath is not."""

LEAD = 6.0
"""dB by which somebody must be louder than the one who speaks."""

HOLD = 10
"""Intervals for which a speaker stays one as long as it is audible at all."""


class ActiveSpeaker:
    """The one speaker of a call. Levels come in even intervals of a tenth of a second."""

    def __init__(self) -> None:
        self.speaker: str | None = None
        self._since = HOLD
        self._loudness: dict[str, float] = {}

    def observe(self, levels: Mapping[str, int]) -> bool:
        """Take everybody's highest level of the last interval in -dBov, 127 for who sent none.

        Whether the speaker has changed.
        """
        self._loudness = {
            name: self._mean(self._loudness.get(name, 0.0), SILENCE - level)
            for name, level in levels.items()
        }
        chosen = self._choose()
        if chosen == self.speaker:
            self._since += 1
            return False
        self.speaker = chosen
        self._since = 0
        return True

    @staticmethod
    def _mean(mean: float, loudness: int) -> float:
        return mean + (loudness - mean) * (_ATTACK if loudness > mean else _RELEASE)

    def _choose(self) -> str | None:
        present = self.speaker
        audible = {
            name: loudness
            for name, loudness in self._loudness.items()
            if loudness >= SILENCE - SPEECH - (BREATH if name == present else 0)
        }
        if not audible:
            return None
        loudest = max(audible, key=audible.__getitem__)
        if present in audible:
            stays = self._since < HOLD or audible[loudest] - audible[present] < LEAD
            return present if stays else loudest
        return loudest
