"""The chart: lint, what it renders, what it refuses, and the rights it gives."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster.api_server import ApiServer
from tests.cluster.clients import helm, kubectl

pytestmark = pytest.mark.api

CHECKOUT = Path(__file__).parents[2]
CHART = CHECKOUT / "charts" / "callfleet"
NAMESPACE = "callfleet-system"
URL = "--set=prometheus.url=http://prometheus.monitoring:9090"


def run_helm(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [helm(), *arguments], capture_output=True, text=True, check=False, timeout=60
    )


def rendered(*settings: str, namespace: str = NAMESPACE) -> list[dict[str, Any]]:
    done = run_helm("template", "callfleet", str(CHART), f"--namespace={namespace}", *settings)
    assert done.returncode == 0, done.stderr
    return [document for document in yaml.safe_load_all(done.stdout) if document]


def refusal(*settings: str) -> str:
    done = run_helm("template", "callfleet", str(CHART), f"--namespace={NAMESPACE}", *settings)
    assert done.returncode != 0, f"accepted: {settings}"
    return done.stderr


def the(kind: str, documents: Iterable[dict[str, Any]], name: str = "") -> dict[str, Any]:
    (found,) = [
        document
        for document in documents
        if document["kind"] == kind and name in ("", document["metadata"]["name"])
    ]
    return found


def operator_container(*settings: str) -> dict[str, Any]:
    deployment = the("Deployment", rendered(URL, *settings))
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert isinstance(container, dict)
    return container


def test_lint() -> None:
    done = run_helm("lint", "--strict", str(CHART), URL)
    assert done.returncode == 0, done.stdout + done.stderr


def test_an_empty_prometheus_url_is_refused_with_the_remedy() -> None:
    assert "--set prometheus.url=http://prometheus.monitoring:9090" in refusal()


@pytest.mark.parametrize(
    ("setting", "named"),
    [
        ("prometheus.urll=http://p:9090", "'urll' not allowed"),
        ("prometheus.url=p:9090", "at '/prometheus/url'"),
        ("prometheus.url=http://user:word@p:9090", "at '/prometheus/url'"),
        ("operator.replicas=0", "at '/operator/replicas'"),
        ("operator.tickSeconds=0", "at '/operator/tickSeconds'"),
        ("operator.imagePullPolicy=Sometimes", "at '/operator/imagePullPolicy'"),
        ("watchNamespaces={Calls}", "at '/watchNamespaces/0'"),
        ("replicas=2", "'replicas' not allowed"),
    ],
)
def test_a_wrong_value_is_named(setting: str, named: str) -> None:
    assert named in refusal(URL, f"--set={setting}")


def test_every_value_stands_in_values_yaml() -> None:
    """The reverse, that every value there is known, is what the closed schema checks."""

    def missing(schema: dict[str, Any], values: dict[str, Any]) -> Iterator[str]:
        for name, part in schema.get("properties", {}).items():
            if name not in values:
                yield name
            else:
                yield from missing(part, values[name])

    schema = json.loads((CHART / "values.schema.json").read_text("utf-8"))
    values = yaml.safe_load((CHART / "values.yaml").read_text("utf-8"))
    assert list(missing(schema, values)) == ["global"]


def test_the_notes_lead_to_a_call() -> None:
    done = run_helm(
        "install", "callfleet", str(CHART), f"--namespace={NAMESPACE}", "--dry-run=client", URL
    )
    assert done.returncode == 0, done.stderr
    notes = done.stdout.partition("NOTES:")[2]
    for step in (
        "callfleet token keys -o secret --name join-keys --namespace calls",
        "kubectl apply -f examples/quickstart.yaml",
        "kubectl -n calls port-forward service/calls-engine 8080:80",
        "callfleet token --keys-file keys.json --room demo --identity ada --link",
    ):
        assert step in notes


def test_one_replica_acts_and_another_stands_by() -> None:
    documents = rendered(URL)
    spec = the("Deployment", documents)["spec"]
    assert (spec["replicas"], spec["strategy"]["type"]) == (2, "RollingUpdate")
    # A standby is ready, so a roll-out goes on; no replica goes before another is there.
    assert spec["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
    assert "--lease-name=callfleet-operator" in operator_container()["args"]
    budget = the("PodDisruptionBudget", documents)["spec"]
    assert budget["maxUnavailable"] == 1
    assert budget["selector"] == spec["selector"]
    away = spec["template"]["spec"]["affinity"]["podAntiAffinity"]
    (preferred,) = away["preferredDuringSchedulingIgnoredDuringExecution"]
    assert preferred["podAffinityTerm"]["labelSelector"] == spec["selector"]


def test_a_single_replica_has_no_budget_that_would_hold_up_a_node_drain() -> None:
    kinds = {document["kind"] for document in rendered(URL, "--set=operator.replicas=1")}
    assert "PodDisruptionBudget" not in kinds


def test_an_affinity_of_the_users_is_the_only_one() -> None:
    deployment = the(
        "Deployment", rendered(URL, '--set-json=operator.affinity={"nodeAffinity":{}}')
    )
    assert deployment["spec"]["template"]["spec"]["affinity"] == {"nodeAffinity": {}}


def test_pod_monitors_may_be_made() -> None:
    """kubectl auth can-i does not know the kind where it is not installed."""
    (rule,) = [
        rule
        for rule in the("ClusterRole", rendered(URL))["rules"]
        if rule["apiGroups"] == ["monitoring.coreos.com"]
    ]
    assert rule["resources"] == ["podmonitors"]
    assert rule["verbs"] == ["get", "create", "patch"]


def test_labels_of_pod_monitors_are_passed_on() -> None:
    args = operator_container("--set=podMonitor.labels.release=prometheus")["args"]
    assert "--pod-monitor-label=release=prometheus" in args


def test_images_default_to_the_release() -> None:
    version = yaml.safe_load((CHART / "Chart.yaml").read_text())["appVersion"]
    container = operator_container()
    assert container["image"] == f"ghcr.io/callfleet/callfleet-operator:{version}"
    assert f"--engine-image=ghcr.io/callfleet/callfleet-engine:{version}" in container["args"]
    assert f"--relay-image=ghcr.io/callfleet/callfleet-relay:{version}" in container["args"]


def test_images_are_full_references() -> None:
    container = operator_container(
        "--set=operator.image=r:5000/operator:2",
        "--set=engine.image=r:5000/engine@sha256:aa",
        "--set=relay.image=r:5000/relay",
    )
    assert container["image"] == "r:5000/operator:2"
    assert "--engine-image=r:5000/engine@sha256:aa" in container["args"]
    assert "--relay-image=r:5000/relay" in container["args"]


def test_credentials_of_prometheus_are_mounted() -> None:
    container = operator_container(
        "--set=prometheus.tokenSecretRef.name=prometheus",
        "--set=prometheus.caConfigMapRef.name=authorities",
    )
    assert "--prometheus-token-file=/etc/callfleet/prometheus-token/token" in container["args"]
    assert "--prometheus-ca-file=/etc/callfleet/prometheus-ca/ca.crt" in container["args"]
    mounts = {mount["name"] for mount in container["volumeMounts"]}
    assert mounts == {"tmp", "prometheus-token", "prometheus-ca"}


@pytest.mark.parametrize("keep", [True, False])
def test_the_crds_are_those_of_the_project(keep: bool) -> None:  # a parameter
    documents = rendered(URL, f"--set=crds.keep={str(keep).lower()}")
    for file in (CHECKOUT / "crds").iterdir():
        expected = yaml.safe_load(file.read_text("utf-8"))
        crd = the("CustomResourceDefinition", documents, expected["metadata"]["name"])
        kept = crd["metadata"].get("annotations") == {"helm.sh/resource-policy": "keep"}
        assert crd["spec"] == expected["spec"]
        assert kept == keep


def test_crds_can_be_left_out() -> None:
    kinds = {document["kind"] for document in rendered(URL, "--set=crds.enabled=false")}
    assert "CustomResourceDefinition" not in kinds


def test_the_api_server_takes_every_object(api_server: ApiServer, api_namespace: str) -> None:
    settings = (
        URL,
        f"--set=watchNamespaces={{{api_namespace}}}",
        "--set=prometheus.tokenSecretRef.name=prometheus",
        "--set=prometheus.caConfigMapRef.name=authorities",
        "--set=operator.imagePullSecrets[0].name=registry",
        "--set=operator.priorityClassName=system-cluster-critical",
        "--set=operator.podLabels.team=calls",
        "--set=dashboard.enabled=true",
        "--set=tracing.endpoint=http://collector.tracing:4318",
    )
    api_server.kubectl(
        "label", "namespace", api_namespace, "pod-security.kubernetes.io/enforce=restricted"
    )
    told = api_server.kubectl(
        "apply",
        "--server-side",
        "--force-conflicts",
        "--dry-run=server",
        "--validate=strict",
        "--filename=-",
        stdin=yaml.safe_dump_all(rendered(*settings, namespace=api_namespace)),
    )
    assert "deployment.apps/callfleet-operator serverside-applied" in told


CAN = (
    "list callclusters.callfleet.dev",
    "patch turnpools.callfleet.dev --subresource=status",
    "watch pods",
    "create pods",
    "delete pods",
    "patch secrets",
    "create events.events.k8s.io",
    "create controllerrevisions.apps",
    "patch poddisruptionbudgets.policy",
)
IN_ITS_NAMESPACE = (
    "get secrets/callfleet-operator-admin",
    "get leases.coordination.k8s.io/callfleet-operator",
    "update leases.coordination.k8s.io/callfleet-operator",
    "create leases.coordination.k8s.io",
)
CANNOT = (
    "patch turnpools.callfleet.dev",
    "delete turnpools.callfleet.dev",
    "create pods --subresource=exec",
    "create pods --subresource=eviction",
    "list secrets",
    "delete secrets",
    "create deployments.apps",
    "create roles.rbac.authorization.k8s.io",
    "impersonate users",
    "update leases.coordination.k8s.io/another",
    "delete leases.coordination.k8s.io/callfleet-operator",
)


def allowed(server: ApiServer, release: str, namespace: str, questions: Iterable[str]) -> list[str]:
    """Those of the questions that RBAC answers with yes for the operator."""
    config = server.kubeconfig_of(
        f"system:serviceaccount:{release}:callfleet-operator",
        ["system:serviceaccounts", f"system:serviceaccounts:{release}"],
    )
    can_i: list[str | Path] = [
        kubectl(),
        f"--kubeconfig={config}",
        f"--namespace={namespace}",
        "auth",
        "can-i",
    ]
    return [
        question
        for question in questions
        if server.run.run(*can_i, *question.split(), check=False).stdout.strip() == "yes"
    ]


@pytest.mark.usefixtures("crds")
@pytest.mark.parametrize("narrow", [True, False])
def test_rights(
    api_server: ApiServer,
    api_namespace: str,
    narrow: bool,  # a parameter
) -> None:
    settings = [f"--set=watchNamespaces={{{api_namespace}}}"] if narrow else []
    roles = yaml.safe_dump_all(
        document
        for document in rendered(URL, *settings, namespace=api_namespace)
        if document["apiVersion"].startswith("rbac.")
    )
    api_server.kubectl("apply", "--filename=-", stdin=roles)
    try:
        assert allowed(api_server, api_namespace, api_namespace, CAN) == list(CAN)
        assert allowed(api_server, api_namespace, api_namespace, CANNOT) == []
        own = allowed(api_server, api_namespace, api_namespace, IN_ITS_NAMESPACE)
        assert own == list(IN_ITS_NAMESPACE)
        leases = [question for question in IN_ITS_NAMESPACE if "leases" in question]
        assert allowed(api_server, api_namespace, "default", leases) == []
        elsewhere = allowed(api_server, api_namespace, "default", ["create pods", "get nodes"])
        assert elsewhere == (["get nodes"] if narrow else ["create pods", "get nodes"])
    finally:
        api_server.kubectl("delete", "--filename=-", stdin=roles)
