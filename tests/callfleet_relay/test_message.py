from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from aioice import stun
from aioice.stun import Class, Method
from hypothesis import given
from hypothesis import strategies as st

from callfleet_relay.message import (
    MAX_ATTRIBUTES,
    Attribute,
    MalformedMessageError,
    data_indication,
    encode,
    pack_address,
    parse,
    unpack_address,
)

FIXTURES = Path(__file__).parent / "fixtures"
SHORT_TERM_KEY = b"VOkJxbRl1RmTxUk/WvJxBt"
TRANSACTION = b"transaction!"


def fixture(name: str) -> bytes:
    return bytes.fromhex((FIXTURES / f"{name}.hex").read_text())


@pytest.mark.parametrize(
    ("name", "message_class", "address"),
    [
        ("rfc5769-2.1-request", Class.REQUEST, None),
        ("rfc5769-2.2-response-ipv4", Class.RESPONSE, ("192.0.2.1", 32853)),
        (
            "rfc5769-2.3-response-ipv6",
            Class.RESPONSE,
            ("2001:db8:1234:5678:11:2233:4455:6677", 32853),
        ),
    ],
)
def test_reads_the_vectors_with_short_term_credentials(
    name: str, message_class: Class, address: tuple[str, int] | None
) -> None:
    message = parse(fixture(name))

    assert (message.method, message.message_class) == (Method.BINDING, message_class)
    assert message.has_integrity(SHORT_TERM_KEY)
    assert not message.has_integrity(b"wrong")
    assert message.has_fingerprint
    mapped = message.first(Attribute.XOR_MAPPED_ADDRESS)
    assert (mapped and unpack_address(mapped, message.transaction_id)) == address


def test_reads_the_vector_with_long_term_credentials() -> None:
    message = parse(fixture("rfc5769-2.4-request-long-term"))

    username = "\u30de\u30c8\u30ea\u30c3\u30af\u30b9"
    key = hashlib.md5(f"{username}:example.org:TheMatrIX".encode()).digest()  # noqa: S324 - the RFC's
    assert message.first(Attribute.USERNAME) == username.encode()
    assert message.has_integrity(key)
    assert not message.has_fingerprint


@pytest.mark.parametrize("name", sorted(path.stem for path in FIXTURES.glob("bad-*.hex")))
def test_refuses_malformed_messages(name: str) -> None:
    with pytest.raises(MalformedMessageError):
        parse(fixture(name))


def test_ignores_what_follows_message_integrity() -> None:
    signed = encode(Method.REFRESH, Class.REQUEST, TRANSACTION, [], key=b"key")
    added = bytes([0, 0x0D, 0, 4, 0, 0, 0, 9])
    data = signed[:2] + (len(signed) - 20 + len(added)).to_bytes(2, "big") + signed[4:] + added

    message = parse(data)

    assert message.has_integrity(b"key")
    assert message.first(Attribute.LIFETIME) is None


def test_names_each_unknown_required_attribute_once() -> None:
    unknown = [(0x7FFF, b""), (0x7F00, b"abc"), (0x7FFF, b""), (0x8FFF, b"optional")]

    message = parse(encode(Method.BINDING, Class.REQUEST, TRANSACTION, unknown))

    assert message.unknown_required() == [0x7FFF, 0x7F00]


def test_first_of_repeated_attributes_counts_and_all_can_be_read() -> None:
    peers = [(Attribute.XOR_PEER_ADDRESS, bytes([n] * 8)) for n in range(3)]

    message = parse(encode(Method.CREATE_PERMISSION, Class.REQUEST, TRANSACTION, peers))

    assert message.first(Attribute.XOR_PEER_ADDRESS) == bytes(8)
    assert len(message.every(Attribute.XOR_PEER_ADDRESS)) == 3


def test_a_data_indication_is_read_by_aioice() -> None:
    data = data_indication(("192.0.2.9", 700), memoryview(b"payload"), TRANSACTION)

    message = stun.parse_message(data)

    assert message.message_method is Method.DATA
    assert message.attributes["XOR-PEER-ADDRESS"] == ("192.0.2.9", 700)
    assert message.attributes["DATA"] == b"payload"


def test_addresses_are_written_as_the_kernel_writes_them() -> None:
    packed = pack_address(("::ffff:192.0.2.1", 1), TRANSACTION)

    assert unpack_address(packed, TRANSACTION) == ("::ffff:192.0.2.1", 1)


attribute_lists = st.lists(
    st.tuples(
        st.integers(0, 0xFFFF).filter(lambda k: k not in {0x0008, 0x8028}), st.binary(max_size=40)
    ),
    max_size=MAX_ATTRIBUTES - 2,
)


@given(attribute_lists, st.binary(min_size=1, max_size=30), st.booleans())
def test_reads_what_it_writes(
    attributes: list[tuple[int, bytes]], key: bytes, fingerprint: bool
) -> None:
    data = encode(
        Method.ALLOCATE, Class.ERROR, TRANSACTION, attributes, key=key, fingerprint=fingerprint
    )

    message = parse(data)

    assert list(message.attributes)[:-1] == attributes
    assert message.has_integrity(key)
    assert message.has_fingerprint is fingerprint
    assert (message.method, message.message_class) == (Method.ALLOCATE, Class.ERROR)


@given(st.binary(max_size=200))
def test_random_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        message = parse(data)
    except MalformedMessageError:
        return
    assert len(message.attributes) <= MAX_ATTRIBUTES
