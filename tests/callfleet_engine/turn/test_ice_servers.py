"""What clients are given."""

from __future__ import annotations

from pathlib import Path

import pytest

from callfleet_engine.errors import CallError
from callfleet_engine.reloading import Reloading
from callfleet_engine.turn.credentials import read_keys, read_secret
from callfleet_engine.turn.ice_servers import IceServerSource, Signers
from callfleet_engine.turn.relays import Relay, RelayDirectory
from tests.callfleet_engine.seeded import seeded

URLS = ("turn:192.0.2.1:3478?transport=udp", "turn:192.0.2.1:3478?transport=tcp")
POOLED = Relay(pool="infra/relays", pod="relay-0", urls=URLS)
OTHER = Relay(pool="infra/relays", pod="relay-1", urls=("turn:192.0.2.2:3478",))


def source(signers: Signers, *relays: Relay, required: bool = False) -> IceServerSource:
    return IceServerSource(
        RelayDirectory(relays),
        signers,
        lifetime_seconds=3600,
        required=required,
        random=seeded(1),
        now=lambda: 1_000_000.7,
    )


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    directory = tmp_path / "keys"
    directory.mkdir()
    (directory / "infra.relays").write_text("3d94befc " + "k" * 44)
    return directory


def test_one_relay_with_all_its_urls(keys: Path) -> None:
    signers = Signers(consumer="team/calls", keys=Reloading(keys, read_keys))
    issued = source(signers, POOLED).issue("ada")
    [server] = issued.servers
    assert server["urls"] == list(URLS)
    assert server["username"] == "1003600:3d94befc:team/calls:ada"
    assert issued.renew_after_seconds == 2700


def test_a_new_key_signs_at_once(keys: Path) -> None:
    signers = Signers(consumer="team/calls", keys=Reloading(keys, read_keys))
    servers = source(signers, POOLED)
    servers.issue("ada")
    (keys / "infra.relays").write_text("00000000 newer\n3d94befc older\n")
    [server] = servers.issue("ada").servers
    assert server["username"] == "1003600:00000000:team/calls:ada"


def test_broken_keys_leave_the_last_good_ones_in_force(keys: Path) -> None:
    reloading = Reloading(keys, read_keys)
    servers = source(Signers(consumer="team/calls", keys=reloading), POOLED)
    (keys / "infra.relays").write_text("broken")
    [server] = servers.issue("ada").servers
    assert "3d94befc" in str(server["username"])
    assert reloading.problem is not None
    assert "infra.relays" in reloading.problem


def test_a_client_keeps_its_relay_while_it_is_handed_out(keys: Path) -> None:
    signers = Signers(consumer="team/calls", keys=Reloading(keys, read_keys))
    servers = source(signers, POOLED, OTHER)
    assert {servers.issue("ada", keep=OTHER).relay for _ in range(10)} == {OTHER}
    servers.directory.replace([POOLED])
    assert servers.issue("ada", keep=OTHER).relay == POOLED


def test_stand_alone(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("s" * 32)
    servers = source(Signers(secret=Reloading(secret, read_secret)), Relay(pod="cli", urls=URLS))
    assert servers.issue("ada").servers[0]["username"] == "1003600:ada"


def test_without_a_relay_a_client_is_given_nothing() -> None:
    issued = source(Signers()).issue("ada")
    assert (issued.servers, issued.renew_after_seconds) == ((), None)


def test_a_required_relay_that_is_not_there_is_a_refusal(keys: Path) -> None:
    servers = source(Signers(), POOLED, required=True)
    for attempt in (servers.require_relay, lambda: servers.issue("ada")):
        with pytest.raises(CallError) as refused:
            attempt()
        assert refused.value.code == "no_relay"
        assert refused.value.retry_after_ms
