"""Allocations that go with their client to another address (RFC 8016).

A Refresh with the allocation's ticket, from a new 5-tuple, begins a move. The old 5-tuple stays in
use until something else comes from the new one: only then has the client got the answer.
"""

from __future__ import annotations

from callfleet_relay import replies
from callfleet_relay.allocation import Allocation, AllocationTable
from callfleet_relay.errors import (
    allocation_mismatch,
    bad_request,
    mobility_forbidden,
)
from callfleet_relay.events import Event, ExpectClient, FiveTuple, MoveClient
from callfleet_relay.message import Attribute, Message
from callfleet_relay.tickets import Tickets


class Mobility:
    """Moves of all allocations of one relay: at most one of each at a time."""

    def __init__(
        self, tickets: Tickets | None, table: AllocationTable, streams: frozenset[int]
    ) -> None:
        """`tickets`: None where nobody may move; `streams`: listeners from and to which nobody
        can.
        """
        self._tickets = tickets
        self._table = table
        self._streams = streams

    def allocation_of(self, request: Message) -> Allocation | None:
        """The allocation whose ticket a request carries."""
        found = self._find(request)
        return found[0] if found else None

    def begin(self, request: Message, five_tuple: FiveTuple) -> tuple[Allocation, list[Event]]:
        """Which allocation a Refresh with a ticket is about, moved to where it comes from.

        Raises `RequestError`.
        """
        if self._tickets is None or five_tuple.listener in self._streams:
            raise mobility_forbidden()
        found = self._find(request)
        if found is None:
            raise bad_request()
        allocation, generation = found
        there = self._table.get(five_tuple)
        if there is not None and there is not allocation:
            raise allocation_mismatch()
        if five_tuple == allocation.moving_to and generation == allocation.generation:
            return allocation, self.arrived(allocation, five_tuple)
        if five_tuple in {allocation.five_tuple, allocation.moving_to}:
            return allocation, []
        allocation.generation += allocation.moving_to is None
        self._table.expect(allocation, five_tuple)
        return allocation, [ExpectClient(allocation.session, five_tuple)]

    def _find(self, request: Message) -> tuple[Allocation, int] | None:
        ticket = request.first(Attribute.MOBILITY_TICKET)
        read = self._tickets.read(ticket) if ticket and self._tickets else None
        allocation = self._table.of_session(read[0]) if read else None
        if read is None or allocation is None or not allocation.is_mobile:
            return None
        good = {allocation.generation}
        if allocation.moving_to is not None:
            good.add(allocation.generation - 1)  # its successor may have been lost
        return (allocation, read[1]) if read[1] in good else None

    def attributes(self, allocation: Allocation) -> list[tuple[int, bytes]]:
        """The ticket that the answer to such a Refresh carries."""
        if self._tickets is None:
            return []
        ticket = self._tickets.make(allocation.session, allocation.generation)
        return [replies.ticket_attribute(ticket)]

    def arrived(self, allocation: Allocation | None, five_tuple: FiveTuple) -> list[Event]:
        """Something has come from a 5-tuple: if a client was on its way there, it has moved."""
        if allocation is None or allocation.moving_to != five_tuple:
            return []
        self._table.move(allocation)
        return [MoveClient(allocation.session, five_tuple)]
