"""What may be set, and what is refused with which remedy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from callfleet_operator.settings import ListenAddress, Settings, SettingsError

GOOD: dict[str, Any] = {
    "prometheus_url": "http://prometheus.monitoring:9090",
    "engine_image": "example.org/engine:1",
    "relay_image": "example.org/relay:1",
    "operator_namespace": "callfleet",
}


def test_what_is_needed_is_enough() -> None:
    settings = Settings(**GOOD)
    assert settings.namespaces == ()
    assert settings.tick == 15


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"prometheus_url": "prometheus:9090"}, "such as http://prometheus.monitoring:9090"),
        ({"prometheus_url": ""}, "such as http://prometheus.monitoring:9090"),
        ({"prometheus_url": "http://me:secret@p"}, "--prometheus-token-file"),
        ({"prometheus_url": "http://p/?x=1"}, "the base address only"),
        ({"prometheus_token_file": Path("/nowhere")}, "mount the Secret or remove the flag"),
        ({"prometheus_ca_file": Path("/nowhere")}, "--prometheus-ca-file names /nowhere"),
        ({"engine_image": ""}, "--engine-image is ''"),
        ({"relay_image": "a b"}, "--relay-image is 'a b'"),
        ({"operator_namespace": ""}, "this is no pod: name the namespace"),
        ({"namespaces": ("calls-*",)}, "patterns are not supported"),
        ({"namespaces": ("x" * 64,)}, "at most 63"),
        ({"tick": 0}, "--tick-seconds is 0: it must be between 1 and 300"),
        ({"lease_name": "No!"}, "--lease-name is 'No!'"),
        ({"pod_monitor_labels": (("release", "a b"),)}, "write a label as NAME=VALUE"),
        ({"workers": 0}, "--workers is 0"),
        ({"admin_timeout": float("nan")}, "--admin-timeout-seconds is nan"),
        ({"tick": 200, "health_max_age": 300}, "make it at least twice --tick-seconds"),
    ],
)
def test_what_is_refused(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(SettingsError) as caught:
        Settings(**GOOD | changes)
    assert says in str(caught.value)


def test_all_problems_are_named_at_once() -> None:
    with pytest.raises(SettingsError) as caught:
        Settings(**GOOD | {"prometheus_url": "x", "engine_image": "", "tick": 0})
    assert len(str(caught.value).splitlines()) == 3


def test_a_credential_is_not_repeated() -> None:
    with pytest.raises(SettingsError) as caught:
        Settings(**GOOD | {"prometheus_url": "http://me:geheim@p"})
    assert "geheim" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("0.0.0.0:9090", ListenAddress("0.0.0.0", 9090)),
        ("[::]:0", ListenAddress("::", 0)),
        ("localhost:65535", ListenAddress("localhost", 65535)),
    ],
)
def test_addresses(text: str, address: ListenAddress) -> None:
    assert ListenAddress.parse(text) == address


@pytest.mark.parametrize("text", ["", "9090", ":9090", "host:", "host:x", "host:65536", "host:-1"])
def test_addresses_that_are_none(text: str) -> None:
    with pytest.raises(ValueError, match=r"HOST:PORT|65535"):
        ListenAddress.parse(text)
