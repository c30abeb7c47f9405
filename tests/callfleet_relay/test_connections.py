from __future__ import annotations

from callfleet_relay.events import SessionEnd
from callfleet_relay.transport.connections import (
    ConnectionCount,
    ConnectionEnd,
    StreamLimits,
    TrustedProxies,
    session_end,
)


def test_counts_in_all_and_by_source() -> None:
    limits = StreamLimits(total=3, per_source=2, idle_seconds=1)
    count = ConnectionCount(limits)
    for host in ("192.0.2.1", "192.0.2.1", "192.0.2.2"):
        assert count.has_room
        assert count.has_room_for(host)
        count.add()
        count.add_host(host)

    assert not count.has_room
    assert not count.has_room_for("192.0.2.1")
    assert count.has_room_for("192.0.2.2")
    limits.total = 4
    assert count.has_room
    count.remove("192.0.2.1")
    assert count.has_room_for("192.0.2.1")


def test_a_64_of_ipv6_is_one_source() -> None:
    count = ConnectionCount(StreamLimits(total=9, per_source=1, idle_seconds=1))
    count.add()
    count.add_host("2001:db8::1")

    assert not count.has_room_for("2001:db8::ffff:1")
    assert count.has_room_for("2001:db8:0:1::1")
    assert count.has_room_for("0.0.0.1")


def test_one_whose_client_never_became_known_is_given_back() -> None:
    count = ConnectionCount(StreamLimits(total=1, per_source=1, idle_seconds=1))
    count.add()
    count.remove(None)

    assert count.has_room


def test_only_named_load_balancers_are_trusted() -> None:
    proxies = TrustedProxies(["10.0.0.0/8", "2001:db8::/32"])

    assert "10.1.2.3" in proxies
    assert "2001:db8::1" in proxies
    assert "192.0.2.1" not in proxies
    assert "10.1.2.3" not in TrustedProxies([])


def test_every_end_of_a_connection_ends_its_session() -> None:
    causes = {cause: session_end(cause) for cause in ConnectionEnd}

    assert causes[ConnectionEnd.SLOW_READER] is SessionEnd.SLOW_READER
    assert causes[ConnectionEnd.CLOSED] is causes[ConnectionEnd.RESET] is SessionEnd.CLOSED
