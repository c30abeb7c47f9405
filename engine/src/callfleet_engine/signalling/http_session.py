"""One WHIP or WHEP session: a participant whose client speaks HTTP and cannot be spoken to."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Collection
from typing import Literal

from aiohttp import ETag

from callfleet_engine.calls.call import Call
from callfleet_engine.calls.participant import Participant
from callfleet_engine.media.interface import PeerConnection
from callfleet_engine.signalling.messages import IceServersUpdate, Joined, ServerMessage
from callfleet_engine.signalling.problems import Problem
from callfleet_engine.signalling.sdpfrag import Fragment, fragment_of, restarted, ufrag_of

Protocol = Literal["whip", "whep"]

ANY = "*"
"""Also in quotes, as the examples of RFC 9725 have it."""


class HttpOutbox:
    """Keeps what a response can tell; what else is sent to the participant goes nowhere."""

    def __init__(self) -> None:
        self.ice_servers: tuple[dict[str, object], ...] = ()
        self.closed = False
        self.on_close: Callable[[], object] = lambda: None

    def send(self, message: ServerMessage) -> None:
        """Note the ICE servers."""
        if isinstance(message, Joined | IceServersUpdate):
            self.ice_servers = message.ice_servers

    def close(self, code: str) -> None:  # noqa: ARG002 - an outbox
        """The participant is no longer in the call."""
        self.closed = True
        self.on_close()


class HttpSession:
    """From the answer to the client's offer to the end of the participant.

    `id` is a secret of 144 bits: who knows the session's URL may change and end the session.
    """

    def __init__(
        self, protocol: Protocol, call: Call, participant: Participant, outbox: HttpOutbox
    ) -> None:
        self.id = secrets.token_urlsafe(18)
        self.protocol = protocol
        self.call = call
        self.participant = participant
        self.outbox = outbox
        self.etag = ""
        self._offer = ""
        self._lock = asyncio.Lock()

    @property
    def _pc(self) -> PeerConnection:
        return "publish" if self.protocol == "whip" else "subscribe"

    async def begin(self, offer: str) -> str:
        """The answer to the client's offer. Raises CallError."""
        answer = await self._negotiate(offer)
        self._renew(offer)
        return answer

    async def patch(self, fragment: Fragment, tags: Collection[ETag]) -> str | None:
        """Take candidates, or restart ICE; a fragment of the engine's answer if ICE restarts.

        Raises Problem 412 if the entity tag is that of another ICE session, CallError.
        """
        async with self._lock:
            if not any(tag.value in {ANY, self.etag} and not tag.is_weak for tag in tags):
                raise Problem(
                    412,
                    "precondition_failed",
                    "If-Match is not the entity tag of the present ICE session.",
                    "Send the ETag of the latest response, or restart ICE with If-Match: *.",
                )
            if fragment.ufrag in {None, ufrag_of(self._offer)}:
                await self._add(fragment)
                return None
            offer = restarted(self._offer, fragment)
            answer = await self._negotiate(offer)
            self._renew(offer)
            await self._add(fragment)
            return fragment_of(answer)

    async def _negotiate(self, offer: str) -> str:
        if self.protocol == "whip":
            return await self.participant.publish(offer)
        return await self.participant.play(offer)

    async def _add(self, fragment: Fragment) -> None:
        for candidate in fragment.candidates:
            await self.participant.add_candidate(self._pc, candidate)
        if fragment.ended:
            await self.participant.add_candidate(self._pc, None)

    def _renew(self, offer: str) -> None:
        """Another ICE session has begun (RFC 9725, section 4.3.1)."""
        self._offer = offer
        self.etag = secrets.token_hex(8)
