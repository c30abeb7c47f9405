"""What a server has to say at the end of a call: events in their order, answers among them."""

from __future__ import annotations

from aioice.stun import Method

from callfleet_relay import replies
from callfleet_relay.auth import Authenticated, Instant
from callfleet_relay.errors import RequestError
from callfleet_relay.events import (
    AllocateAnswered,
    Drop,
    Dropped,
    Event,
    FiveTuple,
    Outcome,
    Reply,
)
from callfleet_relay.message import Message
from callfleet_relay.rates import PrefixRate
from callfleet_relay.recent import RecentKeys


class Answers:
    """Events that are still to be taken; those to strangers are no more than is harmless."""

    def __init__(self, stranger_rate: PrefixRate | None) -> None:
        self.events: list[Event] = []
        self._stranger_rate = stranger_rate
        self._counted = RecentKeys()

    def take(self) -> list[Event]:
        """All events since the last time."""
        events, self.events = self.events, []
        return events

    def succeed(
        self,
        request: Message,
        five_tuple: FiveTuple,
        who: Authenticated,
        attributes: list[tuple[int, bytes]],
    ) -> None:
        """A success response."""
        self.events.append(Reply(five_tuple, replies.success(request, attributes, who.key)))

    def refuse(
        self, request: Message, five_tuple: FiveTuple, error: RequestError, who: Authenticated
    ) -> None:
        """An error response."""
        self.events.append(Reply(five_tuple, replies.failure(request, error, who.key)))
        if request.method == Method.ALLOCATE:
            self.count(request, five_tuple, error.outcome, who)

    def refuse_stranger(
        self, request: Message, five_tuple: FiveTuple, error: RequestError, now: Instant
    ) -> None:
        """An error response to who has not proved to be anybody."""
        answered = self.answer_stranger(five_tuple, replies.failure(request, error), now)
        if answered and request.method == Method.ALLOCATE:
            self.count(request, five_tuple, error.outcome, None)

    def answer_stranger(self, five_tuple: FiveTuple, data: bytes, now: Instant) -> bool:
        """Answer who has proved nothing, not even the address: no more often than is harmless."""
        rate = self._stranger_rate
        if rate is not None and not rate.admits(five_tuple.client[0], now.monotonic):
            self.events.append(Dropped(Drop.REPLY_RATE))
            return False
        self.events.append(Reply(five_tuple, data))
        return True

    def count(
        self, request: Message, five_tuple: FiveTuple, outcome: Outcome, who: Authenticated | None
    ) -> None:
        """Tell how an Allocate was answered, of retransmissions once."""
        if self._counted.add((five_tuple, request.transaction_id, outcome)):
            self.events.append(AllocateAnswered(outcome, who.principal.user if who else None))
