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
        ({"listen": ("tls://0.0.0.0:5349",)}, "this release listens on UDP only"),
        ({"listen": ("udp://localhost:3478",)}, "host names are not resolved"),
        ({"listen": ("udp://::1:3478",)}, "for IPv6 [IP]:PORT"),
        ({"listen": ("udp://127.0.0.1:70000",)}, "port 70000 is above 65535"),
        ({"relay_address": "0.0.0.0"}, "--relay-address: 0.0.0.0 is not the address of one host"),
        ({"relay_address": "here"}, "--relay-address: "),
        ({"external_address": "2001:db8::1"}, "--external-address: it must be of the same family"),
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


def test_says_which_address_it_advertises_and_why() -> None:
    assert settings().advertised == ("10.0.0.1", "--relay-address")
    external = settings(external_address="198.51.100.1")
    assert external.advertised == ("198.51.100.1", "--external-address")


def test_own_addresses_of_a_wildcard_are_all_that_are_known() -> None:
    known = settings(external_address="198.51.100.1", pod_address="10.0.0.5")

    own = known.own_addresses([("0.0.0.0", 3478), ("10.0.0.6", 9090)])

    assert ("10.0.0.6", 9090) in own
    hosts = {host for host, port in own if port == 3478}
    assert hosts == {"10.0.0.1", "198.51.100.1", "10.0.0.5", "127.0.0.1", "::1"}


@pytest.mark.parametrize("text", ["127.0.0.1:3478", "[::1]:0", "0.0.0.0:65535"])
def test_addresses_are_read_and_written_alike(text: str) -> None:
    assert format_address(parse_address(text)) == text


def test_an_admin_interface_with_keys_may_listen_anywhere() -> None:
    open_to_all = settings(admin="0.0.0.0:9091", admin_keys_file=Path("keys.json"))

    assert open_to_all.admin == "0.0.0.0:9091"


def test_users_alone_are_enough() -> None:
    assert settings(secret_file=None, user_file="users").user_file == Path("users")


def test_relayed_addresses_are_peers_only_with_hairpin() -> None:
    more = {"external_address": "192.0.2.1", "pod_address": "10.0.0.2"}

    assert settings(**more).relayed_hosts == {"10.0.0.1", "10.0.0.2", "192.0.2.1"}
    assert settings(**more, allow_hairpin=True).relayed_hosts == frozenset()
