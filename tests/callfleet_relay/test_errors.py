"""Each error answer is provoked by each of its causes, in the words of docs/relay.md."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address

import pytest
from aioice.stun import Method

from callfleet_relay.errors import ErrorCode
from callfleet_relay.message import Attribute, Message
from callfleet_relay.nonces import NONCE_LIFETIME
from callfleet_relay.peer_connections import CONNECT_SECONDS, MAX_PER_ALLOCATION
from callfleet_relay.peers import PeerEntry
from callfleet_relay.permissions import MAX_CHANNELS, MAX_PERMISSIONS
from callfleet_relay.rates import allocation_rate

from .support import (
    PUBLIC_PEER,
    SECRET,
    STREAM,
    TCP,
    UDP,
    UNIX,
    V6_PEER,
    Client,
    World,
    attribute,
    channel_number,
    error_of,
    make_world,
    plain_credential,
)
from .test_tcp_relay import (
    ask_to_connect,
    bind,
    connected,
    data_client,
    replies,
    started,
    tcp_client,
)

IPV6_FAMILY = attribute(Attribute.REQUESTED_ADDRESS_FAMILY, b"\2\0\0\0")
NO_TICKET_YET = attribute(Attribute.MOBILITY_TICKET, b"")
FORGED_TICKET = attribute(Attribute.MOBILITY_TICKET, b"t" * 32)
PRIVATE_PEER = ("10.0.0.1", 5000)

Provoke = Callable[[], Message]


def client_of(world: World | None = None, user: str = "alice", port: int = 40000) -> Client:
    return Client(world or make_world(), ("198.51.100.7", port), plain_credential(user))


def allocated(world: World | None = None, user: str = "alice", port: int = 40000) -> Client:
    client = client_of(world, user, port)
    assert error_of(client.allocate()) is None
    return client


def draining(*alternatives: tuple[str, int]) -> World:
    world = make_world()
    world.server.replace_alternatives(alternatives)
    world.server.gate.drain("d")
    return world


def challenge() -> Message:
    client = client_of()
    (reply,) = client.send(client.build(Method.ALLOCATE, [UDP]))
    return reply


def credential_of(*, expires: float = UNIX + 3600, secret: bytes = SECRET) -> Message:
    shown = plain_credential(expires=expires, secret=secret)
    return Client(make_world(), credential=shown).allocate()


def connect_that_a_new_list_denies() -> Message:
    world = make_world(allowed=())
    world.server.replace_peers([PeerEntry(ip_address(PRIVATE_PEER[0]))])
    started(tcp_client(world), PRIVATE_PEER)
    (reply,) = replies(world.server.replace_peers([]))
    return reply


def unknown_attribute() -> Message:
    return client_of().ask(Method.ALLOCATE, [UDP, (0x7777, b"")])


def move_to_an_allocation() -> Message:
    world = make_world()
    ticket = client_of(world).allocate(NO_TICKET_YET).first(Attribute.MOBILITY_TICKET)
    assert ticket
    other = allocated(world, port=40001)
    return other.ask(Method.REFRESH, [attribute(Attribute.MOBILITY_TICKET, ticket)])


def old_nonce() -> Message:
    client = client_of()
    client.ask(Method.REFRESH)
    client.world.sleep(NONCE_LIFETIME + 1)
    return client.allocate()


def nonce_of(client: Client) -> Message:
    """The answer to who uses this client's nonce somewhere else."""
    client.ask(Method.REFRESH)
    thief = Client(make_world(), ("203.0.113.9", 1), nonce=client.nonce)
    return thief.allocate()


def nonce_of_an_earlier_run() -> Message:
    return Client(make_world(), nonce=b"of an earlier run").allocate()


def other_user() -> Message:
    client = allocated()
    client.credential = plain_credential("mallory")
    return client.refresh()


def second_connect(*, answered: bool) -> Message:
    client = tcp_client()
    (connected if answered else started)(client)
    (reply,) = ask_to_connect(client)
    return reply


def refused_connect() -> Message:
    client = tcp_client()
    (reply,) = replies(client.world.server.tcp.failed(started(client)))
    return reply


def unanswered_connect() -> Message:
    client = tcp_client()
    started(client)
    (reply,) = replies(client.world.sleep(CONNECT_SECONDS))
    return reply


def second_of(world: World, user: str = "alice") -> Message:
    allocated(world)
    return client_of(world, user, 40001).allocate()


def beyond_the_rate() -> Message:
    world = make_world(allocation_rate=allocation_rate(1))
    return [client_of(world, port=40000 + number).allocate() for number in range(3)][-1]


def no_free_port() -> Message:
    world = make_world(ports=(50000, 50000), capacity=2)
    return second_of(world)


def too_many_connections() -> Message:
    client = tcp_client()
    for port in range(MAX_PER_ALLOCATION):
        started(client, (PUBLIC_PEER[0], port + 1))
    (reply,) = ask_to_connect(client)
    return reply


def too_many_permissions() -> Message:
    client = allocated()
    for number in range(MAX_PERMISSIONS):
        assert error_of(client.permit((f"8.8.{number // 250}.{1 + number % 250}", 1))) is None
    return client.permit(("8.9.9.9", 1))


def too_many_channels() -> Message:
    client = allocated()
    for number in range(MAX_CHANNELS):
        assert error_of(client.bind(0x4000 + number, (PUBLIC_PEER[0], 1 + number))) is None
    return client.bind(0x4000 + MAX_CHANNELS, (PUBLIC_PEER[0], 9999))


def rebound_channel() -> Message:
    client = allocated()
    client.bind(0x4000, PUBLIC_PEER)
    return client.bind(0x4000, (PUBLIC_PEER[0], 5001))


def connection_bound_twice() -> Message:
    client = tcp_client()
    number = connected(client)
    assert error_of(bind(data_client(client), number)) is None
    return bind(data_client(client, 50_001), number)


def contradiction() -> Message:
    additional = attribute(Attribute.ADDITIONAL_ADDRESS_FAMILY, b"\2\0\0\0")
    return client_of().allocate(IPV6_FAMILY, additional)


@dataclass(frozen=True)
class Cause:
    """Why a request is answered with an error."""

    code: ErrorCode
    words: str
    """In the table of docs/relay.md; the client is the one who ..."""
    provoke: Provoke

    def __str__(self) -> str:
        return f"{self.code.value} {self.words}"


CAUSES = [
    Cause(
        ErrorCode.TRY_ALTERNATE,
        "is sent to another server, as this one drains",
        lambda: client_of(draining(("192.0.2.8", 3478))).allocate(),
    ),
    Cause(
        ErrorCode.BAD_REQUEST,
        "sent a request that lacks an attribute",
        lambda: client_of().ask(Method.ALLOCATE),
    ),
    Cause(
        ErrorCode.BAD_REQUEST,
        "sent an attribute that says what it may not",
        lambda: allocated().ask(Method.CHANNEL_BIND, [channel_number(0x3FFF)]),
    ),
    Cause(ErrorCode.BAD_REQUEST, "sent attributes that contradict one another", contradiction),
    Cause(ErrorCode.BAD_REQUEST, "bound a channel that has another peer", rebound_channel),
    Cause(
        ErrorCode.BAD_REQUEST,
        "asked over UDP for TCP towards peers",
        lambda: client_of().ask(Method.ALLOCATE, [TCP]),
    ),
    Cause(
        ErrorCode.BAD_REQUEST,
        "named a TCP connection that does not wait for it",
        connection_bound_twice,
    ),
    Cause(
        ErrorCode.BAD_REQUEST,
        "came with a mobility ticket that is not good",
        lambda: client_of().ask(Method.REFRESH, [FORGED_TICKET]),
    ),
    Cause(
        ErrorCode.UNAUTHORIZED,
        "has shown no credential yet (the first Allocate of every client)",
        challenge,
    ),
    Cause(
        ErrorCode.UNAUTHORIZED,
        "has shown a wrong one",
        lambda: credential_of(secret=b"x" * 32),
    ),
    Cause(
        ErrorCode.UNAUTHORIZED,
        "has shown one that has expired",
        lambda: credential_of(expires=UNIX - 1),
    ),
    Cause(
        ErrorCode.UNAUTHORIZED,
        "has shown one that is valid for too long",
        lambda: credential_of(expires=UNIX + 100_000),
    ),
    Cause(
        ErrorCode.FORBIDDEN,
        "named a peer that the policy denies",
        lambda: allocated().permit(PRIVATE_PEER),
    ),
    Cause(
        ErrorCode.FORBIDDEN,
        "waits for a TCP connection with a peer that is denied meanwhile",
        connect_that_a_new_list_denies,
    ),
    Cause(
        ErrorCode.MOBILITY_FORBIDDEN,
        "asked for a mobility ticket where mobility is off",
        lambda: client_of(make_world(mobility=False)).allocate(NO_TICKET_YET),
    ),
    Cause(
        ErrorCode.MOBILITY_FORBIDDEN,
        "came with one there",
        lambda: client_of(make_world(mobility=False)).ask(Method.REFRESH, [FORGED_TICKET]),
    ),
    Cause(
        ErrorCode.MOBILITY_FORBIDDEN,
        "did so over TCP or TLS",
        lambda: Client(make_world(), listener=STREAM).allocate(NO_TICKET_YET),
    ),
    Cause(
        ErrorCode.UNKNOWN_ATTRIBUTE,
        "needs an attribute that the relay does not know (UNKNOWN-ATTRIBUTES names it)",
        unknown_attribute,
    ),
    Cause(
        ErrorCode.ALLOCATION_MISMATCH,
        "has an allocation on this 5-tuple already",
        lambda: allocated().allocate(),
    ),
    Cause(ErrorCode.ALLOCATION_MISMATCH, "has none", lambda: client_of().refresh()),
    Cause(
        ErrorCode.ALLOCATION_MISMATCH,
        "came with a mobility ticket to where it has another one",
        move_to_an_allocation,
    ),
    Cause(ErrorCode.STALE_NONCE, "has a nonce that is older than an hour", old_nonce),
    Cause(
        ErrorCode.STALE_NONCE,
        "has one of another address",
        lambda: nonce_of(client_of()),
    ),
    Cause(
        ErrorCode.STALE_NONCE,
        "has one of an earlier run of the relay (it asks again by itself)",
        nonce_of_an_earlier_run,
    ),
    Cause(
        ErrorCode.FAMILY_NOT_SUPPORTED,
        "asked for a family that the relay has no address of",
        lambda: client_of().allocate(IPV6_FAMILY),
    ),
    Cause(
        ErrorCode.WRONG_CREDENTIALS,
        "has other credentials than the allocation was made with",
        other_user,
    ),
    Cause(
        ErrorCode.UNSUPPORTED_TRANSPORT,
        "asked for TCP towards peers where that is off",
        lambda: Client(make_world(max_peer_connections=0), listener=STREAM).ask(
            Method.ALLOCATE, [TCP]
        ),
    ),
    Cause(
        ErrorCode.UNSUPPORTED_TRANSPORT,
        "asked for another protocol",
        lambda: client_of().ask(
            Method.ALLOCATE, [attribute(Attribute.REQUESTED_TRANSPORT, b"\x84\0\0\0")]
        ),
    ),
    Cause(
        ErrorCode.PEER_FAMILY_MISMATCH,
        "named a peer of another family than its address",
        lambda: allocated().permit(V6_PEER),
    ),
    Cause(
        ErrorCode.PEER_FAMILY_MISMATCH,
        "refreshed an address of a family that it has none of",
        lambda: allocated().ask(Method.REFRESH, [IPV6_FAMILY]),
    ),
    Cause(
        ErrorCode.CONNECTION_EXISTS,
        "has a TCP connection with this peer",
        lambda: second_connect(answered=True),
    ),
    Cause(
        ErrorCode.CONNECTION_EXISTS,
        "is about to have one",
        lambda: second_connect(answered=False),
    ),
    Cause(ErrorCode.CONNECTION_FAILED, "named a peer that refuses TCP", refused_connect),
    Cause(
        ErrorCode.CONNECTION_FAILED, "named one that has not answered for 30 s", unanswered_connect
    ),
    Cause(
        ErrorCode.QUOTA_REACHED,
        "is beyond the user's quota",
        lambda: second_of(make_world(per_user=1)),
    ),
    Cause(ErrorCode.QUOTA_REACHED, "is beyond the rate of its address", beyond_the_rate),
    Cause(
        ErrorCode.INSUFFICIENT_CAPACITY,
        "finds no room",
        lambda: second_of(make_world(capacity=1), user="bob"),
    ),
    Cause(ErrorCode.INSUFFICIENT_CAPACITY, "finds no free port", no_free_port),
    Cause(
        ErrorCode.INSUFFICIENT_CAPACITY,
        "brought a token of no reserved port",
        lambda: client_of().allocate(attribute(Attribute.RESERVATION_TOKEN, bytes(8))),
    ),
    Cause(
        ErrorCode.INSUFFICIENT_CAPACITY,
        "finds the relay draining",
        lambda: client_of(draining()).allocate(),
    ),
    Cause(
        ErrorCode.INSUFFICIENT_CAPACITY,
        "has too many TCP connections with peers",
        too_many_connections,
    ),
    Cause(ErrorCode.INSUFFICIENT_CAPACITY, "has too many permissions", too_many_permissions),
    Cause(ErrorCode.INSUFFICIENT_CAPACITY, "has too many channels", too_many_channels),
]


@pytest.mark.parametrize("cause", CAUSES, ids=str)
def test_each_cause_is_answered_with_its_error(cause: Cause) -> None:
    reply = cause.provoke()

    assert error_of(reply) == cause.code


def test_each_error_has_a_cause() -> None:
    assert {cause.code for cause in CAUSES} == set(ErrorCode)
