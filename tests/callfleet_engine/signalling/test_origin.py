"""Which pages may connect."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
        ("http://[", (), False),
    ],
)
def test_allowed(origin: str | None, others: tuple[str, ...], expected: bool) -> None:
    assert allowed(origin, "calls.example.org", others) is expected


@given(st.text(), st.text())
def test_any_origin_is_judged(origin: str, host: str) -> None:
    for text in (origin, f"https://{origin}"):
        assert allowed(text, host, ()) in {True, False}
