"""`doctor` on a real API server, with a real Prometheus and a real relay."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from callfleet_operator.api.v1alpha1.crd import KINDS, custom_resource_definition
from callfleet_operator.cli.installation import installation_of, proxied
from callfleet_operator.cli.rights import operator_rights
from callfleet_operator.cli.views.checks import Outcome, connections_check, crd_check, report
from callfleet_operator.gateway.resources import SECRETS
from tests.callfleet_engine.postgresql import PrivatePostgresql
from tests.callfleet_operator.cli.commands import LOOK, run, user
from tests.callfleet_operator.cli.golden import check
from tests.callfleet_operator.gateway.prometheus_server import Server
from tests.callfleet_operator.reconcile.specs import make_cluster, make_pool
from tests.callfleet_operator.reconcile.world import World
from tests.callfleet_relay.conftest import StartRelay
from tests.charts.test_chart import rendered

DEPLOYMENT: dict[str, Any] = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "callfleet-operator", "labels": {}},
    "spec": {
        "replicas": 0,
        "selector": {"matchLabels": {"app.kubernetes.io/name": "callfleet-operator"}},
        "template": {
            "metadata": {"labels": {"app.kubernetes.io/name": "callfleet-operator"}},
            "spec": {
                "serviceAccountName": "callfleet-operator",
                "containers": [
                    {
                        "name": "operator",
                        "image": "example.org/operator:1",
                        "args": [
                            "run",
                            "--prometheus-url=http://prometheus.nowhere:9090",
                            "--namespace=a",
                            "--namespace=b",
                        ],
                    }
                ],
            },
        },
    },
}


def of(checks: Iterable[dict[str, str]], subject: str) -> dict[str, str]:
    (found,) = [one for one in checks if one["subject"] == subject]
    return found


async def looked(
    here: World, *options: str, kubeconfig: Path | None = None
) -> tuple[int, list[dict[str, str]]]:
    where = f"--operator-namespace={here.namespace}"
    result = await run(here, "doctor", where, "-o", "json", *options, kubeconfig=kubeconfig)
    checks: list[dict[str, str]] = json.loads(result.stdout)["checks"]
    assert all(one["text"] for one in checks)
    assert all(one["remedy"] for one in checks if one["outcome"] == "unknown")
    return result.exit_code, checks


@pytest.mark.api
@pytest.mark.peer
async def test_what_is_in_order(
    here: World,
    prometheus_server: Server,
    start_relay: StartRelay,
    postgresql_server: PrivatePostgresql,
) -> None:
    relay = await asyncio.to_thread(start_relay)
    listener = {"protocol": "UDP", "port": relay.address[1]}
    exposure = {"relaysPerNode": 1, "address": {"source": "Static", "value": "127.0.0.1"}}
    pool = await make_pool(here, listeners=[listener], exposure=exposure)
    database = await asyncio.to_thread(postgresql_server.new_database)
    cluster = await make_cluster(here, database=database, turn={"poolRefs": [{"name": "relays"}]})
    await here.settle(pool, cluster, pool, rounds=5)
    code, checks = await looked(here, f"--prometheus-url={prometheus_server.url}")
    for kind in ("callclusters", "turnpools"):
        assert of(checks, f"CRD {kind}")["outcome"] == "ok"
    assert of(checks, "Prometheus")["outcome"] == "ok"
    assert of(checks, "query engines occupancy")["text"] == "1 series."
    assert of(checks, "query relays occupancy")["outcome"] == "ok"
    assert of(checks, f"Secret {here.namespace}/join-keys")["outcome"] == "ok"
    assert of(checks, f"Secret {here.namespace}/relay-keys")["outcome"] == "ok"
    assert "answered in" in of(checks, "relay relays-relay-0")["text"]
    assert of(checks, "database of calls") == {
        "subject": "database of calls",
        "outcome": "ok",
        "text": "5 pods (maxTotalReplicas) with 10 connections each take up to 50, of 97 that "
        "there are (max_connections 100); that is more than the quarter of them that is advised.",
        "remedy": "",
    }
    assert of(checks, f"TurnPool {here.namespace}/relays")["outcome"] == "ok"
    assert of(checks, "your rights")["text"].startswith("Every command may be used")
    # The operator itself is not installed there, which is a problem.
    problems = [one["subject"] for one in checks if one["outcome"] == "problem"]
    assert (code, problems) == (1, ["operator"])


@pytest.mark.api
@pytest.mark.peer
async def test_what_is_wrong_comes_with_its_remedy(
    here: World, postgresql_server: PrivatePostgresql
) -> None:
    exposure = {"relaysPerNode": 1, "address": {"source": "Static", "value": "127.0.0.1"}}
    pool = await make_pool(here, exposure=exposure, listeners=[{"protocol": "UDP", "port": 9}])
    cluster = await make_cluster(
        here,
        database=f"{await asyncio.to_thread(postgresql_server.new_database)}_of_nobody",
        turn={"poolRefs": [{"name": "nobody"}]},
    )
    await here.people.client.request(
        "delete", SECRETS.path(here.namespace, "join-keys"), serialize=False
    )
    await here.settle(pool, cluster)
    code, checks = await looked(here, "--prometheus-url=http://127.0.0.1:1")
    assert code == 1
    wrong = [one for one in checks if one["outcome"] == "problem"]
    assert all(one["remedy"] for one in wrong)
    subjects = {one["subject"] for one in wrong}
    assert {
        "Prometheus",
        "operator",
        "relay relays-relay-0",
        "database of calls",
        f"Secret {here.namespace}/join-keys",
        f"CallCluster {here.namespace}/calls",
    } <= subjects
    assert "does not exist" in of(checks, "database of calls")["text"]
    assert "Correct the key uri of the Secret calls-db" in of(checks, "database of calls")["remedy"]
    assert "UDP port 9 of 127.0.0.1" in of(checks, "relay relays-relay-0")["remedy"]
    text = (await run(here, "doctor", f"--operator-namespace={here.namespace}")).stdout
    assert "problem  operator" in text


@pytest.mark.api
@pytest.mark.peer
async def test_what_cannot_be_told_is_unknown(here: World) -> None:
    await here.people.create(
        DEPLOYMENT
        | {
            "metadata": DEPLOYMENT["spec"]["template"]["metadata"]
            | {"name": "callfleet-operator", "namespace": here.namespace}
        }
    )
    key = await make_cluster(here, database="postgresql://callfleet@127.0.0.1:1/calls")
    await here.settle(key)
    looker = await user(here, "looker", *LOOK)
    _, checks = await looked(here, kubeconfig=looker)
    for subject in ("CRD callclusters", "operator", "Prometheus", "database of calls"):
        assert of(checks, subject)["outcome"] == "unknown"
    rights = of(checks, "your rights")
    assert rights["outcome"] == "ok"
    assert "drain, undrain (no patch pods)" in rights["text"]
    assert "does not complain" in of(checks, f"Secret {here.namespace}/join-keys")["text"]

    # Who sees the Deployment is told how to look from inside, and which rights the operator lacks.
    _, checks = await looked(here)
    assert of(checks, "Prometheus")["remedy"] == (
        f"Look from inside: kubectl -n {here.namespace} exec deployment/callfleet-operator -- "
        f"callfleet doctor -n {here.namespace} --prometheus-url http://prometheus.nowhere:9090"
    )
    database = of(checks, "database of calls")
    assert database["outcome"] == "unknown"
    assert database["text"].startswith("Not reached from here: ")
    assert database["remedy"].startswith("Look from inside: kubectl -n ")
    lacking = of(checks, f"operator's rights in {here.namespace}")
    assert lacking["outcome"] == "problem"
    assert "get callclusters.callfleet.dev" in lacking["text"]


def test_a_deployment_is_read() -> None:
    body = DEPLOYMENT | {"metadata": {"name": "callfleet-operator", "namespace": "system"}}
    one = installation_of(body)
    assert one.prometheus_url == "http://prometheus.nowhere:9090"
    assert one.namespaces == ("a", "b")
    assert one.user == "system:serviceaccount:system:callfleet-operator"


@pytest.mark.parametrize(
    ("url", "path"),
    [
        (
            "http://prometheus.monitoring:9090",
            "/api/v1/namespaces/monitoring/services/prometheus:9090/proxy",
        ),
        (
            "https://p.m.svc.cluster.local/prom/",
            "/api/v1/namespaces/m/services/https:p:443/proxy/prom",
        ),
        ("http://prometheus.example.org:9090", ""),
        ("http://10.0.0.7:9090", ""),
        ("http://localhost:9090", ""),
        ("prometheus", ""),
    ],
)
def test_which_addresses_the_api_server_passes_on_to(url: str, path: str) -> None:
    assert proxied(url) == path


def test_crds_of_other_releases() -> None:
    ours = custom_resource_definition(KINDS[0])
    assert crd_check("callclusters", ours, ours).outcome is Outcome.OK
    older: dict[str, Any] = json.loads(json.dumps(ours))
    schema = older["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    del schema["properties"]["spec"]["properties"]["capacity"]
    lacking = crd_check("callclusters", older, ours)
    assert lacking.outcome is Outcome.PROBLEM
    assert "lacks spec.capacity, spec.capacity.participantsPerPod" in lacking.text
    newer = crd_check("callclusters", ours, older)
    assert newer.outcome is Outcome.PROBLEM
    assert "is of a newer one" in newer.text
    other: dict[str, Any] = json.loads(json.dumps(ours))
    other["spec"]["versions"][0]["name"] = "v1"
    assert "serves v1, not v1alpha1" in crd_check("callclusters", other, ours).text


@pytest.mark.parametrize(
    ("pods", "each", "usable", "remedy"),
    [
        (9, 10, 97, ""),
        (10, 10, 97, "by 3, or lower store.postgresql.maxConnectionsPerPod to 9."),
        (200, 10, 97, "by 1903, or lower scaling.maxTotalReplicas to 9."),
        (3, 100, 2, "by 298, or lower scaling.maxTotalReplicas to 1."),
    ],
)
def test_connections_of_all_pods_have_to_fit(
    pods: int, each: int, usable: int, remedy: str
) -> None:
    found = connections_check("database", pods=pods, each=each, maximum=100, usable=usable)
    assert found.outcome is (Outcome.PROBLEM if remedy else Outcome.OK)
    assert found.remedy.endswith(remedy)
    assert f"take up to {pods * each}" in found.text


def test_a_fleet_within_a_quarter_of_the_connections_hears_nothing_of_it() -> None:
    found = connections_check("database", pods=5, each=5, maximum=100, usable=97)
    assert found.text == (
        "5 pods (maxTotalReplicas) with 5 connections each take up to 25, of 97 that there are "
        "(max_connections 100)."
    )


def test_a_report() -> None:
    older: dict[str, Any] = json.loads(json.dumps(custom_resource_definition(KINDS[0])))
    schema = older["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    del schema["properties"]["spec"]["properties"]["capacity"]
    ours = custom_resource_definition(KINDS[0])
    check(
        "doctor",
        report([crd_check("callclusters", ours, ours), crd_check("callclusters", older, ours)]),
    )


@pytest.mark.api
def test_the_chart_gives_every_right_that_is_asked_for() -> None:
    """What `doctor` asks for is what the operator has, neither more nor less."""
    (role,) = [
        one
        for one in rendered("--set=prometheus.url=http://prometheus.monitoring:9090")
        if one["kind"] == "ClusterRole"
    ]
    given = {
        (group, resource, verb)
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
    asked = {
        (one.group, "/".join(filter(None, [one.resource, one.subresource])), one.verb)
        for one in operator_rights("media")
    }
    assert asked == given
