from __future__ import annotations

from callfleet_relay.ports import RelayPorts


def test_hands_out_every_port_of_the_range_once() -> None:
    ports = RelayPorts(50000, 50009)

    taken = [ports.take(even=False) for _ in range(10)]

    assert sorted(port for port in taken if port) == list(range(50000, 50010))
    assert ports.take(even=False) is None
    assert len(ports) == 0


def test_even_ports_are_kept_for_those_who_need_one() -> None:
    ports = RelayPorts(50000, 50003)

    assert {ports.take(even=False), ports.take(even=False)} == {50001, 50003}
    assert {ports.take(even=True), ports.take(even=True)} == {50000, 50002}
    assert ports.take(even=True) is None


def test_a_port_given_back_is_the_last_to_be_used_again() -> None:
    ports = RelayPorts(50001, 50009)
    first = ports.take(even=True)
    assert first is not None

    ports.give_back(first)

    assert [ports.take(even=True) for _ in range(4)][-1] == first


def test_the_order_is_not_that_of_the_numbers() -> None:
    ports = RelayPorts(40000, 49999)

    order = [ports.take(even=True) for _ in range(100)]

    assert order != sorted(port for port in order if port)


def test_a_pair_is_an_even_port_and_the_next_one() -> None:
    ports = RelayPorts(50000, 50004)

    pairs = {ports.take_pair(), ports.take_pair()}

    assert pairs == {50000, 50002}
    assert ports.take_pair() is None
    assert len(ports) == 1
    ports.give_back(50001)
    assert ports.take_pair() is None
    ports.give_back(50000)
    assert ports.take_pair() == 50000
