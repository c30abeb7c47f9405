"""Which pages may connect."""

from __future__ import annotations

import pytest

from callfleet_engine.signalling.origin import allowed


@pytest.mark.parametrize(
    ("origin", "others", "expected"),
    [
        (None, (), True),
        ("https://calls.example.org", (), True),
        ("http://calls.example.org", (), True),
        ("https://calls.example.org:8443", (), False),
        ("https://evil.example.org", (), False),
        ("https://evil.example.org", ("https://app.example.org",), False),
        ("https://app.example.org", ("https://app.example.org",), True),
        ("https://evil.example.org", ("*",), True),
        ("null", (), False),
        ("", (), False),
    ],
)
def test_allowed(origin: str | None, others: tuple[str, ...], expected: bool) -> None:
    assert allowed(origin, "calls.example.org", others) is expected
