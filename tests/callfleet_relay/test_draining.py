"""What a draining relay answers: 508, or 300 where it knows another (RFC 8489 section 10)."""

from __future__ import annotations

from aioice.stun import unpack_address

from callfleet_relay.events import Outcome
from callfleet_relay.message import Address, Attribute, Message

from .support import PUBLIC_PEER, Client, error_of, make_world, outcomes

OTHERS = [("192.0.2.8", 3478), ("192.0.2.9", 3479)]
OTHER_IPV6 = ("2620:fe::8", 3478)


def alternative_of(message: Message) -> Address:
    value = message.first(Attribute.ALTERNATE_SERVER)
    assert value is not None
    return unpack_address(value)


def test_draining_refuses_new_allocations_only() -> None:
    world = make_world()
    old, new = Client(world), Client(world, ("198.51.100.8", 1))
    old.allocate()
    world.server.gate.drain("d")

    assert error_of(new.allocate()) == 508
    assert outcomes(new) == [Outcome.DRAINING]
    assert error_of(old.refresh()) is None
    assert error_of(old.permit(PUBLIC_PEER)) is None
    world.server.gate.undrain("d")
    assert error_of(new.allocate()) is None


def test_draining_sends_clients_to_the_alternatives_in_turn() -> None:
    world = make_world()
    world.server.replace_alternatives(OTHERS)
    world.server.gate.drain("d")
    client = Client(world)

    replies = [client.allocate() for _ in range(4)]

    assert [error_of(reply) for reply in replies] == [300] * 4
    assert all(reply.has_integrity(client.credential.key) for reply in replies)
    assert sorted(alternative_of(reply) for reply in replies) == sorted(OTHERS * 2)
    assert outcomes(client) == [Outcome.DRAINING]


def test_an_open_relay_sends_nobody_away() -> None:
    world = make_world()
    world.server.replace_alternatives(OTHERS)

    assert error_of(Client(world).allocate()) is None


def test_an_alternative_is_of_the_clients_own_family() -> None:
    world = make_world()
    world.server.replace_alternatives([*OTHERS, OTHER_IPV6])
    world.server.gate.drain("d")
    client = Client(world, ("2620:fe::1", 40000))

    assert [alternative_of(client.allocate()) for _ in range(2)] == [OTHER_IPV6] * 2
    world.server.replace_alternatives(OTHERS)
    assert error_of(client.allocate()) == 508


def test_a_sealed_relay_sends_clients_on_too() -> None:
    world = make_world()
    world.server.replace_alternatives(OTHERS)
    world.server.gate.drain("d")
    world.server.seal("d")

    assert error_of(Client(world).allocate()) == 300
