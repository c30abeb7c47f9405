"""Settings: what is taken, and how a bad one is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from callfleet_engine.__main__ import main
from callfleet_engine.settings import Endpoint, InvalidSettings, Settings, flag, load


@pytest.mark.parametrize(
    ("text", "endpoint", "loopback"),
    [
        ("127.0.0.1:8080", Endpoint(host="127.0.0.1", port=8080), True),
        ("localhost:0", Endpoint(host="localhost", port=0), True),
        ("[::1]:9091", Endpoint(host="::1", port=9091), True),
        ("[::]:9091", Endpoint(host="::", port=9091), False),
        (":8080", Endpoint(host="0.0.0.0", port=8080), False),
        ("calls.example.org:80", Endpoint(host="calls.example.org", port=80), False),
    ],
)
def test_endpoint(text: str, endpoint: Endpoint, loopback: bool) -> None:
    settings = load({"listen": text, "open": True})
    assert settings.listen == endpoint
    assert settings.listen.loopback is loopback


def test_what_it_prints_it_reads() -> None:
    for text in ("127.0.0.1:8080", "[::1]:9091"):
        assert str(load({"listen": text, "open": True}).listen) == text


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({}, "--keys-file is missing"),
        ({"open": True, "keys_file": Path("keys.json")}, "exclude each other"),
        ({"open": True, "listen": "8080"}, "--listen: '8080' is not HOST:PORT"),
        ({"open": True, "listen": "a:70000"}, "--listen: 'a:70000' is not HOST:PORT"),
        ({"open": True, "media_address": "example.org"}, "--media-address: 'example.org' is not"),
        ({"open": True, "media_address": "0.0.0.0"}, "--media-address: 0.0.0.0 is no address"),
        ({"open": True, "media_address": "fe80::1"}, "--media-address: fe80::1 is no address"),
        ({"open": True, "media_address": ()}, "--media-address is empty"),
        ({"open": True, "media_address": ("10.0.0.1", "10.0.0.2")}, "at most one address of IPv4"),
        ({"open": True, "media_port": 70_000}, "--media-port: "),
        ({"open": True, "external_address": "2001:db8::1"}, "of IPv6; give a --media-address"),
        ({"open": True, "external_address": "x"}, "--external-address: 'x' is not"),
        ({"open": True, "advertise": "both"}, "--advertise both needs --external-address"),
        ({"open": True, "database": "mysql://x"}, "--database: "),
        ({"open": True, "turn": ("http://x",)}, "--turn: 'http://x' is no TURN URL"),
        ({"open": True, "turn": ("turn:x:3478",)}, "--turn and --turn-secret-file belong together"),
        ({"open": True, "turn_keys_directory": Path("d")}, "--consumer"),
        ({"open": True, "capacity": 0}, "--capacity: "),
        ({"open": True, "turn_credential_lifetime": 5}, "--turn-credential-lifetime: "),
        ({"open": True, "allowed_origins": ("example.org",)}, "--allowed-origins: 'example.org'"),
    ],
)
def test_a_bad_setting_is_refused_by_its_flag(values: dict[str, object], says: str) -> None:
    with pytest.raises(InvalidSettings, match=says.replace(".", r"\.")):
        load(values)


def test_a_pods_addresses_come_with_commas() -> None:
    """As status.podIPs of the downward API."""
    settings = load({"open": True, "media_address": ("10.0.0.7,fd00::7",)})
    assert settings.media_address == ("10.0.0.7", "fd00::7")
    assert settings.advertise_mode == "internal"
    assert load({"open": True, "external_address": "192.0.2.7"}).advertise_mode == "external"


def test_all_that_is_wrong_is_said_at_once() -> None:
    with pytest.raises(InvalidSettings) as refused:
        load({"open": True, "listen": "x", "capacity": 0})
    assert len(str(refused.value).splitlines()) == 2


def test_a_password_is_never_quoted() -> None:
    with pytest.raises(InvalidSettings) as refused:
        load({"open": True, "database": "postgresql://ada:hush@@db/calls"})
    assert "hush" not in str(refused.value)


def test_settings_are_frozen_and_pods_differ() -> None:
    assert load({"open": True}).pod_uid != load({"open": True}).pod_uid
    with pytest.raises(ValueError, match="frozen"):
        load({"open": True}).capacity = 7  # type: ignore[misc]  # what is under test


def test_every_field_has_a_flag() -> None:
    flags = {option for parameter in main.params for option in parameter.opts}
    assert {flag(field) for field in Settings.model_fields} <= flags
