from __future__ import annotations

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callfleet_relay.peers import PUBLIC, IPNetwork, PeerEntry, PeerPolicy, is_public
from callfleet_relay.special import SPECIAL_IPV4, SPECIAL_IPV6

DENIED: frozenset[int] = frozenset()
SPECIAL: list[IPNetwork] = [*SPECIAL_IPV4, *SPECIAL_IPV6]


@pytest.mark.parametrize(
    "address",
    [
        *(str(network.network_address) for network in SPECIAL),
        *(str(network.broadcast_address) for network in SPECIAL),
        "169.254.169.254",  # metadata of most clouds
        "fd00:ec2::254",
        "fd20:ce::254",
        "100.100.100.200",
        "192.0.0.192",
        "168.63.129.16",
        "::",
        "::1",
        "::10.0.0.1",  # IPv4-compatible
        "::ffff:10.0.0.1",  # IPv4-mapped
        "::ffff:8.8.8.8",
        "64:ff9b::10.0.0.1",  # NAT64
        "64:ff9b:1::10.0.0.1",
        "100::1",
        "100:0:0:1::1",
        "2001::1",  # Teredo
        "2002:a00:1::1",  # 6to4
        "2620:fe::5efe:10.0.0.1",  # ISATAP
        "2620:fe::200:5efe:10.0.0.1",
        "5f00::1",
        "fc00::1",
        "fe80::1",
        "fec0::1",
        "ff02::1",
    ],
)
def test_special_purpose_addresses_are_not_public(address: str) -> None:
    assert not is_public(ip_address(address))
    assert PeerPolicy([PUBLIC]).ports(str(ip_address(address))) == DENIED


@pytest.mark.parametrize("address", ["8.8.8.8", "1.1.1.1", "223.255.255.255", "2620:fe::fe"])
def test_other_addresses_are_public(address: str) -> None:
    assert PeerPolicy([PUBLIC]).ports(address) is None
    assert PeerPolicy([PUBLIC]).allows((address, 5000))


@given(st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)))
def test_nothing_public_is_special_to_python(address: object) -> None:
    parsed = ip_address(str(address))
    if is_public(parsed):
        assert parsed.is_global
        assert not parsed.is_multicast


def test_an_allow_list_opens_what_it_names_and_nothing_else() -> None:
    policy = PeerPolicy(["10.1.0.0/16", "fd00::/8"])

    assert policy.allows(("10.1.2.3", 1))
    assert policy.allows(("fd00::1", 1))
    assert not policy.allows(("10.2.0.1", 1))
    assert not policy.allows(("8.8.8.8", 1))


def test_public_can_be_named_beside_others() -> None:
    policy = PeerPolicy([PUBLIC, "10.0.0.0/8"])

    assert policy.allows(("8.8.8.8", 1))
    assert policy.allows(("10.0.0.1", 1))
    assert not policy.allows(("192.168.0.1", 1))


@pytest.mark.parametrize(
    "address", ["0.0.0.0", "224.0.0.1", "255.255.255.255", "::", "ff02::1", "::ffff:10.0.0.1"]
)
def test_what_is_no_single_host_is_never_open(address: str) -> None:
    policy = PeerPolicy(["0.0.0.0/0", "::/0"])
    policy.replace_pushed([PeerEntry(ip_address(address))])

    assert not policy.allows((address, 1))


def test_pushed_entries_open_private_addresses_and_are_replaced() -> None:
    policy = PeerPolicy([])
    first, second = ip_address("10.0.0.1"), ip_address("10.0.0.2")

    policy.replace_pushed([PeerEntry(first), PeerEntry(second, 7), PeerEntry(second, 8)])

    assert policy.ports("10.0.0.1") is None
    assert policy.ports("10.0.0.2") == frozenset({7, 8})
    assert policy.allows(("10.0.0.2", 8))
    assert not policy.allows(("10.0.0.2", 9))
    assert policy.pushed_count == 2
    policy.replace_pushed([PeerEntry(second, 7), PeerEntry(second)])
    assert policy.ports("10.0.0.1") == DENIED
    assert policy.ports("10.0.0.2") is None


def test_own_listeners_are_open_only_by_address_and_port() -> None:
    policy = PeerPolicy(["10.0.0.0/8"], own=[("10.0.0.9", 3478)])

    assert not policy.allows(("10.0.0.9", 3478))
    assert policy.allows(("10.0.0.9", 3479))
    policy.replace_pushed([PeerEntry(ip_address("10.0.0.9"))])
    assert not policy.allows(("10.0.0.9", 3478))
    policy = PeerPolicy([], own=[("10.0.0.9", 3478)])
    policy.replace_pushed([PeerEntry(ip_address("10.0.0.9"), 3478)])
    assert policy.allows(("10.0.0.9", 3478))


ENCODINGS_OF_10_0_0_1 = [
    "::10.0.0.1",
    "::ffff:0:10.0.0.1",
    "64:ff9b::10.0.0.1",
    "64:ff9b:1::10.0.0.1",
    "2002:a00:1::1",
    "2001:0:a00:1::f5ff:fffe",
    "2001:0:808:808::f5ff:fffe",
    "2001:0:a00:1::f7f7:f7f7",
    "2620:fe::5efe:10.0.0.1",
    "2620:fe::200:5efe:10.0.0.1",
]


@pytest.mark.parametrize("address", ENCODINGS_OF_10_0_0_1)
def test_an_encoding_opens_nothing_that_its_ipv4_address_would_not(address: str) -> None:
    peer = (str(ip_address(address)), 5000)

    assert not PeerPolicy(["::/0"]).allows(peer)
    assert not PeerPolicy(["::/0", PUBLIC]).allows(peer)
    with_ipv4 = PeerPolicy(["::/0", "10.0.0.0/8", "8.8.8.8/32"])
    assert with_ipv4.allows(peer) == ("64:ff9b:1:" not in address)


def test_a_named_encoding_of_an_open_address_is_open() -> None:
    policy = PeerPolicy([PUBLIC, "64:ff9b::/96"])

    assert policy.allows(("64:ff9b::808:808", 5000))
    assert not policy.allows(("64:ff9b::a00:1", 5000))
    assert not policy.allows(("64:ff9b::a9fe:a9fe", 5000))


def test_local_nat64_is_open_only_where_it_is_named() -> None:
    address = ("64:ff9b:1:2::808:808", 5000)

    assert not PeerPolicy(["64::/16", PUBLIC]).allows(address)
    assert PeerPolicy(["64:ff9b:1:2::/96"]).allows(address)


@pytest.mark.parametrize("address", [*ENCODINGS_OF_10_0_0_1, "::1"])
def test_an_entry_of_one_address_opens_that_address(address: str) -> None:
    peer = (str(ip_address(address)), 5000)

    assert PeerPolicy([f"{address}/128"]).allows(peer)
    policy = PeerPolicy([])
    policy.replace_pushed([PeerEntry(ip_address(address))])
    assert policy.allows(peer)


def test_an_ipv4_mapped_address_is_never_a_peer() -> None:
    policy = PeerPolicy(["::/0", "0.0.0.0/0", "::ffff:8.8.8.8/128"])
    policy.replace_pushed([PeerEntry(ip_address("::ffff:8.8.8.8"))])

    assert not policy.allows(("::ffff:8.8.8.8", 5000))


def test_port_0_is_no_peer() -> None:
    assert not PeerPolicy([PUBLIC]).allows(("8.8.8.8", 0))


@pytest.mark.parametrize("network", SPECIAL, ids=str)
def test_every_entry_of_the_registries_is_written_as_a_network(network: IPNetwork) -> None:
    addresses = (network.network_address, network.broadcast_address)

    assert not any(is_public(address) for address in addresses)
