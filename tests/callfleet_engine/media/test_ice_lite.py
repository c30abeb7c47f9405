"""Rules of the shared port, with checks made by hand."""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import AsyncIterator

import pytest
from aioice import ConnectionClosed, stun

from callfleet_engine.media.advertised import Advertised
from callfleet_engine.media.ice_lite import (
    CONSENT_SWEEPS,
    MAX_ADDRESSES,
    MAX_EARLY_DTLS,
    PASSWORD_LENGTH,
    SILENT_SWEEPS,
    SILENT_SWEEPS_WITH_MEDIA,
    UFRAG_LENGTH,
    LiteConnection,
    ice_string,
)
from callfleet_engine.media.native.port import NativePort
from callfleet_engine.media.port import CONSENT_SECONDS, MediaPort
from tests.callfleet_engine.media.ice_clients import DTLS, Client, Wire, new_client, pass_sweeps

ALICE, ELSEWHERE, MALLORY = ("192.0.2.1", 1001), ("192.0.2.2", 1002), ("198.51.100.9", 9)


@pytest.fixture(params=["python", "native"])
async def port(request: pytest.FixtureRequest) -> AsyncIterator[MediaPort]:
    """Without sockets. The native one answers checks of connected clients by itself."""
    advertised = (Advertised("192.0.2.100", "test"),)
    if request.param == "native":
        native = NativePort(lambda: advertised, consent_seconds=CONSENT_SECONDS)
        native.open([])
        port: MediaPort = native
    else:
        port = MediaPort(lambda: advertised)
    yield port
    await port.close()


@pytest.fixture
def wire() -> Wire:
    return Wire()


@pytest.fixture
async def alice(port: MediaPort, wire: Wire) -> AsyncIterator[Client]:
    client = new_client(port, wire)
    yield client
    client.connection.end()
    assert not port.by_address
    assert port.connections == 0


async def test_a_nominated_address_is_selected(alice: Client) -> None:
    alice.check(ALICE)
    assert alice.wire.last().message_class == stun.Class.RESPONSE
    assert alice.wire.last().attributes["XOR-MAPPED-ADDRESS"] == ALICE
    assert alice.goes_to is None
    alice.check(ALICE, use=True)
    assert alice.goes_to == ALICE
    assert alice.connection.remote_address == ALICE
    await asyncio.wait_for(alice.connection.connect(), 1)


async def test_only_an_authenticated_check_makes_an_address_known(
    alice: Client, port: MediaPort, wire: Wire
) -> None:
    assert not alice.media(MALLORY)
    alice.check(MALLORY, use=True, password="x" * 24)
    alice.check(MALLORY, use=True, username="nobody00")
    alice.resend(b"\x00\x01 no stun", MALLORY)
    assert not alice.media(MALLORY)
    assert alice.goes_to is None
    assert not wire.sent
    dropped = port.dropped()
    assert dropped["unauthenticated"] == dropped["unknown_ufrag"] == dropped["malformed"] == 1


async def test_a_keepalive_is_neither_answered_nor_an_error(alice: Client, wire: Wire) -> None:
    before = alice.port.dropped()
    alice.resend(bytes(stun.Message(stun.Method.BINDING, stun.Class.INDICATION)), ALICE)
    assert alice.port.dropped() == before
    assert not wire.sent


async def test_a_client_that_takes_itself_for_controlled_is_told(alice: Client) -> None:
    alice.check(ALICE, use=True, role="ICE-CONTROLLED")
    assert alice.wire.last().error_code == 487
    assert alice.goes_to is None
    assert not alice.media(ALICE)


async def test_a_recorded_check_from_elsewhere_moves_nothing(alice: Client) -> None:
    check = alice.check(ALICE, use=True)
    alice.resend(check, ALICE)  # a retransmission
    assert alice.port.dropped()["replayed"] == 0
    alice.resend(check, MALLORY)
    assert alice.port.dropped()["replayed"] == 1
    assert not alice.media(MALLORY)
    assert alice.goes_to == ALICE


async def test_a_recorded_check_that_was_forgotten_moves_nothing_while_the_client_lives(
    alice: Client,
) -> None:
    check = alice.check(ALICE, use=True)
    for _ in range(100):
        alice.check(ELSEWHERE)
    alice.resend(check, MALLORY)
    alice.media(MALLORY, b"\x80 forged")
    assert alice.goes_to == ALICE
    assert alice.port.dropped()["srtp"] == 1


async def test_an_address_that_is_anothers_is_not_taken_over(
    alice: Client, port: MediaPort, wire: Wire
) -> None:
    alice.check(ALICE, use=True)
    mallory = new_client(port, wire)
    answered = len(wire.sent)
    mallory.check(ALICE, use=True)
    assert port.dropped()["address_in_use"] == 1
    assert len(wire.sent) == answered
    assert alice.media(ALICE)
    assert mallory.goes_to is None
    mallory.connection.end()
    assert alice.media(ALICE)


async def test_an_address_is_free_once_its_owner_is_silent_or_gone(
    alice: Client, port: MediaPort, wire: Wire
) -> None:
    alice.check(ALICE, use=True)
    alice.check(ELSEWHERE)
    bob = new_client(port, wire)
    port.sweeps += CONSENT_SWEEPS
    bob.check(ALICE, use=True)
    assert bob.goes_to == ALICE
    assert bob.media(ALICE)
    assert alice.goes_to is None
    alice.check(ELSEWHERE, use=True)
    assert alice.goes_to == ELSEWHERE
    bob.connection.end()
    alice.check(ALICE)
    assert alice.media(ALICE)


async def test_the_client_moves_by_nomination_and_media(alice: Client) -> None:
    moved = []
    alice.connection.moved = lambda: moved.append(alice.connection.remote_address)
    alice.check(ALICE, use=True)
    alice.check(ELSEWHERE)
    alice.media(ELSEWHERE)
    assert alice.goes_to == ALICE
    alice.check(ELSEWHERE, use=True)
    assert alice.goes_to == ALICE
    alice.media(ELSEWHERE)
    assert alice.goes_to == ELSEWHERE
    assert moved == [ELSEWHERE]


async def test_the_client_moves_when_its_address_is_translated_anew(
    alice: Client, port: MediaPort
) -> None:
    """No nomination: the client does not know of it."""
    alice.check(ALICE, use=True)
    pass_sweeps(port, SILENT_SWEEPS_WITH_MEDIA)
    alice.check(ELSEWHERE)
    assert alice.goes_to == ALICE
    alice.media(ELSEWHERE)
    assert alice.goes_to == ELSEWHERE


async def test_a_client_without_media_moves_after_a_silence(alice: Client, port: MediaPort) -> None:
    alice.check(ALICE, use=True)
    pass_sweeps(port, SILENT_SWEEPS - 1)
    alice.check(ELSEWHERE)
    assert alice.goes_to == ALICE
    pass_sweeps(port, 1)
    alice.check(ELSEWHERE)
    assert alice.goes_to == ELSEWHERE


async def test_silence_of_all_addresses_ends_it(alice: Client, port: MediaPort) -> None:
    alice.check(ALICE, use=True)
    pass_sweeps(port, CONSENT_SWEEPS - 1)
    alice.check(ALICE)
    pass_sweeps(port, CONSENT_SWEEPS - 1)
    alice.media(ALICE)
    pass_sweeps(port, CONSENT_SWEEPS - 1)
    alice.media(ALICE, b"\x80 forged")
    assert not alice.connection.ended
    told = asyncio.Event()
    alice.connection.told_end = told.set
    pass_sweeps(port, 1)
    assert alice.connection.ended
    await asyncio.wait_for(told.wait(), 10)
    assert isinstance(await alice.connection.get_event(), ConnectionClosed)
    with pytest.raises(ConnectionError):
        await alice.connection.recv()
    with pytest.raises(ConnectionError):
        await alice.connection.send(b"")
    alice.check(ALICE)
    assert port.dropped()["unknown_ufrag"] == 1


async def test_who_never_connected_is_left_to_the_attempts_limit(
    alice: Client, port: MediaPort
) -> None:
    pass_sweeps(port, CONSENT_SWEEPS * 2)
    assert not alice.connection.ended
    alice.connection.end()
    with pytest.raises(ConnectionError, match="before the client nominated"):
        await alice.connection.connect()


async def test_addresses_of_a_connection_are_bounded_and_forgotten(
    alice: Client, port: MediaPort
) -> None:
    alice.check(ALICE, use=True)
    for number in range(MAX_ADDRESSES * 3):
        pass_sweeps(port, 1)
        alice.check(ALICE)
        alice.check(("192.0.2.7", 2000 + number))
    assert len(port.by_address) == MAX_ADDRESSES
    assert alice.media(ALICE)
    assert not alice.media(("192.0.2.7", 2000))
    for _ in range(CONSENT_SWEEPS):
        alice.check(ALICE)
        pass_sweeps(port, 1)
    assert list(port.by_address) == [ALICE]


async def test_little_dtls_waits_for_the_handshake_to_begin(alice: Client) -> None:
    alice.check(ALICE, use=True)
    for _ in range(1000):
        alice.media(ALICE, DTLS)
        alice.media(ALICE, b"\x50 channel data")
    received: list[bytes] = []
    alice.connection.take_dtls(received.append)
    assert received == [DTLS] * MAX_EARLY_DTLS
    alice.media(ALICE, DTLS + b"later")
    assert received[MAX_EARLY_DTLS:] == [DTLS + b"later"]


async def test_a_restart_keeps_the_old_path_until_the_new_one_is_nominated(alice: Client) -> None:
    alice.check(ALICE, use=True)
    old = (alice.username, alice.password)
    alice.connection.restart()
    fresh = Client(alice.port, alice.connection, alice.wire)
    assert fresh.username != alice.username
    assert alice.goes_to == ALICE
    alice.check(ALICE)
    assert alice.wire.last().check_message_integrity(old[1].encode())
    fresh.check(ELSEWHERE)
    assert alice.goes_to == ALICE
    fresh.check(ELSEWHERE, use=True)
    assert fresh.goes_to == ELSEWHERE
    before = alice.port.dropped()["unknown_ufrag"]
    alice.check(ALICE, use=True)
    assert alice.port.dropped()["unknown_ufrag"] == before + 1


async def test_a_restart_that_was_never_used_is_given_up(alice: Client, port: MediaPort) -> None:
    alice.check(ALICE, use=True)
    for _ in range(50):
        alice.connection.restart()
    assert len(port._by_ufrag) == 2
    alice.check(ALICE)
    assert alice.wire.last().message_class == stun.Class.RESPONSE
    alice.connection.end()
    alice.connection.restart()
    assert len(port._by_ufrag) == 0


async def test_ipv6_has_the_same_number_and_is_served() -> None:
    port = MediaPort(lambda: (Advertised("127.0.0.1", "a"), Advertised("::1", "b")))
    port.bind(("127.0.0.1", "::1"), 0)
    candidates = port.candidates()
    assert [(c.host, c.port) for c in candidates] == [
        ("::1", port.number),
        ("127.0.0.1", port.number),
    ]
    assert candidates[0].priority > candidates[1].priority
    lite = LiteConnection(port)
    wire = Wire()
    check = Client(port, lite, wire).check(("::1", 1), use=True)
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        sock.bind(("::1", 0))
        own = sock.getsockname()
        lite._transactions.clear()
        sock.sendto(check, ("::1", port.number))
        data = await asyncio.wait_for(asyncio.get_running_loop().sock_recv(sock, 2048), 5)
    assert stun.parse_message(data).attributes["XOR-MAPPED-ADDRESS"] == own[:2]
    await port.close()


async def test_a_taken_port_is_refused_and_nothing_stays_bound() -> None:
    first, second = (MediaPort(lambda: ()) for _ in range(2))
    first.bind(("127.0.0.1",), 0)
    with pytest.raises(OSError, match="in use"):
        second.bind(("::1", "127.0.0.1"), first.number)
    assert second.number == 0
    await asyncio.gather(first.close(), second.close())


async def test_candidates_follow_the_addresses_and_are_made_once() -> None:
    told = [Advertised("127.0.0.1", "a")]
    port = MediaPort(lambda: told)
    port.bind(("127.0.0.1",), 0)
    [first], [again] = port.candidates(), port.candidates()
    assert first is again
    told.append(Advertised("192.0.2.1", "b"))
    assert [c.host for c in port.candidates()] == ["127.0.0.1", "192.0.2.1"]
    await port.close()


@pytest.mark.parametrize("length", [UFRAG_LENGTH, PASSWORD_LENGTH])
def test_credentials_are_of_ice_characters(length: int) -> None:
    made = {ice_string(length) for _ in range(200)}
    assert len(made) == 200
    assert all(re.fullmatch(rf"[A-Za-z0-9+/]{{{length}}}", one) for one in made)
