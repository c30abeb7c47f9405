from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from callfleet_relay.settings import Settings, describe, format_address, parse_address

SMALLEST = {"relay_address": "10.0.0.1", "secret_file": "secrets"}


def settings(**more: object) -> Settings:
    return Settings.model_validate(SMALLEST | more)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"listen": ("3478",)}, "--listen: '3478' is no listener: write udp://IP:PORT"),
        ({"listen": ("sctp://0.0.0.0:5349",)}, "write udp://IP:PORT, tcp://IP:PORT or tls://"),
        ({"listen": ("tls://0.0.0.0:5349",)}, "--cert: tls://0.0.0.0:5349 needs it"),
        ({"listen": ("tls://0.0.0.0:5349",), "cert": "c"}, "--key: tls://0.0.0.0:5349 needs it"),
        ({"cert": "c"}, "--cert: no listener takes it: add --listen tls://IP:PORT"),
        ({"proxy_protocol_from": ("10.0.0.1/8",)}, "--proxy-protocol-from: 10.0.0.1/8 has host"),
        ({"proxy_protocol_from": ("10.0.0.0/8",)}, "add --listen tcp:// or tls://"),
        ({"max_connections": 0}, "--max-connections: "),
        ({"max_connections_per_address": 0}, "--max-connections-per-address: "),
        ({"idle_limit": 0}, "--idle-limit: "),
        ({"listen": ("udp://localhost:3478",)}, "host names are not resolved"),
        ({"listen": ("udp://::1:3478",)}, "for IPv6 [IP]:PORT"),
        ({"listen": ("udp://127.0.0.1:70000",)}, "port 70000 is above 65535"),
        ({"relay_address": "0.0.0.0"}, "--relay-address: 0.0.0.0 is not the address of one host"),
        (
            {"relay_address": "here"},
            "--relay-address: 'here' is no IP address: name one of this machine",
        ),
        ({"external_address": "2001:db8::1"}, "--external-address: it must be of the same family"),
        ({"relay_address": ("10.0.0.1", "10.0.0.2")}, "--relay-address: two addresses are one of"),
        ({"external_address": ("192.0.2.1", "192.0.2.2")}, "--external-address: two of them are"),
        ({"external_address": ("host", "stun:a:1")}, "--external-address: two of them are one of"),
        ({"external_address": "relay.example"}, "or stun:HOST:PORT"),
        ({"external_address": "0.0.0.0"}, "--external-address: 0.0.0.0 is not the address of one"),
        ({"external_address": "stun:server"}, "'stun:server' is no STUN server"),
        ({"external_address": "stun:server:0"}, "is no STUN server: write stun:HOST:PORT"),
        ({"external_address": "stun:a b:3478"}, "is no STUN server: write stun:HOST:PORT"),
        ({"external_address": "host"}, "--host-address has no IPv4 address: give it"),
        ({"external_address": "host", "host_address": "::1"}, "--host-address has no IPv4"),
        ({"host_address": "node-1"}, "--host-address: 'node-1' does not appear to be an IPv4"),
        ({"relay_ports": "5-1"}, "--relay-ports: '5-1' is no range of ports"),
        ({"relay_ports": "50000-50009"}, "fewer ports than --max-allocations (2000)"),
        ({"allow_peer": ("10.0.0.1/8",)}, "write a CIDR such as 10.0.0.0/8, or 'public'"),
        ({"admin": "0.0.0.0:9091"}, "--admin: 0.0.0.0:9091 is open to others"),
        ({"max_allocations": 0}, "--max-allocations: "),
        ({"max_credential_lifetime": 1}, "--max-credential-lifetime: "),
        ({"metrics": "9090"}, "--metrics: '9090' is no address"),
        ({"realm": ""}, "--realm: "),
        ({"secret_file": None}, "--secret-file: without it and without --user-file nobody has"),
        ({"reply_rate": -1}, "--reply-rate: "),
        ({"allocation_rate": -1}, "--allocation-rate: "),
    ],
)
def test_bad_settings_name_the_flag_and_the_remedy(given: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError) as caught:
        settings(**given)

    assert message in describe(caught.value)


def test_settings_are_frozen() -> None:
    with pytest.raises(ValidationError):
        settings().realm = "other"  # type: ignore[misc] # that is the point


def test_the_default_allow_list_is_the_public_internet() -> None:
    assert settings().allowed_peers == ("public",)
    assert settings(allow_peer=("10.0.0.0/8",)).allowed_peers == ("10.0.0.0/8",)
    assert settings(peers_from_admin=True).allowed_peers == ()
    both = settings(peers_from_admin=True, allow_peer=("10.0.0.0/8",))
    assert both.allowed_peers == ("10.0.0.0/8",)


def test_own_addresses_of_a_wildcard_are_all_that_are_known() -> None:
    known = settings(
        external_address="198.51.100.1", pod_address="10.0.0.5", host_address="10.1.0.1"
    )

    own = known.own_addresses([("0.0.0.0", 3478), ("10.0.0.6", 9090)], ["198.51.100.1"])

    assert ("10.0.0.6", 9090) in own
    hosts = {host for host, port in own if port == 3478}
    assert hosts == {
        "10.0.0.1",
        "198.51.100.1",
        "10.0.0.5",
        "10.1.0.1",
        "127.0.0.1",
        "::1",
    }


def test_listeners_of_all_kinds_are_read() -> None:
    given = ("tls://[::1]:5349", "udp://127.0.0.1:3478", "tcp://127.0.0.1:3478")

    read = settings(listen=given, cert="c", key="k")

    assert tuple(str(listener) for listener in read.listeners) == given
    assert read.has_streams
    assert read.files == read.max_allocations + 2 * read.max_connections
    assert settings().files == settings().max_allocations
    both = settings(relay_address=("10.0.0.1", "fd00::1"))
    assert both.files == 2 * both.max_allocations


@pytest.mark.parametrize("text", ["stun:stun.example.org:3478", "stun:192.0.2.1:1", "stun:[::1]:9"])
def test_stun_servers_are_read_and_written_alike(text: str) -> None:
    assert str(settings(external_address=text).external(4)) == text


@pytest.mark.parametrize("text", ["127.0.0.1:3478", "[::1]:0", "0.0.0.0:65535"])
def test_addresses_are_read_and_written_alike(text: str) -> None:
    assert format_address(parse_address(text)) == text


def test_an_admin_interface_with_keys_may_listen_anywhere() -> None:
    open_to_all = settings(admin="0.0.0.0:9091", admin_keys_file=Path("keys.json"))

    assert open_to_all.admin == "0.0.0.0:9091"


def test_users_alone_are_enough() -> None:
    assert settings(secret_file=None, user_file="users").user_file == Path("users")


def test_relayed_addresses_are_peers_only_with_hairpin() -> None:
    seen = "192.0.2.1"
    mine = settings(pod_address="10.0.0.2")

    assert mine.relayed_hosts([seen]) == {"10.0.0.1", "10.0.0.2", seen}
    assert settings(allow_hairpin=True).relayed_hosts([seen]) == frozenset()
