from __future__ import annotations

import base64

import pytest

from callfleet_operator.render.fleet import Fleet
from callfleet_operator.render.turn_keys import parse_masters
from callfleet_operator.render.turn_secret import (
    PoolName,
    engine_turn_secret,
    master_secret,
    new_master,
)
from tests.callfleet_operator.render.samples import INSTALLATION, MASTER, call_cluster, turn_pool

ENGINES = Fleet.of(call_cluster(), INSTALLATION)
RELAYS = Fleet.of(turn_pool(), INSTALLATION)


def test_a_line_for_each_master_newest_first() -> None:
    older = b"an-older-master-secret-of-32-characters"
    secret = engine_turn_secret(ENGINES, {PoolName("turn", "shared"): (MASTER, older)})
    lines = base64.b64decode(secret["data"]["turn.shared"]).decode().splitlines()
    assert secret["metadata"]["name"] == "calls-engine-turn"
    assert lines[0] == "d640eb48 QujWcIxZXBhv/o5+tmG/8LfzhZsjBa23SiA6FOQ3vw0="
    assert len(lines) == 2


def test_the_master_never_reaches_the_engines() -> None:
    secret = engine_turn_secret(ENGINES, {PoolName("media", "relays"): (MASTER,)})
    assert all(MASTER not in base64.b64decode(value) for value in secret["data"].values())


def test_without_pools_there_are_no_keys() -> None:
    assert "data" not in engine_turn_secret(ENGINES, {})


def test_a_generated_master_is_fit_for_the_relays() -> None:
    master = new_master(bytes(range(32)))
    secret = master_secret(RELAYS, (master,))
    assert secret["metadata"]["name"] == "relays-relay-turn"
    assert parse_masters(base64.b64decode(secret["data"]["secrets"])) == (master,)


def test_too_little_randomness_is_refused() -> None:
    with pytest.raises(ValueError, match="32 random bytes"):
        new_master(b"x" * 31)
