"""Who may use a pool."""

from __future__ import annotations

from typing import Any

import pytest

from callfleet_operator.api.v1alpha1 import CallCluster, TurnPool
from callfleet_operator.observe.consent import admits, needs_labels, pools_of, selects
from callfleet_operator.render.turn_secret import PoolName


def pool(allowed: dict[str, Any] | None = None) -> TurnPool:
    spec = {"allowedNamespaces": allowed} if allowed else {}
    return TurnPool.model_validate(
        {"metadata": {"name": "relays", "namespace": "media"}, "spec": spec}
    )


SELECTOR = {"from": "Selector", "selector": {"matchLabels": {"calls": "yes"}}}


@pytest.mark.parametrize(
    ("allowed", "namespace", "labels", "admitted"),
    [
        (None, "media", {}, True),
        (None, "calls", {}, False),
        ({"from": "All"}, "calls", {}, True),
        (SELECTOR, "calls", {"calls": "yes"}, True),
        (SELECTOR, "calls", {}, False),
        (SELECTOR, "media", {}, True),  # its own namespace always may
    ],
)
def test_consent(
    allowed: dict[str, Any] | None, namespace: str, labels: dict[str, str], *, admitted: bool
) -> None:
    assert admits(pool(allowed), namespace, labels) is admitted


def test_labels_are_asked_for_only_where_they_decide() -> None:
    assert needs_labels(pool(SELECTOR), "calls")
    assert not needs_labels(pool(SELECTOR), "media")
    assert not needs_labels(pool({"from": "All"}), "calls")


@pytest.mark.parametrize(
    ("expression", "labels", "matches"),
    [
        ({"operator": "In", "values": ["a", "b"]}, {"k": "a"}, True),
        ({"operator": "In", "values": ["a"]}, {}, False),
        ({"operator": "NotIn", "values": ["a"]}, {"k": "a"}, False),
        ({"operator": "NotIn", "values": ["a"]}, {}, True),
        ({"operator": "Exists"}, {"k": ""}, True),
        ({"operator": "Exists"}, {}, False),
        ({"operator": "DoesNotExist"}, {}, True),
        ({"operator": "Like", "values": ["a"]}, {"k": "a"}, False),
    ],
)
def test_expressions(expression: dict[str, Any], labels: dict[str, str], *, matches: bool) -> None:
    assert selects({"matchExpressions": [{"key": "k", **expression}]}, labels) is matches


def test_an_empty_selector_matches_all_and_parts_are_joined_by_and() -> None:
    assert selects({}, {})
    both = {"matchLabels": {"a": "1"}, "matchExpressions": [{"key": "b", "operator": "Exists"}]}
    assert selects(both, {"a": "1", "b": ""})
    assert not selects(both, {"a": "1"})


def test_pools_are_named_once_and_default_to_ones_own_namespace() -> None:
    cluster = CallCluster.model_validate(
        {
            "metadata": {"name": "calls", "namespace": "calls"},
            "spec": {
                "turn": {
                    "poolRefs": [
                        {"name": "relays", "namespace": "media"},
                        {"name": "own"},
                        {"name": "own", "namespace": "calls"},
                    ]
                }
            },
        }
    )
    assert pools_of(cluster) == (PoolName("media", "relays"), PoolName("calls", "own"))
