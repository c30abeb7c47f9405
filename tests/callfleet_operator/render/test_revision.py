from __future__ import annotations

import re
from typing import Any

import pytest

from callfleet_operator.api.v1alpha1 import CallCluster, TurnPool
from callfleet_operator.render.engine_pod import engine_template
from callfleet_operator.render.fleet import Fleet
from callfleet_operator.render.relay_pod import relay_template
from callfleet_operator.render.revision import (
    controller_revision,
    revision_hash,
    spec_digest,
    template_of,
)
from tests.callfleet_operator.render import golden
from tests.callfleet_operator.render.samples import (
    INSTALLATION,
    call_cluster,
    full_call_cluster,
    full_turn_pool,
    turn_pool,
)

CLUSTER = call_cluster()
FLEET = Fleet.of(CLUSTER, INSTALLATION)
TEMPLATE = engine_template(FLEET, CLUSTER.spec)


def test_object() -> None:
    golden.check(
        "engine-revision", controller_revision(FLEET, revision_hash(TEMPLATE), TEMPLATE, number=2)
    )


def test_the_hash_does_not_depend_on_the_order_of_keys() -> None:
    assert revision_hash({"a": 1, "b": {"c": 2, "d": 3}}) == revision_hash(
        {"b": {"d": 3, "c": 2}, "a": 1}
    )
    assert re.fullmatch(r"[0-9a-f]{10}", revision_hash(TEMPLATE))


def test_the_template_comes_back() -> None:
    assert (
        template_of(controller_revision(FLEET, revision_hash(TEMPLATE), TEMPLATE, number=1))
        == TEMPLATE
    )


def test_a_foreign_revision_holds_none() -> None:
    assert template_of({"metadata": {"name": "calls-engine-1"}, "data": {"spec": {}}}) is None


RENDERED = {
    "image_pull_policy",
    "image_pull_secrets",
    "scheduling",
    "pod_metadata",
    "env",
    "drain",
    "resources",
    "turn",
    "store",
    "auth",
    "exposure",
    "quality",
    "signalling",
    "listeners",
    "realm",
    "peers",
    "credentials",
    "quota",
}


@pytest.mark.parametrize(
    ("plain", "full"),
    [(call_cluster(), full_call_cluster()), (turn_pool(), full_turn_pool())],
)
def test_what_changes_a_template_changes_the_digest(
    plain: CallCluster | TurnPool, full: CallCluster | TurnPool
) -> None:
    """Field by field: one that shows in the template and not in the digest would never reach a
    pod."""
    before = _template(plain)
    for name in type(plain.spec).model_fields:
        changed = plain.spec.model_copy(update={name: getattr(full.spec, name)})
        other = plain.model_copy(update={"spec": changed})
        same_digest = spec_digest(changed, "i") == spec_digest(plain.spec, "i")
        same_template = _template(other) == before
        assert same_template or not same_digest or name == "image", name
        assert same_template or name in RENDERED | {"image"}, name


@pytest.mark.parametrize(
    "change",
    [
        {"mode": "ScaleOutOnly"},
        {"scaling": {"maxReplicas": 1, "minReplicas": 1, "targetUtilizationPercent": 50}},
        {"capacity": {"participantsPerPod": 7}},
        {"metrics": {"staleAfterSeconds": 30}},
        {"rollout": {"strategy": "OnDelete"}},
        {"drain": {"deadlineSeconds": 1}},
        {"cost": {"podMonthly": "40"}},
    ],
)
def test_what_does_not_is_left_out(change: dict[str, Any]) -> None:
    assert spec_digest(call_cluster(**change).spec, "i") == spec_digest(call_cluster().spec, "i")


def test_another_image_is_another_digest() -> None:
    spec = call_cluster().spec
    assert spec_digest(spec, "example.org/i:1") != spec_digest(spec, "example.org/i:2")


def _template(resource: CallCluster | TurnPool) -> dict[str, Any]:
    fleet = Fleet.of(resource, INSTALLATION)
    if isinstance(resource, CallCluster):
        return engine_template(fleet, resource.spec)
    return relay_template(fleet, resource.spec)
