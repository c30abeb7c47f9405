"""Participants of a call that came from another pod, until they are here again.

The database knows them by a digest of their resume token, so that it holds nothing by which
somebody could pass for them.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256

from callfleet_engine.store.interface import Participant


def digest(resume: str) -> str:
    """What the database keeps of a resume token: its SHA-256 in hex."""
    return sha256(resume.encode()).hexdigest()


class Expected:
    """Who may still come back to a call, and as whom."""

    def __init__(self, recorded: Iterable[Participant] = ()) -> None:
        self._missing = {one.participant_id: one for one in recorded}

    def __len__(self) -> int:
        return len(self._missing)

    def who(self, resume: str | None, identity: str) -> Participant | None:
        """Whose token this is, None if nobody's who is expected with this identity."""
        if not resume:
            return None
        wanted = digest(resume)
        for one in self._missing.values():
            if one.resume_digest == wanted and one.identity == identity:
                return one
        return None

    def arrived(self, participant: Participant) -> None:
        """No longer expected: here again."""
        del self._missing[participant.participant_id]

    def give_up(self) -> tuple[Participant, ...]:
        """Expect nobody any more; those who have not come."""
        missing = tuple(self._missing.values())
        self._missing.clear()
        return missing
