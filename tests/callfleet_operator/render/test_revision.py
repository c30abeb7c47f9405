from __future__ import annotations

import re

import pytest

from callfleet_operator.render.engine_pod import engine_template
from callfleet_operator.render.fleet import Fleet
from callfleet_operator.render.revision import controller_revision, revision_hash, template_of
from tests.callfleet_operator.render import golden
from tests.callfleet_operator.render.samples import INSTALLATION, call_cluster

CLUSTER = call_cluster()
FLEET = Fleet.of(CLUSTER, INSTALLATION)
TEMPLATE = engine_template(FLEET, CLUSTER.spec)


def test_object() -> None:
    golden.check("engine-revision", controller_revision(FLEET, TEMPLATE, number=2))


def test_the_hash_does_not_depend_on_the_order_of_keys() -> None:
    assert revision_hash({"a": 1, "b": {"c": 2, "d": 3}}) == revision_hash(
        {"b": {"d": 3, "c": 2}, "a": 1}
    )
    assert re.fullmatch(r"[0-9a-f]{10}", revision_hash(TEMPLATE))


def test_the_template_comes_back() -> None:
    assert template_of(controller_revision(FLEET, TEMPLATE, number=1)) == TEMPLATE


def test_a_foreign_revision_is_refused() -> None:
    with pytest.raises(ValueError, match="ControllerRevision calls-engine-1 holds no pod template"):
        template_of({"metadata": {"name": "calls-engine-1"}, "data": {"spec": {}}})
