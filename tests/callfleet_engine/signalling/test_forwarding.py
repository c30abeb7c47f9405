"""Addresses of owners, and what their first answer says."""

from __future__ import annotations

import pytest

from callfleet_engine.signalling.forwarding import refusal_code, with_port


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("10.0.0.7", "10.0.0.7:8080"),
        ("10.0.0.7:81", "10.0.0.7:81"),
        ("engine-0", "engine-0:8080"),
        ("fd00::7", "[fd00::7]:8080"),
        ("[fd00::7]", "[fd00::7]:8080"),
        ("[fd00::7]:81", "[fd00::7]:81"),
    ],
)
def test_with_port(address: str, expected: str) -> None:
    assert with_port(address) == expected


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        ('{"type": "joined"}', None),
        ('{"type": "error", "code": "full"}', "full"),
        ('{"type": "error", "code": "of_a_later_release"}', "internal"),
    ],
)
def test_refusal_code(answer: str, code: str | None) -> None:
    assert refusal_code(answer) == code
