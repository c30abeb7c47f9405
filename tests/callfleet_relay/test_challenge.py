from __future__ import annotations

from aioice.stun import Class, Method

from callfleet_relay.events import Outcome, Reply
from callfleet_relay.message import Attribute, encode, parse

from .support import UDP, UNIX, Client, error_of, make_world, only, outcomes, plain_credential


def test_expired_credentials_get_no_allocation() -> None:
    client = Client(make_world(), credential=plain_credential(expires=UNIX - 1))

    assert error_of(client.allocate()) == 401
    assert outcomes(client) == [Outcome.EXPIRED]


def test_unknown_user_and_wrong_password_get_identical_replies() -> None:
    unknown = Client(make_world(), credential=plain_credential("bob", secret=b"x" * 32))
    unsigned = Client(make_world())
    replies = []
    for client in (unknown, unsigned):
        client.nonce = client.world.server.authenticator.challenge(
            client.address, client.world.now
        )[1][1]
        request = client.build(Method.ALLOCATE, [UDP], transaction_id=b"transaction!")
        if client is unsigned:
            request = encode(
                Method.ALLOCATE,
                Class.REQUEST,
                b"transaction!",
                [pair for pair in parse(request).attributes if pair[0] != 0x0008],
                key=b"wrong password",
            )
        (event,) = only([*client.world.receive(request, client.five_tuple)], Reply)
        replies.append(event.data)

    assert replies[0] == replies[1]


def test_a_stale_nonce_is_renewed() -> None:
    client = Client(make_world())
    client.allocate()
    client.nonce = b"stale"

    reply = client.refresh()

    assert error_of(reply) == 438
    client.nonce = reply.first(Attribute.NONCE)
    assert error_of(client.refresh()) is None
