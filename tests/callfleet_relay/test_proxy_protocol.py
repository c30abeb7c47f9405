from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callfleet_relay.message import Address
from callfleet_relay.transport.proxy_protocol import (
    MAX_LENGTH,
    SIGNATURE,
    ProxyHeaderError,
    ProxyHeaderReader,
)

FIXTURES = Path(__file__).parent / "fixtures" / "proxy"
CLIENTS: dict[str, Address | None] = {
    "ipv4": ("198.51.100.7", 40000),
    "ipv4-with-extensions": ("198.51.100.7", 40000),
    "ipv6": ("2001:db8::7", 40000),
    "local": None,
    "local-with-addresses": None,
    "unspecified": None,
}
BAD = sorted(path.stem for path in FIXTURES.glob("bad-*.hex"))


def fixture(name: str) -> bytes:
    return bytes.fromhex((FIXTURES / f"{name}.hex").read_text())


def read(stream: bytes, step: int) -> tuple[ProxyHeaderReader, bytes]:
    """A reader that got at most `step` bytes at a time, and what it left."""
    reader = ProxyHeaderReader()
    while stream and not reader.is_complete:
        size = min(step, reader.wanted)
        reader.feed(stream[:size])
        stream = stream[size:]
    return reader, stream


@pytest.mark.parametrize("name", CLIENTS)
@pytest.mark.parametrize("step", [1, 7, 4096])
def test_says_who_the_client_is_and_takes_no_byte_more(name: str, step: int) -> None:
    reader, rest = read(fixture(name) + b"what follows", step)

    assert reader.is_complete
    assert reader.client == CLIENTS[name]
    assert rest == b"what follows"


def test_there_are_fixtures_of_what_is_refused() -> None:
    assert len(BAD) == 11


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("step", [1, 4096])
def test_what_is_no_header_is_refused(name: str, step: int) -> None:
    with pytest.raises(ProxyHeaderError):
        read(fixture(name), step)


@pytest.mark.parametrize("name", CLIENTS)
def test_a_truncated_header_is_never_complete(name: str) -> None:
    data = fixture(name)
    for end in range(len(data)):
        reader, _ = read(data[:end], 4096)
        assert not reader.is_complete
        assert reader.wanted > 0


@given(st.binary(max_size=300), st.booleans(), st.integers(1, 40))
def test_any_bytes_are_bounded_or_refused(data: bytes, signed: bool, step: int) -> None:
    try:
        reader, _ = read(SIGNATURE + data if signed else data, step)
    except ProxyHeaderError:
        return
    assert reader.is_complete or 0 < reader.wanted <= 16 + MAX_LENGTH
