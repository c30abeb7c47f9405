from __future__ import annotations

import pytest
from aioice.stun import Method

from callfleet_relay.events import SessionEnd, SessionEnded
from callfleet_relay.message import Attribute

from .support import (
    PUBLIC_PEER,
    UNIX,
    Client,
    attribute,
    error_of,
    make_world,
    only,
    plain_credential,
    seconds_of,
)


def test_refresh_extends_and_zero_deletes() -> None:
    client = Client(make_world())
    client.allocate()
    client.world.sleep(599)
    assert seconds_of(client.refresh()) == 600
    assert client.world.sleep(599) == []

    assert seconds_of(client.refresh(0)) == 0

    (ended,) = only([*client.events], SessionEnded)
    assert ended.cause is SessionEnd.DELETED
    assert error_of(client.refresh()) == 437


def test_refresh_of_another_family_is_a_mismatch() -> None:
    client = Client(make_world())
    client.allocate()
    other = attribute(Attribute.REQUESTED_ADDRESS_FAMILY, b"\2\0\0\0")

    assert error_of(client.ask(Method.REFRESH, [other])) == 443


def test_an_allocation_that_is_not_refreshed_expires() -> None:
    client = Client(make_world())
    client.allocate()

    (ended,) = client.world.sleep(600)

    assert isinstance(ended, SessionEnded)
    assert (ended.cause, ended.user, ended.seconds) == (SessionEnd.EXPIRED, "alice", 600)
    assert client.world.server.allocations == 0


def test_an_allocation_ends_with_its_credential_and_a_grace() -> None:
    client = Client(make_world(grace=60), credential=plain_credential(expires=UNIX + 1000))
    client.allocate()
    client.world.sleep(500)
    assert seconds_of(client.refresh(3600)) == 560

    client.world.sleep(500)
    assert error_of(client.refresh()) == 401
    (ended,) = client.world.sleep(60)

    assert isinstance(ended, SessionEnded)
    assert ended.cause is SessionEnd.CREDENTIAL_EXPIRED


def test_another_users_request_on_an_allocation_is_refused() -> None:
    client = Client(make_world())
    client.allocate()
    client.credential = plain_credential("mallory")

    assert error_of(client.refresh(0)) == 441
    assert error_of(client.permit(PUBLIC_PEER)) == 441
    assert client.world.server.allocations == 1


@pytest.mark.parametrize("method", [Method.REFRESH, Method.CREATE_PERMISSION, Method.CHANNEL_BIND])
def test_without_an_allocation_there_is_a_mismatch(method: Method) -> None:
    assert error_of(Client(make_world()).ask(method)) == 437


def test_all_sessions_can_be_ended() -> None:
    world = make_world()
    for number in range(3):
        Client(world, ("198.51.100.7", 40000 + number)).allocate()

    events = world.server.end_all(SessionEnd.POD_TERMINATED, world.now)

    assert {event.cause for event in only([*events], SessionEnded)} == {SessionEnd.POD_TERMINATED}
    assert world.server.allocations == 0
