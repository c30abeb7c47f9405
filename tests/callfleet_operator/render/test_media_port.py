from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from callfleet_operator.render.engine_pod import MEDIA_PORT, engine_template
from callfleet_operator.render.fleet import Fleet
from callfleet_operator.render.media_port import NoFreePort, choose, port_range
from callfleet_operator.render.pod import ordinal_pod
from tests.callfleet_operator.render.samples import INSTALLATION, call_cluster

RANGE = {"min": 30000, "max": 30003}


def test_an_ordinal_has_its_port_and_keeps_it() -> None:
    assert choose(range(30000, 30004), 2, {30000}) == 30002


def test_a_taken_port_gives_way_to_the_lowest_free_one() -> None:
    assert choose(range(30000, 30004), 0, {30000, 30001, 30003}) == 30002
    assert choose(range(30000, 30004), 9, set()) == 30000


def test_a_full_range_says_what_to_do() -> None:
    found = choose(range(30000, 30002), 0, {30000, 30001, 5})
    assert isinstance(found, NoFreePort)
    assert "30000 to 30001 has no free port" in str(found)
    assert "make it wider" in str(found)


@given(
    first=st.integers(1024, 65000),
    width=st.integers(1, 40),
    ordinal=st.integers(0, 60),
    taken=st.frozensets(st.integers(1024, 65100)),
)
def test_a_port_is_of_the_range_and_free(
    first: int, width: int, ordinal: int, taken: frozenset[int]
) -> None:
    ports = range(first, first + width)
    found = choose(ports, ordinal, taken)
    if isinstance(found, NoFreePort):
        assert set(ports) <= taken
    else:
        assert found in ports
        assert found not in taken


def test_a_pod_says_its_port_wherever_it_is_read() -> None:
    cluster = call_cluster(exposure={"type": "HostPort", "hostPortRange": RANGE})
    fleet = Fleet.of(cluster, INSTALLATION)
    template = engine_template(fleet, cluster.spec)
    assert port_range(template) == range(30000, 30004)
    pod = ordinal_pod(fleet, template, 1, media_port=30001)
    assert pod["metadata"]["annotations"][MEDIA_PORT] == "30001"
    ports = {port["name"]: port for port in pod["spec"]["containers"][0]["ports"]}
    assert ports["media"] == {
        "name": "media",
        "containerPort": 30001,
        "hostPort": 30001,
        "protocol": "UDP",
    }
    assert "hostPort" not in ports["signalling"]
    other = ordinal_pod(fleet, template, 2, media_port=30002)
    revision = "callfleet.dev/revision"
    assert pod["metadata"]["labels"][revision] == other["metadata"]["labels"][revision]


def test_turn_only_needs_no_port_of_the_node() -> None:
    cluster = call_cluster()
    fleet = Fleet.of(cluster, INSTALLATION)
    template = engine_template(fleet, cluster.spec)
    assert port_range(template) is None
    pod = ordinal_pod(fleet, template, 0)
    assert pod["metadata"]["annotations"][MEDIA_PORT] == "10000"
    assert all("hostPort" not in port for port in pod["spec"]["containers"][0]["ports"])
