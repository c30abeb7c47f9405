from __future__ import annotations

import hmac
from pathlib import Path

import pytest
from aioice import stun
from aioice.stun import Class, Method
from hypothesis import given, settings
from hypothesis import strategies as st

from callfleet_relay.credentials import PasswordAlgorithm, long_term_key, userhash
from callfleet_relay.message import (
    MAX_ATTRIBUTES,
    Attribute,
    IntegrityKey,
    MalformedMessageError,
    data_indication,
    encode,
    integrity_sha256,
    pack_address,
    parse,
    unpack_address,
)

from .fuzzing import EXAMPLES

FIXTURES = Path(__file__).parent / "fixtures"
SHORT_TERM_KEY = b"VOkJxbRl1RmTxUk/WvJxBt"
TRANSACTION = b"transaction!"
MATRIX = "\u30de\u30c8\u30ea\u30c3\u30af\u30b9"
MATRIX_MD5 = long_term_key(MATRIX, "example.org", "TheMatrIX")
MATRIX_SHA256 = long_term_key(MATRIX, "example.org", "TheMatrIX", PasswordAlgorithm.SHA256)
ALICE = long_term_key("alice", "test", "password")
AS_PRINTED = "rfc8489-b.1-as-printed"
GOOD = sorted(
    path.stem
    for path in FIXTURES.glob("*.hex")
    if not path.stem.startswith("bad-") and path.stem != AS_PRINTED
)
UNSIGNED = {"turnutils-allocate-unsigned", "turnutils-send"}
KEYS = {
    "rfc5769-2.1-request": SHORT_TERM_KEY,
    "rfc5769-2.2-response-ipv4": SHORT_TERM_KEY,
    "rfc5769-2.3-response-ipv6": SHORT_TERM_KEY,
    "rfc5769-2.4-request-long-term": MATRIX_MD5,
    "rfc8489-b.1-corrected": MATRIX_SHA256,
}
"""Of vectors that are not signed by alice."""


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

    assert message.first(Attribute.USERNAME) == MATRIX.encode()
    assert message.has_integrity(MATRIX_MD5)
    assert not message.has_fingerprint


def test_the_vector_with_sha256_proves_keys_and_hashed_names() -> None:
    """As printed in RFC 8489 appendix B.1 its length is 20 too large, and its HMAC made so."""
    data = fixture(AS_PRINTED)

    with pytest.raises(MalformedMessageError, match="length field"):
        parse(data)
    assert int.from_bytes(data[2:4], "big") == len(data)
    assert hmac.digest(MATRIX_SHA256, data[:-36], "sha256") == data[-32:]
    assert userhash(MATRIX, "example.org") in data


def test_reads_the_vector_with_sha256_in_its_right_length() -> None:
    data = fixture("rfc8489-b.1-corrected")

    message = parse(data)

    assert message.first(Attribute.USERHASH) == userhash(MATRIX, "example.org")
    assert message.signed is None
    assert message.has_integrity(MATRIX_SHA256)
    assert not message.has_integrity(MATRIX_SHA256[:-1])
    again = encode(
        message.method,
        message.message_class,
        message.transaction_id,
        message.attributes[:-1],
        key=IntegrityKey(MATRIX_SHA256, sha256=True),
    )
    assert again == data


@pytest.mark.parametrize(
    ("name", "method"),
    [
        ("turnutils-allocate-unsigned", Method.ALLOCATE),
        ("turnutils-allocate", Method.ALLOCATE),
        ("turnutils-refresh", Method.REFRESH),
        ("turnutils-create-permission", Method.CREATE_PERMISSION),
        ("turnutils-channel-bind", Method.CHANNEL_BIND),
        ("turnutils-send", Method.SEND),
    ],
)
def test_reads_what_another_client_wrote(name: str, method: Method) -> None:
    message = parse(fixture(name))

    assert message.method == method
    assert message.unknown_required() == []
    assert message.is_signed == (name not in UNSIGNED)
    assert message.has_integrity(ALICE) == message.is_signed


@pytest.mark.parametrize("name", GOOD)
def test_a_cut_message_is_refused_wherever_it_is_cut(name: str) -> None:
    data = fixture(name)

    for length in range(len(data)):
        with pytest.raises(MalformedMessageError):
            parse(data[:length])


@pytest.mark.parametrize("name", [name for name in GOOD if name not in UNSIGNED])
def test_a_message_with_a_changed_byte_is_refused_or_not_signed(name: str) -> None:
    data, key = fixture(name), KEYS.get(name, ALICE)
    whole = parse(data)
    assert whole.has_integrity(key)

    # FINGERPRINT is behind the signature and proves nothing.
    for position in range(len(data) - (8 if whole.has_fingerprint else 0)):
        changed = bytearray(data)
        changed[position] ^= 0x41
        try:
            message = parse(bytes(changed))
        except MalformedMessageError:
            continue
        assert not message.has_integrity(key), position


@pytest.mark.parametrize("name", sorted(path.stem for path in FIXTURES.glob("bad-*.hex")))
def test_refuses_malformed_messages(name: str) -> None:
    with pytest.raises(MalformedMessageError):
        parse(fixture(name))


def test_ignores_what_follows_message_integrity() -> None:
    signed = encode(Method.REFRESH, Class.REQUEST, TRANSACTION, [], key=b"key")

    message = parse(with_attribute(signed, Attribute.LIFETIME, bytes([0, 0, 0, 9])))

    assert message.has_integrity(b"key")
    assert message.first(Attribute.LIFETIME) is None


def test_of_two_signatures_the_stronger_one_counts() -> None:
    weak = encode(Method.REFRESH, Class.REQUEST, TRANSACTION, [], key=b"key")
    right = integrity_sha256(weak, b"key")

    assert parse(with_attribute(weak, 0x001C, right)).has_integrity(b"key")
    assert not parse(with_attribute(weak, 0x001C, bytes(32))).has_integrity(b"key")


def test_ignores_what_follows_message_integrity_sha256() -> None:
    key = IntegrityKey(b"key", sha256=True)
    data = encode(Method.REFRESH, Class.REQUEST, TRANSACTION, [], key=key)
    for kind, value in ((0x0008, bytes(20)), (0x000D, bytes(4)), (0x001C, bytes(32))):
        data = with_attribute(data, kind, value)

    message = parse(data)

    assert message.has_integrity(b"key")
    assert [kind for kind, _ in message.attributes] == [Attribute.MESSAGE_INTEGRITY_SHA256]


def with_attribute(data: bytes, kind: int, value: bytes) -> bytes:
    """A message with one attribute more at its end."""
    data += kind.to_bytes(2, "big") + len(value).to_bytes(2, "big") + value
    return data[:2] + (len(data) - 20).to_bytes(2, "big") + data[4:]


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
        st.integers(0, 0xFFFF).filter(lambda k: k not in {0x0008, 0x001C, 0x8028}),
        st.binary(max_size=40),
    ),
    max_size=MAX_ATTRIBUTES - 2,
)


def framed(bodies: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    """Bodies behind a header that is right, so that the attributes are what is looked at."""

    def with_header(kind: int, body: bytes) -> bytes:
        body = body[: len(body) // 4 * 4]
        head = kind.to_bytes(2, "big") + len(body).to_bytes(2, "big")
        return head + stun.COOKIE.to_bytes(4, "big") + TRANSACTION + body

    return st.builds(with_header, st.integers(0, 0x3FFF), bodies)


@given(attribute_lists, st.binary(min_size=1, max_size=30), st.booleans(), st.booleans())
def test_reads_what_it_writes(
    attributes: list[tuple[int, bytes]], secret: bytes, sha256: bool, fingerprint: bool
) -> None:
    key = IntegrityKey(secret, sha256)
    data = encode(
        Method.ALLOCATE, Class.ERROR, TRANSACTION, attributes, key=key, fingerprint=fingerprint
    )

    message = parse(data)

    assert list(message.attributes)[:-1] == attributes
    assert message.has_integrity(secret)
    assert message.has_fingerprint is fingerprint
    assert (message.method, message.message_class) == (Method.ALLOCATE, Class.ERROR)


@settings(max_examples=EXAMPLES)
@given(st.one_of(st.binary(max_size=200), framed(st.binary(max_size=200))))
def test_fuzzed_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        message = parse(data)
    except MalformedMessageError:
        return
    assert len(message.attributes) <= MAX_ATTRIBUTES
