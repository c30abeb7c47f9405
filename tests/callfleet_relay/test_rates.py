from __future__ import annotations

from aioice.stun import Method

from callfleet_relay import rates
from callfleet_relay.events import Drop, Dropped, Outcome, Reply
from callfleet_relay.rates import PrefixRate, allocation_rate, reply_rate

from .support import UDP, Client, error_of, make_world, only, outcomes


def answered(world_rate: PrefixRate | None, requests: int, *, hosts: int = 1) -> int:
    """How many of a stranger's Allocates are answered at once."""
    world = make_world(reply_rate=world_rate)
    count = 0
    for number in range(requests):
        client = Client(world, (f"198.51.100.{number % hosts}", 40000))
        count += len(client.send(client.build(Method.ALLOCATE, [UDP])))
    return count


def test_strangers_of_one_network_share_a_rate_of_answers() -> None:
    assert answered(None, 50) == 50
    assert answered(reply_rate(0), 50) == 50
    assert answered(reply_rate(10), 50) == 20
    assert answered(reply_rate(10), 50, hosts=50) == 20


def test_a_binding_is_answered_at_the_same_rate() -> None:
    world = make_world(reply_rate=reply_rate(2))
    client = Client(world)

    for _ in range(4):
        assert len(client.send(client.build(Method.BINDING))) == 1
    assert client.send(client.build(Method.BINDING)) == []

    assert client.events == [Dropped(Drop.REPLY_RATE)]
    world.sleep(0.5)
    assert len(client.send(client.build(Method.BINDING))) == 1


def test_who_has_proved_who_they_are_is_always_answered() -> None:
    world = make_world(reply_rate=reply_rate(1))
    client = Client(world)
    client.allocate()
    for _ in range(50):
        assert error_of(client.refresh()) is None

    stranger = Client(world, ("198.51.100.99", 1))
    answers = [
        only(world.receive(stranger.build(Method.ALLOCATE, [UDP]), stranger.five_tuple), Reply)
        for _ in range(2)
    ]
    assert [len(each) for each in answers] == [1, 0]


def test_allocates_of_one_address_have_a_rate() -> None:
    world = make_world(allocation_rate=allocation_rate(2), per_user=100)
    clients = [Client(world, ("198.51.100.7", 40000 + number)) for number in range(5)]

    assert [error_of(client.allocate()) for client in clients] == [None] * 4 + [486]

    assert outcomes(clients[4]) == [Outcome.RATE_LIMITED]
    assert error_of(Client(world, ("198.51.100.8", 1)).allocate()) is None
    world.sleep(0.5)
    assert error_of(clients[4].allocate()) is None


def test_a_prefix_is_a_network_and_not_an_address() -> None:
    rate = reply_rate(1)
    for host in ("198.51.100.7", "2620:fe::1"):
        assert [rate.admits(host, 0.0) for _ in range(3)] == [True, True, False]

    assert not rate.admits("198.51.100.200", 0.0)
    assert rate.admits("198.51.101.7", 0.0)
    assert not rate.admits("2620:fe:0:ff::1", 0.0)
    assert rate.admits("2620:fe:0:100::1", 0.0)
    assert rate.admits("198.51.100.7", 1.0)


def test_one_client_is_an_address_or_a_64() -> None:
    rate = allocation_rate(1)
    for host in ("198.51.100.7", "2620:fe::1"):
        assert [rate.admits(host, 0.0) for _ in range(3)] == [True, True, False]

    assert rate.admits("198.51.100.8", 0.0)
    assert not rate.admits("2620:fe::ffff", 0.0)
    assert rate.admits("2620:fe:0:1::1", 0.0)


def test_a_flood_of_prefixes_forgets_the_oldest() -> None:
    rate = PrefixRate(1, ipv4_bytes=4, ipv6_bytes=8)
    for number in range(3 * rates.MAX_PREFIXES):
        rate.admits(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", 0.0)

    assert len(rate) <= 2 * rates.MAX_PREFIXES
