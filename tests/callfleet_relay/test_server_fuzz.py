"""Whatever arrives: nothing raises, and nobody unauthenticated gains by it."""

from __future__ import annotations

from aioice.stun import Class, Method
from hypothesis import given, settings
from hypothesis import strategies as st

from callfleet_relay.events import Dropped, Reply
from callfleet_relay.message import Attribute, encode
from callfleet_relay.nonces import NONCE_LENGTH

from .fuzzing import EXAMPLES
from .support import PUBLIC_PEER, REALM, UDP, Client, make_world

CHALLENGE_LIMIT = 20 + 8 + 4 + len(REALM) + 4 + NONCE_LENGTH + 12 + 8
"""A challenge: header, ERROR-CODE, REALM, NONCE, PASSWORD-ALGORITHMS and FINGERPRINT."""

methods = st.sampled_from([*Method, 0x00B, 0x7FF])
attributes = st.lists(
    st.tuples(
        st.sampled_from([*(int(kind) for kind in Attribute), 0x7FFF, 0x8FFF]),
        st.one_of(st.binary(max_size=24), st.just(bytes([17, 0, 0, 0]))),
    ),
    max_size=8,
)


@settings(max_examples=EXAMPLES)
@given(st.binary(max_size=300))
def test_random_bytes_are_dropped_or_answered_shortly(data: bytes) -> None:
    events = Client(make_world()).world.receive(data, Client(make_world()).five_tuple)

    assert all(
        isinstance(event, Dropped) or len(event.data) <= 100
        for event in events
        if isinstance(event, Dropped | Reply)
    )


@settings(max_examples=EXAMPLES)
@given(methods, st.sampled_from(list(Class)), attributes, st.booleans())
def test_a_stranger_gets_one_short_answer_at_most(
    method: int, message_class: Class, body: list[tuple[int, bytes]], fingerprint: bool
) -> None:
    world = make_world()
    data = encode(method, message_class, b"transaction!", body, fingerprint=fingerprint)

    events = world.receive(data, Client(world).five_tuple)

    replies = [event for event in events if isinstance(event, Reply)]
    assert len(replies) <= 1
    assert all(len(reply.data) <= max(CHALLENGE_LIMIT, len(data) + 40) for reply in replies)
    assert world.server.allocations == 0
    assert world.server.next_timer() is None


@settings(max_examples=EXAMPLES)
@given(st.integers(0, 400), st.integers(1, 255), st.integers(0, 400))
def test_a_changed_bit_or_a_cut_never_passes_as_signed(
    position: int, flip: int, length: int
) -> None:
    client = Client(make_world())
    client.allocate()
    client.permit(PUBLIC_PEER)
    request = bytearray(client.build(Method.REFRESH, [(Attribute.LIFETIME, bytes(4))]))
    if position < len(request):
        request[position] ^= flip
        client.send(bytes(request))
    client.send(bytes(request[: min(length, len(request) - 1)]))

    assert client.world.server.allocations == 1


@settings(max_examples=EXAMPLES)
@given(methods, attributes)
def test_signed_nonsense_is_answered_and_signed(method: int, body: list[tuple[int, bytes]]) -> None:
    client = Client(make_world())
    client.allocate()
    kinds = {Attribute.MESSAGE_INTEGRITY, Attribute.FINGERPRINT}
    kinds |= {Attribute.USERNAME, Attribute.REALM, Attribute.NONCE, Attribute.USERHASH}
    kinds |= {Attribute.MESSAGE_INTEGRITY_SHA256}
    kinds |= {Attribute.PASSWORD_ALGORITHM, Attribute.PASSWORD_ALGORITHMS}
    plain = [(kind, value) for kind, value in body if kind not in kinds]

    replies = client.send(
        client.build(Method(method) if method in list(Method) else Method.SEND, [UDP, *plain])
    )

    signed = method in {Method.ALLOCATE, Method.REFRESH, Method.CREATE_PERMISSION}
    assert all(reply.has_integrity(client.credential.key) for reply in replies if signed)
    assert client.world.server.allocations <= 1
