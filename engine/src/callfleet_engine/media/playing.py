"""The subscribing half of a participant whose client offers (WHEP): one answer, and no offers."""

from __future__ import annotations

from collections import defaultdict

from callfleet_engine.media.description import RemoteDescription
from callfleet_engine.media.forwarding import Forwarding
from callfleet_engine.media.interface import Kind, Source
from callfleet_engine.media.link import Link
from callfleet_engine.media.negotiation import OFFERED_EXTENSIONS
from callfleet_engine.media.seams import MediaLine
from callfleet_engine.media.subscribing import Publishers, Subscribing, Wishes

SOURCE_OF: dict[Kind, Source] = {"audio": "microphone", "video": "camera"}

_MOST_IDENTIFIER = 14
"""Of header extensions whose elements have headers of one byte (RFC 8285 section 4.2)."""


class Playing(Subscribing):
    """The m-lines of a client's offer to receive.

    The n-th audio and the n-th video m-line are one place. A place carries one publisher, in the
    order of joining; one that became free goes to the next who has none.
    """

    def __init__(self, link: Link, forwarding: Forwarding, wishes: Wishes) -> None:
        super().__init__(link, forwarding, wishes)
        self._pairs = self._groups[0].lines
        self._places: list[str | None] = []

    async def answer(self, remote: RemoteDescription, publishers: Publishers, now: float) -> str:
        """Take the client's first offer, or one that restarts ICE, and answer it."""
        await self.link.pc.take_offer(remote.description, client_is_dtls_server=remote.dtls_server)
        lines = self.link.pc.lines()
        known = sum(len(pair) for pair in self._pairs)
        count: dict[Kind, int] = defaultdict(int)
        for index, media in enumerate(lines):
            place = count[media.kind]
            count[media.kind] += 1
            media.offer_stream(f"place-{place}")
            if index >= known:
                self._add(media, place)
        answer = await self.link.pc.make_answer()
        self._negotiated = self.link.pc.negotiated()
        self._negotiated_transport()
        self.connect(publishers, now)
        return answer

    def _add(self, media: MediaLine, place: int) -> None:
        if place == len(self._pairs):
            self._pairs.append({})
            self._places.append(None)
        line = self._new_downtrack(media)
        line.downtrack.mid = media.mid
        self._pairs[place][SOURCE_OF[media.kind]] = line

    def _identifiers(self) -> dict[int, dict[int, int]]:
        """The client's own identifiers, and only the header extensions that its offer has."""
        return {
            line.media.ssrc: {
                own: number
                for uri, number in self._negotiated[line.media.mid].extensions.items()
                if (own := OFFERED_EXTENSIONS.get(uri)) and number <= _MOST_IDENTIFIER
            }
            for line in self._lines()
        }

    def connect(self, publishers: Publishers, now: float) -> None:
        """Give each place its publisher, and send what is published."""
        kept = [p if p in publishers else None for p in self._places]
        waiting = (p for p in publishers if p not in kept)
        self._places = [next(waiting, None) if p is None else p for p in kept]
        self._offered = {
            (publisher, source): line
            for publisher, pair in zip(self._places, self._pairs, strict=True)
            if publisher is not None
            for source, line in pair.items()
        }
        super().connect(publishers, now)
