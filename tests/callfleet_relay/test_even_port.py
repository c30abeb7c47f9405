"""EVEN-PORT and RESERVATION-TOKEN (RFC 8656 section 7.2)."""

from __future__ import annotations

import pytest

from callfleet_relay.events import Outcome
from callfleet_relay.message import Attribute, Message
from callfleet_relay.reservations import RESERVATION_SECONDS

from .support import (
    V6_RELAY,
    Client,
    World,
    attribute,
    error_of,
    make_world,
    outcomes,
    plain_credential,
    relayed_of,
)

EVEN = attribute(Attribute.EVEN_PORT, b"\0")
EVEN_AND_NEXT = attribute(Attribute.EVEN_PORT, b"\x80")


def client_of(world: World, number: int = 0, user: str = "alice") -> Client:
    return Client(world, ("198.51.100.7", 40000 + number), plain_credential(user))


def token_of(message: Message) -> tuple[int, bytes]:
    token = message.first(Attribute.RESERVATION_TOKEN)
    assert token is not None
    return attribute(Attribute.RESERVATION_TOKEN, token)


def test_an_even_port_is_even() -> None:
    world = make_world()
    for number in range(10):
        reply = client_of(world, number).allocate(EVEN)

        assert relayed_of(reply)[0][1] % 2 == 0
        assert reply.first(Attribute.RESERVATION_TOKEN) is None


def test_the_token_brings_the_next_port_to_another_client() -> None:
    world = make_world()
    first = client_of(world).allocate(EVEN_AND_NEXT)
    (even,) = relayed_of(first)

    second = client_of(world, 1).allocate(token_of(first))

    assert even[1] % 2 == 0
    assert relayed_of(second) == [(even[0], even[1] + 1)]
    assert world.server.allocations == 2
    assert world.server.quota.total == 2


def test_a_token_serves_once_and_its_user_only() -> None:
    world = make_world()
    token = token_of(client_of(world).allocate(EVEN_AND_NEXT))

    assert error_of(client_of(world, 1, "mallory").allocate(token)) == 508
    assert error_of(client_of(world, 2).allocate(token)) is None
    again = client_of(world, 3)
    assert error_of(again.allocate(token)) == 508
    assert outcomes(again) == [Outcome.UNSUPPORTED]


def test_an_unclaimed_port_is_kept_for_30_seconds_and_comes_back() -> None:
    world = make_world(ports=(50000, 50001))
    client = client_of(world)
    token = token_of(client.allocate(EVEN_AND_NEXT))
    assert error_of(client_of(world, 1, "bob").allocate()) == 508
    assert world.server.next_timer() == world.now.monotonic + RESERVATION_SECONDS
    world.sleep(RESERVATION_SECONDS - 1)
    assert error_of(client_of(world, 1, "bob").allocate()) == 508

    world.sleep(1)

    assert error_of(client_of(world, 2).allocate(token)) == 508
    assert error_of(client_of(world, 3, "bob").allocate()) is None


def test_a_reservation_outlives_the_allocation_that_made_it() -> None:
    world = make_world()
    client = client_of(world)
    token = token_of(client.allocate(EVEN_AND_NEXT))
    client.refresh(0)
    assert world.server.allocations == 0

    assert error_of(client_of(world, 1).allocate(token)) is None


def test_reserved_ports_count_against_the_quota_of_their_user_and_of_all() -> None:
    world = make_world(capacity=4, per_user=3)
    first = client_of(world)
    assert error_of(first.allocate(EVEN_AND_NEXT)) is None
    assert error_of(client_of(world, 1).allocate(EVEN_AND_NEXT)) == 486
    assert error_of(client_of(world, 2, "bob").allocate(EVEN_AND_NEXT)) is None
    assert error_of(client_of(world, 3, "carol").allocate()) == 508
    assert world.server.allocations == 2

    world.sleep(RESERVATION_SECONDS)

    assert world.server.quota.total == 2
    assert error_of(client_of(world, 4, "carol").allocate()) is None


def test_another_pair_is_tried_where_a_port_is_taken() -> None:
    world = make_world(ports=(50000, 50003))
    world.refused_ports = {50000}

    reply = client_of(world).allocate(EVEN_AND_NEXT)

    assert relayed_of(reply)[0][1] == 50002
    world.refused_ports = {50000, 50002}
    assert error_of(client_of(world, 1).allocate(EVEN_AND_NEXT)) == 508
    world.sleep(RESERVATION_SECONDS)
    assert world.server.quota.total == world.server.allocations == 1


def test_a_reserved_port_that_somebody_else_took_is_not_replaced() -> None:
    world = make_world()
    first = client_of(world).allocate(EVEN_AND_NEXT)
    world.refused_ports = {relayed_of(first)[0][1] + 1}

    assert error_of(client_of(world, 1).allocate(token_of(first))) == 508
    assert world.server.quota.total == world.server.allocations == 1


def test_a_reservation_is_of_the_family_that_was_asked_for() -> None:
    world = make_world(second_host=V6_RELAY)
    six = attribute(Attribute.REQUESTED_ADDRESS_FAMILY, b"\2\0\0\0")
    first = client_of(world).allocate(EVEN_AND_NEXT, six)

    (relayed,) = relayed_of(client_of(world, 1).allocate(token_of(first)))

    assert relayed == (V6_RELAY, relayed_of(first)[0][1] + 1)


@pytest.mark.parametrize(
    "attributes",
    [
        [attribute(Attribute.RESERVATION_TOKEN, bytes(8)), EVEN],
        [
            attribute(Attribute.RESERVATION_TOKEN, bytes(8)),
            attribute(Attribute.REQUESTED_ADDRESS_FAMILY, b"\1\0\0\0"),
        ],
        [attribute(Attribute.RESERVATION_TOKEN, bytes(7))],
        [EVEN_AND_NEXT, attribute(Attribute.ADDITIONAL_ADDRESS_FAMILY, b"\2\0\0\0")],
        [attribute(Attribute.EVEN_PORT, b"\x80\0\0\0")],
    ],
)
def test_contradictions_are_bad_requests(attributes: list[tuple[int, bytes]]) -> None:
    world = make_world(second_host=V6_RELAY)

    assert error_of(client_of(world).allocate(*attributes)) == 400
    assert world.server.quota.total == 0
