from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callfleet_operator.api.v1alpha1.callcluster import CallClusterScaling, Capacity, ForecastMode
from callfleet_operator.api.v1alpha1.common import Mode
from callfleet_operator.api.v1alpha1.environment import ENGINE_VARIABLES
from callfleet_operator.render.engine_pod import engine_template
from callfleet_operator.render.fleet import Fleet
from callfleet_operator.render.revision import revision_hash
from tests.callfleet_operator.render import golden, strategies
from tests.callfleet_operator.render.samples import INSTALLATION, call_cluster, full_call_cluster

CLUSTER = call_cluster()
FLEET = Fleet.of(CLUSTER, INSTALLATION)


def test_template_of_defaults() -> None:
    golden.check("engine-template", engine_template(FLEET, CLUSTER.spec))


def test_template_with_everything_set() -> None:
    full = full_call_cluster()
    golden.check("engine-template-full", engine_template(Fleet.of(full, INSTALLATION), full.spec))


@given(
    scaling=st.builds(
        CallClusterScaling,
        min_replicas=st.integers(1, 1000),
        max_replicas=st.integers(1, 1000),
        max_total_replicas=st.none() | st.integers(1, 2000),
        target_utilization_percent=st.integers(10, 95),
        new_call_limit_percent=st.integers(11, 100),
        max_blocking_per_million=st.integers(0, 1000000),
        tolerance_percent=st.integers(0, 50),
        scale_out=strategies.scale_out,
        scale_in=strategies.scale_in,
        schedules=strategies.schedules,
        forecast=st.builds(dict, mode=st.sampled_from(ForecastMode)),
    ),
    capacity=st.builds(Capacity, participants_per_pod=st.integers(1, 10000)),
    mode=st.sampled_from(Mode),
)
def test_scaling_capacity_and_mode_change_no_template(
    scaling: CallClusterScaling, capacity: Capacity, mode: Mode
) -> None:
    changed = CLUSTER.spec.model_copy(
        update={"scaling": scaling, "capacity": capacity, "mode": mode}
    )
    assert engine_template(FLEET, changed) == engine_template(FLEET, CLUSTER.spec)


def test_what_pods_are_made_of_changes_the_revision() -> None:
    specs: list[dict[str, Any]] = [
        {},
        {"image": "example.org/engine:2"},
        {"env": [{"name": "TZ", "value": "UTC"}]},
        {"resources": {"requests": {"cpu": "2"}}},
        {"auth": {"mode": "Open"}},
        {"store": {"retentionDays": 7}},
        {"drain": {"terminationGracePeriodSeconds": 60}},
    ]
    clusters = [call_cluster(**spec) for spec in specs]
    revisions = {
        revision_hash(engine_template(Fleet.of(cluster, INSTALLATION), cluster.spec))
        for cluster in clusters
    }
    assert len(revisions) == len(specs)


@pytest.mark.parametrize(
    ("name", "exposure"),
    [
        ("host-port", {"type": "HostPort"}),
        (
            "host-network",
            {
                "type": "HostNetwork",
                "hostPortRange": {"min": 30000, "max": 30099},
                "address": {"source": "NodeInternalIP"},
            },
        ),
    ],
)
def test_template_of_a_pod_on_a_port_of_the_node(name: str, exposure: dict[str, Any]) -> None:
    cluster = call_cluster(exposure=exposure)
    golden.check(f"engine-template-{name}", engine_template(FLEET, cluster.spec))


def test_a_static_address_is_given_as_it_is() -> None:
    address = {"source": "Static", "value": "203.0.113.7"}
    cluster = call_cluster(exposure={"type": "HostPort", "address": address})
    env = engine_template(FLEET, cluster.spec)["spec"]["containers"][0]["env"]
    assert {"name": "CALLFLEET_ENGINE_EXTERNAL_ADDRESS", "value": "203.0.113.7"} in env


def test_variables_that_the_operator_sets_are_all_reserved() -> None:
    direct = [
        call_cluster(exposure={"type": "HostPort", "address": address})
        for address in (
            {"source": "Auto"},
            {"source": "NodeInternalIP"},
            {"source": "STUN", "value": "stun.example.org:3478"},
        )
    ]
    rendered = {
        variable["name"]
        for cluster in (CLUSTER, full_call_cluster(), *direct)
        for variable in engine_template(Fleet.of(cluster, INSTALLATION), cluster.spec)["spec"][
            "containers"
        ][0]["env"]
    }
    assert rendered == {f"CALLFLEET_ENGINE_{name}" for name in ENGINE_VARIABLES} | {"TZ"}


def test_a_value_refers_only_to_variables_that_stand_before_it() -> None:
    env = engine_template(FLEET, CLUSTER.spec)["spec"]["containers"][0]["env"]
    names = [variable["name"] for variable in env]
    assert names.index("CALLFLEET_ENGINE_POD_ADDRESS") < names.index(
        "CALLFLEET_ENGINE_MEDIA_ADDRESS"
    )
