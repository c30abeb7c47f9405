from __future__ import annotations

import pytest
from aioice.stun import Method

from callfleet_relay.events import AllocateAnswered, Outcome, Reply
from callfleet_relay.message import Attribute, unpack_address

from .support import (
    UDP,
    UNIX,
    Client,
    attribute,
    error_of,
    lifetime,
    make_world,
    only,
    outcomes,
    plain_credential,
    seconds_of,
)


def test_allocates_after_a_challenge_and_signs_the_reply() -> None:
    client = Client(make_world())

    reply = client.allocate()

    assert error_of(reply) is None
    assert seconds_of(reply) == 600
    relayed = reply.first(Attribute.XOR_RELAYED_ADDRESS)
    assert relayed is not None
    host, port = unpack_address(relayed, reply.transaction_id)
    assert host == "192.0.2.1"
    assert 50000 <= port <= 50099
    assert reply.has_integrity(client.credential.key)
    assert reply.first(Attribute.SOFTWARE)
    assert outcomes(client) == [Outcome.OK]


def test_keeps_nothing_of_who_is_not_authenticated() -> None:
    world = make_world()
    for port in range(40000, 40050):
        client = Client(world, ("198.51.100.7", port))
        client.send(client.build(Method.ALLOCATE, [UDP]))

    assert world.server.allocations == 0
    assert world.server.next_timer() is None


def test_a_retransmitted_allocate_gets_the_same_reply_and_is_counted_once() -> None:
    client = Client(make_world())
    client.ask(Method.REFRESH)
    request = client.build(Method.ALLOCATE, [UDP])

    first = client.world.receive(request, client.five_tuple)
    second = client.world.receive(request, client.five_tuple)

    assert only([*first], Reply) == only([*second], Reply)
    assert len(only([*first], AllocateAnswered)) == 1
    assert only([*second], AllocateAnswered) == []
    assert client.world.server.allocations == 1


def test_a_retransmitted_refusal_is_counted_once() -> None:
    client = Client(make_world())
    request = client.build(Method.ALLOCATE, [UDP])

    counted = [
        only([*client.world.receive(request, client.five_tuple)], AllocateAnswered)
        for _ in range(3)
    ]

    assert counted == [[AllocateAnswered(Outcome.CHALLENGED, None)], [], []]


def test_a_second_allocate_on_the_same_5_tuple_is_a_mismatch() -> None:
    client = Client(make_world())
    client.allocate()

    assert error_of(client.allocate()) == 437
    assert outcomes(client) == [Outcome.MISMATCH]


@pytest.mark.parametrize(
    ("attributes", "code", "outcome"),
    [
        ([], 400, Outcome.BAD_REQUEST),
        ([attribute(Attribute.REQUESTED_TRANSPORT, b"\x11")], 400, Outcome.BAD_REQUEST),
        ([attribute(Attribute.REQUESTED_TRANSPORT, b"\x84\0\0\0")], 442, Outcome.UNSUPPORTED),
        ([UDP, attribute(Attribute.LIFETIME, b"\1")], 400, Outcome.BAD_REQUEST),
        (
            [UDP, attribute(Attribute.REQUESTED_ADDRESS_FAMILY, b"\2\0\0\0")],
            440,
            Outcome.UNSUPPORTED,
        ),
        (
            [UDP, attribute(Attribute.REQUESTED_ADDRESS_FAMILY, b"\7\0\0\0")],
            440,
            Outcome.UNSUPPORTED,
        ),
        (
            [
                UDP,
                attribute(Attribute.REQUESTED_ADDRESS_FAMILY, b"\1\0\0\0"),
                attribute(Attribute.ADDITIONAL_ADDRESS_FAMILY, b"\2\0\0\0"),
            ],
            400,
            Outcome.BAD_REQUEST,
        ),
        (
            [UDP, attribute(Attribute.ADDITIONAL_ADDRESS_FAMILY, b"\1\0\0\0")],
            400,
            Outcome.BAD_REQUEST,
        ),
        ([UDP, attribute(Attribute.EVEN_PORT, b"")], 400, Outcome.BAD_REQUEST),
        ([UDP, attribute(Attribute.RESERVATION_TOKEN, bytes(8))], 508, Outcome.UNSUPPORTED),
        (
            [
                UDP,
                attribute(Attribute.RESERVATION_TOKEN, bytes(8)),
                attribute(Attribute.EVEN_PORT, b"\0"),
            ],
            400,
            Outcome.BAD_REQUEST,
        ),
    ],
)
def test_refuses_what_an_allocate_may_not_ask(
    attributes: list[tuple[int, bytes]], code: int, outcome: Outcome
) -> None:
    client = Client(make_world())

    reply = client.ask(Method.ALLOCATE, attributes)

    assert error_of(reply) == code
    assert outcomes(client) == [outcome]
    assert reply.has_integrity(client.credential.key)
    assert client.world.server.allocations == 0


def test_an_even_port_is_even() -> None:
    world = make_world()
    for number in range(10):
        client = Client(world, ("198.51.100.7", 40000 + number))
        reply = client.allocate(attribute(Attribute.EVEN_PORT, b"\0"))
        relayed = reply.first(Attribute.XOR_RELAYED_ADDRESS)
        assert relayed is not None
        assert unpack_address(relayed, reply.transaction_id)[1] % 2 == 0


@pytest.mark.parametrize(("asked", "granted"), [(0, 600), (1, 600), (700, 700), (9999, 3600)])
def test_bounds_the_lifetime(asked: int, granted: int) -> None:
    client = Client(make_world())

    assert seconds_of(client.allocate(lifetime(asked))) == granted


def test_a_port_that_another_program_holds_is_passed_over() -> None:
    world = make_world(ports=(50000, 50001))
    world.refused_ports = {50001}
    client = Client(world)

    reply = client.allocate()

    relayed = reply.first(Attribute.XOR_RELAYED_ADDRESS)
    assert relayed is not None
    assert unpack_address(relayed, reply.transaction_id)[1] == 50000


def test_no_port_left_is_said_and_nothing_is_kept() -> None:
    world = make_world(ports=(50000, 50003))
    world.refused_ports = {50000, 50001, 50002, 50003}
    client = Client(world)

    assert error_of(client.allocate()) == 508
    assert outcomes(client) == [Outcome.PORT_EXHAUSTED]
    assert world.server.allocations == 0
    world.refused_ports.clear()
    assert error_of(client.allocate()) is None


def test_quota_of_a_user_and_of_all() -> None:
    world = make_world(capacity=3, per_user=2)
    clients = [Client(world, ("198.51.100.7", 40000 + n)) for n in range(3)]
    assert [error_of(client.allocate()) for client in clients] == [None, None, 486]
    assert outcomes(clients[2]) == [Outcome.QUOTA]
    bob, carol = (
        Client(world, ("198.51.100.8", n), plain_credential(user))
        for n, user in ((1, "bob"), (2, "carol"))
    )
    assert error_of(bob.allocate()) is None

    assert error_of(carol.allocate()) == 508
    assert outcomes(carol) == [Outcome.CAPACITY]

    clients[0].refresh(0)
    assert error_of(carol.allocate()) is None


def test_quota_follows_the_user_not_the_credential() -> None:
    world = make_world(per_user=1)
    Client(world, ("198.51.100.7", 1), plain_credential(expires=UNIX + 60)).allocate()
    again = Client(world, ("198.51.100.7", 2), plain_credential(expires=UNIX + 90))

    assert error_of(again.allocate()) == 486
