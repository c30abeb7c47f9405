from __future__ import annotations

import logging
import re
from collections.abc import Iterator

import pytest

from callfleet_relay.limits import CHANGEABLE, enforce, read_limits, stream_limits
from callfleet_relay.peer_connections import PeerConnections
from callfleet_relay.quota import AllocationQuota
from callfleet_relay.settings import Settings

SETTINGS = Settings.model_validate(
    {"relay_address": "10.0.0.1", "secret_file": "secrets", "relay_ports": "50000-53999"}
)


@pytest.fixture
def root_level() -> Iterator[int]:
    """The root logger's level, as it was again at the end."""
    level = logging.getLogger().level
    yield level
    logging.getLogger().setLevel(level)


def test_takes_what_can_change_and_names_the_rest() -> None:
    text = '{"version": 1, "maxAllocations": 500, "logLevel": "debug", "realm": "x", "max": 1}'

    limits = read_limits(text, SETTINGS)

    assert limits.settings.max_allocations == 500
    assert limits.settings.log_level == "debug"
    assert limits.settings.max_allocations_per_user == SETTINGS.max_allocations_per_user
    assert limits.taken == {"maxAllocations": 500, "logLevel": "debug"}
    assert limits.needs_restart == ["realm"]
    assert limits.unknown == ["max"]


def test_what_a_file_no_longer_has_is_as_the_flags_say() -> None:
    assert read_limits("{}", SETTINGS).settings == SETTINGS


def test_what_runs_keeps_to_limits_that_were_enforced(root_level: int) -> None:
    quota, peers = AllocationQuota(total=1, per_user=1), PeerConnections(1)
    start = SETTINGS.model_copy(update={"listen": ("tcp://127.0.0.1:0",)})
    streams = stream_limits(start)
    text = """{"maxAllocations": 500, "maxAllocationsPerUser": 5, "maxConnections": 900,
        "maxConnectionsPerAddress": 64, "idleLimit": 20, "logLevel": "error"}"""

    enforce(read_limits(text, start).settings, quota=quota, streams=streams, peers=peers)

    assert (quota.capacity, quota.per_user, peers.limit) == (500, 5, 900)
    assert (streams.total, streams.per_source, streams.idle_seconds) == (900, 64, 20)
    assert logging.getLogger().level == logging.ERROR != root_level


def test_every_limit_that_can_change_is_a_flag() -> None:
    assert set(CHANGEABLE) <= set(Settings.model_fields)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("max = 1", "it is no JSON"),
        ("[]", "it is no JSON object"),
        ('{"maxAllocations": 0}', "--max-allocations: Input should be greater than"),
        ('{"maxAllocations": 5000}', "has fewer ports than --max-allocations (5000)"),
        ('{"idleLimit": "soon"}', "--idle-limit: "),
    ],
)
def test_what_cannot_be_used_is_named(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        read_limits(text, SETTINGS)
