"""TCP allocations: Connect, ConnectionBind, ConnectionAttempt and their errors (RFC 6062)."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from aioice.stun import Class, Method

from callfleet_relay.events import (
    AdmitPeer,
    BindPeer,
    ClosePeer,
    ConnectPeer,
    Event,
    OpenRelay,
    Outcome,
    PeerDenied,
    Reply,
    SendToPeer,
)
from callfleet_relay.message import (
    Address,
    Attribute,
    Message,
    TcpMethod,
    pack_address,
    parse,
    unpack_address,
)
from callfleet_relay.peer_connections import (
    BIND_SECONDS,
    CONNECT_SECONDS,
    MAX_PER_ALLOCATION,
    PeerResult,
)
from callfleet_relay.peers import PeerEntry

from .support import (
    PUBLIC_PEER,
    SECRET,
    STREAM,
    TCP,
    V6_PEER,
    Client,
    World,
    attribute,
    error_of,
    make_world,
    only,
    outcomes,
    plain_credential,
)


def tcp_client(world: World | None = None, port: int = 40000) -> Client:
    """A client over TCP with a TCP allocation."""
    client = Client(world or make_world(), ("198.51.100.7", port), listener=STREAM)
    assert error_of(client.ask(Method.ALLOCATE, [TCP])) is None
    return client


def ask_to_connect(client: Client, peer: Address = PUBLIC_PEER) -> list[Message]:
    transaction_id = client.transaction_id()
    value = attribute(Attribute.XOR_PEER_ADDRESS, pack_address(peer, transaction_id))
    return client.send(client.build(TcpMethod.CONNECT, [value], transaction_id=transaction_id))


def started(client: Client, peer: Address = PUBLIC_PEER) -> int:
    """Number of a connection that is being made."""
    assert ask_to_connect(client, peer) == []
    (event,) = only(client.events, ConnectPeer)
    assert event.peer == peer
    return event.connection


def connected(client: Client, peer: Address = PUBLIC_PEER) -> int:
    number = started(client, peer)
    (reply,) = replies(client.world.server.tcp.connected(number, client.world.now))
    assert error_of(reply) is None
    assert number_of(reply) == number
    return number


def bind(client: Client, number: int) -> Message:
    value = attribute(Attribute.CONNECTION_ID, number.to_bytes(4, "big"))
    return client.ask(TcpMethod.CONNECTION_BIND, [value])


def data_client(client: Client, port: int = 50_000) -> Client:
    """The same user's next connection."""
    return Client(client.world, (client.address[0], port), client.credential, listener=STREAM)


def replies(events: list[Event]) -> list[Message]:
    return [parse(event.data) for event in only(events, Reply)]


def number_of(message: Message) -> int:
    value = message.first(Attribute.CONNECTION_ID)
    assert value is not None
    return int.from_bytes(value, "big")


def results(client: Client) -> dict[PeerResult, int]:
    return {k: v for k, v in client.world.server.tcp.connections.results.items() if v}


def test_an_allocate_for_tcp_listens_for_tcp() -> None:
    client = tcp_client()

    assert only(client.events, OpenRelay)[0].tcp


@pytest.mark.parametrize(
    "more",
    [
        attribute(Attribute.EVEN_PORT, b"\0"),
        attribute(Attribute.DONT_FRAGMENT, b""),
        attribute(Attribute.RESERVATION_TOKEN, bytes(8)),
    ],
)
def test_what_belongs_to_datagrams_is_refused(more: tuple[int, bytes]) -> None:
    client = Client(make_world(), listener=STREAM)

    assert error_of(client.ask(Method.ALLOCATE, [TCP, more])) == 400


def test_tcp_is_for_clients_over_tcp() -> None:
    client = Client(make_world())

    assert error_of(client.ask(Method.ALLOCATE, [TCP])) == 400
    assert outcomes(client) == [Outcome.BAD_REQUEST]


def test_tcp_can_be_switched_off() -> None:
    client = Client(make_world(max_peer_connections=0), listener=STREAM)

    assert error_of(client.ask(Method.ALLOCATE, [TCP])) == 442
    assert outcomes(client) == [Outcome.UNSUPPORTED]
    assert ask_to_connect(client) == []


def test_a_tcp_allocation_relays_no_datagrams() -> None:
    client = tcp_client()
    client.permit(PUBLIC_PEER)

    assert error_of(client.bind(0x4000, PUBLIC_PEER)) == 400
    assert not only(client.send_indication(PUBLIC_PEER, b"x"), SendToPeer)


def test_a_connection_is_made_then_bound() -> None:
    client = tcp_client()
    number = connected(client)
    data = data_client(client)

    assert error_of(bind(data, number)) is None

    assert data.events[-1] == BindPeer(1, number, data.five_tuple)
    assert client.world.sleep(2 * BIND_SECONDS) == []
    assert results(client) == {PeerResult.CONNECTED: 1}


def test_a_bind_needs_no_challenge_of_its_own_from_the_same_host() -> None:
    client = tcp_client()
    number = connected(client)
    data = data_client(client)
    data.nonce = client.nonce
    elsewhere = Client(client.world, ("198.51.100.8", 1), client.credential, listener=STREAM)
    elsewhere.nonce = client.nonce

    assert error_of(bind(elsewhere, number)) == 438
    assert error_of(bind(data, number)) is None


def test_a_change_of_secrets_does_not_keep_a_client_from_its_connection() -> None:
    client = tcp_client()
    number = connected(client)
    client.world.server.authenticator.replace_secrets((b"x" * 32,))

    assert error_of(bind(data_client(client), number)) is None
    client.world.server.authenticator.replace_secrets((SECRET,))


@pytest.mark.parametrize("answered", [False, True])
def test_there_is_one_connection_with_a_peer(answered: bool) -> None:
    client = tcp_client()
    if answered:
        connected(client)
    else:
        started(client)

    assert error_of(ask_to_connect(client)[0]) == 446
    assert ask_to_connect(client, (PUBLIC_PEER[0], 5001)) == []


def test_a_peer_that_refuses_is_told_with_447() -> None:
    client = tcp_client()
    number = started(client)

    (reply,) = replies(client.world.server.tcp.failed(number))

    assert error_of(reply) == 447
    assert reply.has_integrity(client.credential.key)
    assert results(client) == {PeerResult.FAILED: 1}
    started(client)


def test_a_peer_that_does_not_answer_is_given_up() -> None:
    client = tcp_client()
    number = started(client)
    assert client.world.sleep(CONNECT_SECONDS - 1) == []

    events = client.world.sleep(1)

    assert events[0] == ClosePeer(1, number)
    assert [error_of(reply) for reply in replies(events)] == [447]
    assert client.world.server.tcp.connected(number, client.world.now) == []


def test_a_connection_that_nobody_binds_is_closed() -> None:
    client = tcp_client()
    number = connected(client)

    assert client.world.sleep(BIND_SECONDS) == [ClosePeer(1, number)]

    assert error_of(bind(data_client(client), number)) == 400
    assert results(client) == {PeerResult.CONNECTED: 1, PeerResult.UNBOUND: 1}


def test_a_connection_is_bound_once_by_its_own_user_over_a_stream() -> None:
    client = tcp_client()
    number = connected(client)
    mallory = Client(client.world, ("198.51.100.9", 1), plain_credential("m"), listener=STREAM)
    datagrams = Client(client.world, ("198.51.100.7", 2), client.credential)

    assert error_of(bind(mallory, number)) == 400
    assert error_of(bind(datagrams, number)) == 400
    assert error_of(bind(client, number)) == 400
    assert error_of(bind(data_client(client), number ^ 1)) == 400
    assert error_of(bind(data_client(client), number)) is None
    assert error_of(bind(data_client(client, 50_001), number)) == 400


def test_a_connect_needs_a_tcp_allocation_and_a_peer_of_its_family() -> None:
    world = make_world()
    without = Client(world, ("198.51.100.7", 1), listener=STREAM)
    without.nonce = b"stale"
    datagrams = Client(world, ("198.51.100.7", 2), listener=STREAM)
    datagrams.allocate()

    assert error_of(ask_to_connect(datagrams)[0]) == 400
    assert error_of(ask_to_connect(tcp_client(world), V6_PEER)[0]) == 443
    assert error_of(ask_to_connect(without)[0]) == 438


@pytest.mark.parametrize("peer", [("127.0.0.1", 22), ("169.254.169.254", 80), ("8.8.8.8", 0)])
def test_the_peer_policy_holds_for_connect(peer: Address) -> None:
    client = tcp_client()

    assert error_of(ask_to_connect(client, peer)[0]) == 403
    assert client.events[0] == PeerDenied(1, peer[0])
    assert results(client) == {PeerResult.DENIED: 1}


def test_a_peer_with_a_permission_is_admitted_and_told() -> None:
    client = tcp_client()
    server, now = client.world.server, client.world.now
    assert server.tcp.accepted(1, PUBLIC_PEER, now) == []
    client.permit(PUBLIC_PEER)

    admitted, reply = server.tcp.accepted(1, PUBLIC_PEER, now)

    assert isinstance(admitted, AdmitPeer)
    assert isinstance(reply, Reply)
    message = parse(reply.data)
    assert (message.method, message.message_class) == (
        TcpMethod.CONNECTION_ATTEMPT,
        Class.INDICATION,
    )
    assert number_of(message) == admitted.connection
    peer = message.first(Attribute.XOR_PEER_ADDRESS)
    assert peer is not None
    assert unpack_address(peer, message.transaction_id) == PUBLIC_PEER
    assert error_of(bind(data_client(client), admitted.connection)) is None


def test_no_peer_is_admitted_after_its_permission_or_that_the_policy_denies() -> None:
    client = tcp_client()
    client.permit(PUBLIC_PEER)
    client.refresh(3600)
    client.world.sleep(301)
    tcp, now = client.world.server.tcp, client.world.now

    assert tcp.accepted(1, PUBLIC_PEER, now) == []
    client.permit(PUBLIC_PEER)
    assert tcp.accepted(1, (PUBLIC_PEER[0], 0), now) == []
    assert tcp.accepted(2, PUBLIC_PEER, now) == []
    assert results(client) == {PeerResult.DENIED: 2}


def test_what_a_new_list_of_peers_does_not_hold_is_closed() -> None:
    world = make_world(allowed=())
    world.server.replace_peers([PeerEntry(ip_address("10.0.0.1"))])
    client = tcp_client(world)
    bound, waiting = connected(client, ("10.0.0.1", 1)), started(client, ("10.0.0.1", 2))
    bind(data_client(client), bound)

    events = world.server.replace_peers([])

    assert only(events, ClosePeer) == [ClosePeer(1, bound), ClosePeer(1, waiting)]
    assert [error_of(reply) for reply in replies(events)] == [403]
    assert len(world.server.tcp.connections) == 0


def test_connections_of_one_allocation_and_of_all_are_limited() -> None:
    world = make_world(max_peer_connections=MAX_PER_ALLOCATION + 1)
    first, second = tcp_client(world), tcp_client(world, 40001)
    numbers = [started(first, (PUBLIC_PEER[0], port + 1)) for port in range(MAX_PER_ALLOCATION)]

    assert error_of(ask_to_connect(first)[0]) == 508
    first.permit(PUBLIC_PEER)
    assert world.server.tcp.accepted(1, PUBLIC_PEER, world.now) == []
    started(second)
    assert error_of(ask_to_connect(second, (PUBLIC_PEER[0], 1))[0]) == 508
    assert results(first) == {PeerResult.LIMIT: 3}

    world.server.tcp.closed(numbers[0])
    started(second, (PUBLIC_PEER[0], 1))


def test_all_connections_end_with_the_allocation() -> None:
    client = tcp_client()
    connected(client)
    started(client, (PUBLIC_PEER[0], 1))

    client.refresh(0)

    connections = client.world.server.tcp.connections
    assert len(connections) == 0
    assert (connections._sessions, connections._deadlines) == ({}, {})
    assert client.world.sleep(CONNECT_SECONDS) == []
