"""Rendered objects on a real API server, in a namespace with Pod Security "restricted"."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, TypeVar

import pytest

from callfleet_operator.api.v1alpha1 import CallCluster, TurnPool
from callfleet_operator.render.engine_pod import engine_template
from callfleet_operator.render.fleet import Fleet
from callfleet_operator.render.objects import engine_objects, relay_objects
from callfleet_operator.render.pod import ordinal_pod
from callfleet_operator.render.relay_pod import relay_template
from callfleet_operator.render.revision import controller_revision, revision_hash
from callfleet_operator.render.turn_secret import PoolName, master_secret
from tests.callfleet_operator.render.samples import (
    ADMIN_KEYS,
    INSTALLATION,
    MASTER,
    call_cluster,
    full_call_cluster,
    full_turn_pool,
    turn_pool,
)
from tests.cluster.api_server import ApiServer
from tests.cluster.errors import HarnessError

pytestmark = [pytest.mark.api, pytest.mark.usefixtures("crds")]

PRIORITY_CLASS = {
    "apiVersion": "scheduling.k8s.io/v1",
    "kind": "PriorityClass",
    "metadata": {"name": "media"},
    "value": 1000,
}


@pytest.fixture
def restricted(api_server: ApiServer, api_namespace: str) -> str:
    """A namespace that admits no pod outside Pod Security's level "restricted"."""
    api_server.kubectl(
        "label", "namespace", api_namespace, "pod-security.kubernetes.io/enforce=restricted"
    )
    apply(api_server, api_namespace, PRIORITY_CLASS)
    return api_namespace


def apply(server: ApiServer, namespace: str, *objects: Mapping[str, Any]) -> None:
    """Server-side apply, as the operator does; unknown fields are errors."""
    many = {"apiVersion": "v1", "kind": "List", "items": objects}
    server.kubectl(
        "apply",
        "--server-side",
        "--validate=strict",
        f"--namespace={namespace}",
        "--filename=-",
        stdin=json.dumps(many),
    )


Resource = TypeVar("Resource", CallCluster, TurnPool)


def stored(server: ApiServer, namespace: str, resource: Resource) -> Resource:
    """The resource as the API server has it, with its uid: else garbage collection would take
    the objects for orphans."""
    metadata = {"name": resource.metadata.name, "namespace": namespace}
    text = json.dumps(resource.to_api() | {"metadata": metadata, "status": {}}, ensure_ascii=False)
    answer = server.kubectl("create", "--validate=strict", "-f", "-", "-o=json", stdin=text)
    return type(resource).model_validate_json(answer)


@pytest.mark.parametrize("cluster", [call_cluster(), full_call_cluster()])
def test_engines(api_server: ApiServer, restricted: str, cluster: CallCluster) -> None:
    cluster = stored(api_server, restricted, cluster)
    fleet = Fleet.of(cluster, INSTALLATION)
    template = engine_template(fleet, cluster.spec)
    masters = {PoolName(restricted, "relays"): (MASTER,)}
    apply(
        api_server,
        restricted,
        *engine_objects(cluster, INSTALLATION, admin_keys=ADMIN_KEYS, masters=masters),
        controller_revision(fleet, revision_hash(template), template, number=1),
        ordinal_pod(fleet, template, 0),
    )
    pods = api_server.kubectl("get", "pods", f"--namespace={restricted}", "-o=name")
    assert pods.split() == [f"pod/{fleet.pod_name(0)}"]


@pytest.mark.parametrize("pool", [turn_pool(), full_turn_pool()])
def test_relays_break_only_the_rule_on_host_ports(
    api_server: ApiServer, restricted: str, pool: TurnPool
) -> None:
    pool = stored(api_server, restricted, pool)
    fleet = Fleet.of(pool, INSTALLATION)
    template = relay_template(fleet, pool.spec)
    pod = ordinal_pod(fleet, template, 0)
    apply(
        api_server,
        restricted,
        *relay_objects(pool, INSTALLATION, admin_keys=ADMIN_KEYS),
        master_secret(fleet, (MASTER,)),
        controller_revision(fleet, revision_hash(template), template, number=1),
    )
    with pytest.raises(HarnessError, match='violates PodSecurity "restricted:latest": hostPort'):
        apply(api_server, restricted, pod)

    for port in pod["spec"]["containers"][0]["ports"]:
        port.pop("hostPort", None)
    apply(api_server, restricted, pod)


def test_relays_with_host_ports(api_server: ApiServer, api_namespace: str) -> None:
    pool = stored(api_server, api_namespace, turn_pool())
    fleet = Fleet.of(pool, INSTALLATION)
    pods = [ordinal_pod(fleet, relay_template(fleet, pool.spec), ordinal) for ordinal in range(2)]
    apply(
        api_server, api_namespace, *relay_objects(pool, INSTALLATION, admin_keys=ADMIN_KEYS), *pods
    )
