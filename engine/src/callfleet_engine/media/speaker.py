"""Who speaks in a call, by the levels that publishers measure themselves (RFC 6464). No I/O."""

from __future__ import annotations

from collections.abc import Mapping

from callfleet_engine.media.rtp import SILENCE

SPEECH = 50
"""-dBov: what is quieter than this is a room, not a voice."""

_ATTACK, _RELEASE = 0.35, 0.12
"""Shares of the newest level in the mean: a voice is heard soon, a pause for breath is not."""

LEAD = 6.0
"""dB by which somebody must be louder than the one who speaks."""


class ActiveSpeaker:
    """The one speaker of a call. Levels come in even intervals of a tenth of a second."""

    def __init__(self) -> None:
        self.speaker: str | None = None
        self._loudness: dict[str, float] = {}

    def observe(self, levels: Mapping[str, int]) -> bool:
        """Take everybody's highest level of the last interval in -dBov, 127 for who sent none.

        Whether the speaker has changed.
        """
        self._loudness = {
            name: self._mean(self._loudness.get(name, 0.0), SILENCE - level)
            for name, level in levels.items()
        }
        before = self.speaker
        self.speaker = self._choose()
        return self.speaker != before

    @staticmethod
    def _mean(mean: float, loudness: int) -> float:
        return mean + (loudness - mean) * (_ATTACK if loudness > mean else _RELEASE)

    def _choose(self) -> str | None:
        audible = {name: it for name, it in self._loudness.items() if it >= SILENCE - SPEECH}
        if not audible:
            return None
        loudest = max(audible, key=audible.__getitem__)
        present = self.speaker
        if present in audible and audible[loudest] - audible[present] < LEAD:
            return present
        return loudest
