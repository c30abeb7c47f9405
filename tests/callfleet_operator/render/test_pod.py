from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from callfleet_operator.render.engine_pod import engine_template
from callfleet_operator.render.fleet import Fleet
from callfleet_operator.render.pod import ordinal_pod
from callfleet_operator.render.relay_pod import relay_template
from tests.callfleet_operator.render import golden
from tests.callfleet_operator.render.samples import INSTALLATION, call_cluster, turn_pool


def relay(ordinal: int, **spec: Any) -> dict[str, Any]:  # noqa: ANN401  # API fields
    pool = turn_pool(**spec)
    fleet = Fleet.of(pool, INSTALLATION)
    return ordinal_pod(fleet, relay_template(fleet, pool.spec), ordinal)


def host_ports(pod: dict[str, Any]) -> set[tuple[str, int]]:
    ports = pod["spec"]["containers"][0]["ports"]
    return {(port["protocol"], port["hostPort"]) for port in ports if "hostPort" in port}


def test_engine() -> None:
    cluster = call_cluster()
    fleet = Fleet.of(cluster, INSTALLATION)
    golden.check("engine-pod", ordinal_pod(fleet, engine_template(fleet, cluster.spec), 3))


def test_relay() -> None:
    golden.check("relay-pod", relay(5, exposure={"relaysPerNode": 4}))


def test_an_engine_takes_no_port_of_the_node() -> None:
    cluster = call_cluster()
    fleet = Fleet.of(cluster, INSTALLATION)
    assert host_ports(ordinal_pod(fleet, engine_template(fleet, cluster.spec), 3)) == set()


def test_the_template_stays_as_it_is() -> None:
    pool = turn_pool()
    fleet = Fleet.of(pool, INSTALLATION)
    template = relay_template(fleet, pool.spec)
    before = relay_template(fleet, pool.spec)
    ordinal_pod(fleet, template, 0)
    assert template == before


@given(per_node=st.integers(1, 64), first=st.integers(0, 500), gap=st.integers(0, 63))
def test_as_many_relays_fit_a_node_as_the_spec_says_and_no_more(
    per_node: int, first: int, gap: int
) -> None:
    listeners = [
        {"protocol": "UDP", "port": 3478},
        {"protocol": "UDP", "port": 3478 + per_node + gap},
    ]
    pods = [
        host_ports(relay(first + n, exposure={"relaysPerNode": per_node}, listeners=listeners))
        for n in range(per_node + 1)
    ]
    taken = {port for pod in pods[:per_node] for port in pod}
    assert len(taken) == 2 * per_node
    assert pods[per_node] <= taken
