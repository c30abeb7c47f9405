"""What a relay's sockets do for a client on the network: both families, and ICMP errors."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from aioice.stun import Method

from callfleet_relay.message import Address, Attribute, Message, parse, unpack_address

from .conftest import START_SECONDS, RelayProcess, StartRelay
from .support import UdpClient, attribute, error_of, lifetime, relayed_of
from .test_dataplane import free_port

BOTH = attribute(Attribute.ADDITIONAL_ADDRESS_FAMILY, b"\2\0\0\0")
IPV6 = attribute(Attribute.REQUESTED_ADDRESS_FAMILY, b"\2\0\0\0")
LOOPBACK = ("--allow-peer", "127.0.0.0/8", "--allow-peer", "::1/128")


@pytest.fixture
def both_families(start_relay: StartRelay) -> RelayProcess:
    return start_relay("--relay-address", "127.0.0.1", "--relay-address", "::1", *LOOPBACK)


@contextmanager
def peer(host: str) -> Iterator[socket.socket]:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as bound:
        bound.settimeout(START_SECONDS)
        bound.bind((host, 0))
        yield bound


def address_of(bound: socket.socket) -> Address:
    host, port = bound.getsockname()[:2]
    return host, port


def channel_data(number: int, payload: bytes) -> bytes:
    return number.to_bytes(2, "big") + len(payload).to_bytes(2, "big") + payload


def test_one_allocation_reaches_peers_of_both_families(both_families: RelayProcess) -> None:
    with (
        UdpClient(both_families.address) as client,
        peer("127.0.0.1") as four,
        peer("::1") as six,
    ):
        relayed = relayed_of(client.allocate(BOTH))
        assert [host for host, _ in relayed] == ["127.0.0.1", "::1"]
        for number, (end, address) in enumerate(zip((four, six), relayed, strict=True), 0x4000):
            assert error_of(client.bind(number, address_of(end))) is None
            client.socket.send(channel_data(number, b"out"))
            data, source = end.recvfrom(100)
            assert (data, source[:2]) == (b"out", address)
            end.sendto(b"in", address)
            assert client.socket.recv(100) == channel_data(number, b"in")

        assert error_of(client.ask(Method.REFRESH, [IPV6, lifetime(0)])) is None
        client.socket.send(channel_data(0x4001, b"nowhere"))
        client.socket.send(channel_data(0x4000, b"still"))
        assert four.recv(100) == b"still"
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as again:
            again.bind(relayed[1])


def test_ipv6_alone_is_relayed_for_a_client_over_ipv4(both_families: RelayProcess) -> None:
    with UdpClient(both_families.address) as client, peer("::1") as six:
        (address,) = relayed_of(client.allocate(IPV6))
        assert error_of(client.permit(address_of(six))) is None

        six.sendto(b"in", address)

        message = parse(client.socket.recv(200))
        assert message.first(Attribute.DATA) == b"in"


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_client_is_told_of_icmp_errors_no_more_often_than_is_useful(
    both_families: RelayProcess, host: str
) -> None:
    """The process runs on uvloop, which gives a socket up that has an error pending."""
    closed = (host, free_port(host))
    with UdpClient(both_families.address) as client, peer(host) as end:
        relayed = relayed_of(client.allocate(BOTH))[":" in host]
        assert error_of(client.bind(0x4000, closed)) is None
        assert error_of(client.bind(0x4001, address_of(end))) is None
        for _ in range(100):
            client.socket.send(channel_data(0x4000, b"x"))
        told = [parse(client.socket.recv(200))]
        end.sendto(b"last", relayed)
        while (data := client.socket.recv(200)) != channel_data(0x4001, b"last"):
            told.append(parse(data))

    assert 1 <= len(told) < 30
    assert {peer_of(message) for message in told} == {closed}
    icmp = b"\0\0\x02\x04" if ":" in host else b"\0\0\x06\x03"
    assert {message.first(Attribute.ICMP) for message in told} == {icmp + bytes(4)}


def peer_of(message: Message) -> Address:
    value = message.first(Attribute.XOR_PEER_ADDRESS)
    assert value is not None
    return unpack_address(value, message.transaction_id)
