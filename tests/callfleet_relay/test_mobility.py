"""Allocations that go with their client to another address (RFC 8016)."""

from __future__ import annotations

import pytest
from aioice.stun import Method

from callfleet_relay.events import (
    BindChannel,
    ExpectClient,
    MoveClient,
    OpenRelay,
    Outcome,
    Permit,
    SendToPeer,
    SessionEnded,
)
from callfleet_relay.message import Attribute, Message
from callfleet_relay.tickets import Tickets

from .support import (
    PUBLIC_PEER,
    STREAM,
    Client,
    World,
    attribute,
    error_of,
    lifetime,
    make_world,
    only,
    outcomes,
    plain_credential,
    seconds_of,
)

WANTED = attribute(Attribute.MOBILITY_TICKET, b"")


def ticket_of(message: Message) -> tuple[int, bytes]:
    value = message.first(Attribute.MOBILITY_TICKET)
    assert value
    return attribute(Attribute.MOBILITY_TICKET, value)


def at(world: World, port: int) -> Client:
    """The same user somewhere else."""
    return Client(world, ("203.0.113.9", port))


def mobile() -> tuple[Client, tuple[int, bytes]]:
    client = Client(make_world())
    return client, ticket_of(client.allocate(WANTED))


def move(client: Client, ticket: tuple[int, bytes], *more: tuple[int, bytes]) -> Message:
    return client.ask(Method.REFRESH, [ticket, *more])


def test_a_ticket_is_given_to_who_asks_for_it() -> None:
    client = Client(make_world())

    assert client.allocate().first(Attribute.MOBILITY_TICKET) is None


def test_mobility_is_forbidden_unless_it_is_switched_on() -> None:
    client = Client(make_world(mobility=False))

    assert error_of(client.allocate(WANTED)) == 405
    assert outcomes(client) == [Outcome.UNSUPPORTED]
    assert error_of(client.allocate()) is None
    assert error_of(move(client, attribute(Attribute.MOBILITY_TICKET, b"t" * 32))) == 405


def test_a_client_over_a_stream_may_not_move() -> None:
    client = Client(make_world(), listener=STREAM)

    assert error_of(client.allocate(WANTED)) == 405


def test_an_allocate_with_a_ticket_is_refused() -> None:
    client, ticket = mobile()

    assert error_of(at(client.world, 1).allocate(ticket)) == 400


def test_a_move_keeps_permissions_channels_and_the_relayed_address() -> None:
    client, ticket = mobile()
    client.bind(0x4000, PUBLIC_PEER)
    moved = at(client.world, 1)

    assert seconds_of(move(moved, ticket)) == 600
    assert moved.events[0] == ExpectClient(1, moved.five_tuple)

    events = moved.send_indication(PUBLIC_PEER, b"x")
    assert events == [MoveClient(1, moved.five_tuple), SendToPeer(1, PUBLIC_PEER, b"x", False)]
    assert error_of(moved.bind(0x4000, PUBLIC_PEER)) is None
    assert not only(moved.events, OpenRelay)
    assert only(moved.events, BindChannel)
    assert not only(moved.events, Permit)
    assert client.world.server.allocations == 1


def test_the_old_address_is_served_until_something_comes_from_the_new_one() -> None:
    client, ticket = mobile()
    client.permit(PUBLIC_PEER)
    moved = at(client.world, 1)
    move(moved, ticket)

    assert client.send_indication(PUBLIC_PEER, b"x") == [SendToPeer(1, PUBLIC_PEER, b"x", False)]
    assert error_of(client.refresh()) is None

    assert error_of(moved.permit(PUBLIC_PEER)) is None
    assert only(moved.events, MoveClient) == [MoveClient(1, moved.five_tuple)]
    assert error_of(client.refresh()) == 437
    assert not only(client.send_indication(PUBLIC_PEER, b"x"), SendToPeer)


def test_channel_data_from_the_new_address_ends_the_old_one() -> None:
    client, ticket = mobile()
    moved = at(client.world, 1)
    move(moved, ticket)
    server = client.world.server

    assert server.client_arrived(1, moved.five_tuple) == [MoveClient(1, moved.five_tuple)]
    assert server.client_arrived(1, moved.five_tuple) == []
    assert error_of(client.refresh()) == 437


def test_a_lost_answer_is_asked_for_again_with_the_old_ticket() -> None:
    client, ticket = mobile()
    moved = at(client.world, 1)

    first, again = move(moved, ticket), move(moved, ticket)

    assert ticket_of(first) == ticket_of(again) != ticket
    assert not only(moved.events, MoveClient)
    assert error_of(client.refresh()) is None


def test_who_shows_the_new_ticket_has_got_it() -> None:
    client, ticket = mobile()
    moved = at(client.world, 1)
    newer = ticket_of(move(moved, ticket))

    move(moved, newer)

    assert only(moved.events, MoveClient)


def test_a_ticket_is_good_once() -> None:
    client, ticket = mobile()
    moved = at(client.world, 1)
    newer = ticket_of(move(moved, ticket))
    moved.refresh()

    assert error_of(move(at(client.world, 2), ticket)) == 400
    assert error_of(move(at(client.world, 3), newer)) is None


def test_a_second_move_takes_the_place_of_one_under_way() -> None:
    client, ticket = mobile()
    first, second = at(client.world, 1), at(client.world, 2)
    move(first, ticket)
    move(second, ticket)

    assert error_of(first.refresh()) == 437
    assert error_of(second.refresh()) is None
    assert error_of(client.refresh()) == 437


def test_another_user_cannot_take_an_allocation() -> None:
    client, ticket = mobile()
    thief = Client(client.world, ("203.0.113.9", 1), plain_credential("mallory"))

    assert error_of(move(thief, ticket)) == 441
    assert not only(thief.events, ExpectClient)


@pytest.mark.parametrize("forged", [b"x", b"A" * 32, b"A" * 40, b"\xff" * 32])
def test_a_forged_ticket_is_refused(forged: bytes) -> None:
    client, _ = mobile()

    assert error_of(move(at(client.world, 1), attribute(Attribute.MOBILITY_TICKET, forged))) == 400


def test_an_allocation_that_is_not_mobile_has_no_ticket_that_fits() -> None:
    client = Client(make_world())
    client.allocate()
    guessed = attribute(Attribute.MOBILITY_TICKET, Tickets(b"t" * 32).make(1, 0))

    assert error_of(move(at(client.world, 1), guessed)) == 400


def test_who_has_an_allocation_takes_no_second_one() -> None:
    client, ticket = mobile()
    other = at(client.world, 1)
    other.allocate()

    assert error_of(move(other, ticket)) == 437
    assert client.world.server.allocations == 2


def test_a_move_with_lifetime_0_deletes() -> None:
    client, ticket = mobile()
    moved = at(client.world, 1)

    assert seconds_of(move(moved, ticket, lifetime(0))) == 0

    assert only(moved.events, SessionEnded)
    assert client.world.server.allocations == 0
    assert error_of(moved.allocate()) is None
