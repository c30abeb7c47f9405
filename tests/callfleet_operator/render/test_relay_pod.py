from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from callfleet_operator.api.v1alpha1.common import Mode
from callfleet_operator.api.v1alpha1.environment import RELAY_VARIABLES
from callfleet_operator.api.v1alpha1.turnpool import TurnPoolScaling
from callfleet_operator.render.balancer import relay_balancer
from callfleet_operator.render.fleet import Fleet
from callfleet_operator.render.pod import ordinal_pod
from callfleet_operator.render.relay_pod import relay_template
from tests.callfleet_operator.plan.samples import pod as serving_pod
from tests.callfleet_operator.render import golden, strategies
from tests.callfleet_operator.render.samples import INSTALLATION, full_turn_pool, turn_pool

POOL = turn_pool()
FLEET = Fleet.of(POOL, INSTALLATION)


def test_template_of_defaults() -> None:
    golden.check("relay-template", relay_template(FLEET, POOL.spec))


def test_template_with_everything_set() -> None:
    full = full_turn_pool()
    golden.check("relay-template-full", relay_template(Fleet.of(full, INSTALLATION), full.spec))


@given(
    scaling=st.builds(
        TurnPoolScaling,
        min_replicas=st.integers(1, 256),
        max_replicas=st.integers(1, 256),
        max_total_replicas=st.none() | st.integers(1, 512),
        max_failure_percent=st.integers(1, 100),
        min_attempts=st.integers(1, 1000000),
        window_seconds=st.integers(60, 3600),
        target_saturation_percent=st.integers(10, 95),
        max_ineffective_steps=st.integers(1, 20),
        scale_out=strategies.scale_out,
        scale_in=strategies.scale_in,
    ),
    mode=st.sampled_from(Mode),
)
def test_scaling_and_mode_change_no_template(scaling: TurnPoolScaling, mode: Mode) -> None:
    changed = POOL.spec.model_copy(update={"scaling": scaling, "mode": mode})
    assert relay_template(FLEET, changed) == relay_template(FLEET, POOL.spec)


def test_variables_that_the_operator_sets_are_all_reserved() -> None:
    asking = {"address": {"source": "STUN", "value": "stun.example.org:3478"}}
    rendered = {
        variable["name"]
        for pool in (POOL, full_turn_pool(), turn_pool(exposure=asking))
        for variable in relay_template(Fleet.of(pool, INSTALLATION), pool.spec)["spec"][
            "containers"
        ][0]["env"]
    }
    assert rendered == {f"CALLFLEET_RELAY_{name}" for name in RELAY_VARIABLES} | {"TZ"}


def test_a_pod_on_the_nodes_network_has_its_ports_there() -> None:
    template = relay_template(FLEET, turn_pool(exposure={"type": "HostNetwork"}).spec)
    assert template["spec"]["hostNetwork"] is True
    assert template["spec"]["dnsPolicy"] == "ClusterFirstWithHostNet"
    pod = ordinal_pod(FLEET, template, 3)
    ports = {p["name"]: p["containerPort"] for p in pod["spec"]["containers"][0]["ports"]}
    assert ports["udp-3478"] == 3478


def test_service_of_a_relay_behind_a_load_balancer() -> None:
    full = full_turn_pool()
    fleet = Fleet.of(full, INSTALLATION)
    golden.check("relay-balancer", relay_balancer(fleet, full.spec, serving_pod(2)))


def test_a_port_below_1024_needs_no_capability() -> None:
    pool = turn_pool(listeners=[{"protocol": "UDP", "port": 443}])
    spec = relay_template(FLEET, pool.spec)["spec"]
    assert spec["securityContext"]["sysctls"] == [
        {"name": "net.ipv4.ip_unprivileged_port_start", "value": "0"}
    ]
    assert spec["containers"][0]["securityContext"]["capabilities"] == {"drop": ["ALL"]}
