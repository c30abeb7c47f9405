from __future__ import annotations

from callfleet_operator.render.objects import engine_objects, relay_objects
from callfleet_operator.render.turn_secret import PoolName
from tests.callfleet_operator.render import golden
from tests.callfleet_operator.render.samples import (
    ADMIN_KEYS,
    INSTALLATION,
    MASTER,
    call_cluster,
    full_call_cluster,
    full_turn_pool,
    turn_pool,
)

MASTERS = {PoolName("media", "relays"): (MASTER,)}


def test_engines_of_defaults() -> None:
    golden.check(
        "engine-objects",
        *engine_objects(call_cluster(), INSTALLATION, admin_keys=ADMIN_KEYS, masters=MASTERS),
    )


def test_engines_with_everything_set() -> None:
    golden.check(
        "engine-objects-full",
        *engine_objects(full_call_cluster(), INSTALLATION, admin_keys=ADMIN_KEYS, masters=MASTERS),
    )


def test_relays_of_defaults() -> None:
    golden.check("relay-objects", *relay_objects(turn_pool(), INSTALLATION, admin_keys=ADMIN_KEYS))


def test_relays_with_everything_set() -> None:
    golden.check(
        "relay-objects-full", *relay_objects(full_turn_pool(), INSTALLATION, admin_keys=ADMIN_KEYS)
    )


def test_every_object_is_owned_and_labelled() -> None:
    objects = (
        *engine_objects(call_cluster(), INSTALLATION, admin_keys=ADMIN_KEYS, masters=MASTERS),
        *relay_objects(turn_pool(), INSTALLATION, admin_keys=ADMIN_KEYS),
    )
    for made in objects:
        (owner,) = made["metadata"]["ownerReferences"]
        assert owner["controller"] is True
        assert made["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "callfleet-operator"
