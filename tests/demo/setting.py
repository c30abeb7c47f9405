"""Everything between an empty machine and a fleet that is ready for calls."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import yaml

from tests.cluster.clients import helm
from tests.cluster.errors import HarnessError
from tests.cluster.images import CHECKOUT, Image, helm_values, load_all
from tests.cluster.interface import Cluster
from tests.cluster.progress import step
from tests.demo.stage import OPERATOR_NAMESPACE

NAMESPACE = "demo"
CLUSTER = "demo"
POOL = "relays"
SETTINGS: Mapping[str, int] = MappingProxyType(
    {"operator.tickSeconds": 3, "operator.demandWindowSeconds": 60}
)
"""Values of the chart, so short that scaling shows in minutes."""
READY_SECONDS = 180
KEYS = "keys.json"


@dataclass(frozen=True)
class Fleet:
    """Where clients find the fleet that was set up."""

    signalling: str
    keys_file: Path
    """JWK Set that signs join tokens for it."""


def set_up(cluster: Cluster, directory: Path) -> Fleet:
    """Images, Prometheus, PostgreSQL, the chart and examples/demo.yaml.

    Raises:
        HarnessError: a step failed; the text holds what the program said.
    """
    images = load_all(cluster)
    start_services(cluster, NAMESPACE)
    with step("helm upgrade --install callfleet charts/callfleet", "10 s"):
        install_chart(cluster, images, directory)
    with step("kubectl apply -f examples/demo.yaml", "15 s until both are ready"):
        cluster.kubectl("-n", NAMESPACE, "apply", "-f", str(example_file("demo")))
        for kind in ("turnpool", "callcluster"):
            wait_for(cluster, NAMESPACE, kind, "--all", "condition=Ready")
    return Fleet(signalling(cluster), keys_file(cluster, NAMESPACE, directory))


def start_services(cluster: Cluster, namespace: str) -> None:
    """Make a namespace, with Prometheus and PostgreSQL in it. Raises HarnessError."""
    cluster.kubectl("create", "namespace", namespace)
    with step("Starting Prometheus and PostgreSQL", "10 s"):
        for example in ("prometheus", "postgresql"):
            cluster.kubectl("-n", namespace, "apply", "-f", str(example_file(example)))
        for workload in ("deployment/prometheus", "statefulset/postgresql"):
            rolled_out(cluster, namespace, workload)


def rolled_out(cluster: Cluster, namespace: str, workload: str) -> None:
    """Wait for a workload's pods, such as of deployment/NAME. Raises HarnessError."""
    cluster.kubectl("-n", namespace, "rollout", "status", workload, f"--timeout={READY_SECONDS}s")


def example_file(name: str) -> Path:
    """A manifest that users apply too."""
    return CHECKOUT / "examples" / f"{name}.yaml"


def load_command(cluster: Cluster, fleet: Fleet, scenario: object, directory: Path) -> list[str]:
    """`callfleet load` as it runs at the client, led through standard input."""
    file = directory / "scenario.yaml"
    file.write_text(yaml.safe_dump(scenario, sort_keys=False))
    return cluster.in_client_network(
        [
            Path(sys.executable).parent / "callfleet",
            "load",
            *("--url", fleet.signalling),
            *("--keys-file", str(fleet.keys_file)),
            *("--scenario", str(file)),
            *("--report", str(directory / "load.json")),
            *("--events", "-"),
            "--control",
        ]
    )


def install_chart(
    cluster: Cluster,
    images: Sequence[Image],
    directory: Path,
    *,
    namespace: str = NAMESPACE,
    settings: Mapping[str, int] = SETTINGS,
) -> None:
    """The operator, or nothing new where it is. `namespace` is that of Prometheus, `settings` are
    values of the chart. Raises HarnessError."""
    values = directory / "values.yaml"
    values.write_text(helm_values({image.part: image.reference for image in images}))
    command = [
        str(helm()), f"--kubeconfig={cluster.kubeconfig}", "upgrade", "--install", "callfleet",
        str(CHECKOUT / "charts/callfleet"), f"--namespace={OPERATOR_NAMESPACE}",
        "--create-namespace", f"--values={values}",
        f"--set=prometheus.url=http://prometheus.{namespace}:9090",
        *(f"--set={name}={value}" for name, value in settings.items()),
    ]  # fmt: skip
    done = subprocess.run(
        cluster.in_cluster_network(command),
        capture_output=True, text=True, check=False, timeout=READY_SECONDS,
    )  # fmt: skip
    if done.returncode:
        raise HarnessError(f"helm upgrade: {done.stderr or done.stdout}")
    (directory / "notes.txt").write_text(done.stdout)
    wait_for(cluster, OPERATOR_NAMESPACE, "deployment", "--all", "condition=Available")


def wait_for(cluster: Cluster, namespace: str, kind: str, which: str, condition: str) -> None:
    """`kubectl wait --for=CONDITION`. Raises HarnessError past the limit."""
    cluster.kubectl(
        "-n", namespace, "wait", kind, which, f"--for={condition}", f"--timeout={READY_SECONDS}s"
    )


def signalling(
    cluster: Cluster, *, namespace: str = NAMESPACE, service: str = f"{CLUSTER}-engine"
) -> str:
    """Where clients reach signalling and the page: a port of the node."""
    found: dict[str, Any] = json.loads(
        cluster.kubectl("-n", namespace, "get", "service", service, "-o", "json")
    )
    (port,) = [p for p in found["spec"]["ports"] if p["name"] == "signalling"]
    if "nodePort" not in port:
        raise HarnessError(
            f"service {service} has no node port: of a CallCluster, signalling.serviceType must "
            "be NodePort"
        )
    return f"http://{cluster.node_address()}:{port['nodePort']}"


def join_link(cluster: Cluster, keys_file: Path) -> str:
    """A link to the call page with a join token for the room `demo`, good for an hour."""
    command = [
        str(Path(sys.executable).parent / "callfleet"), "token", "--keys-file", str(keys_file),
        "--room", NAMESPACE, "--identity", "guest", "--link", signalling(cluster),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    if done.returncode:
        raise HarnessError(f"callfleet token: {done.stderr}")
    return done.stdout.strip()


def keys_file(cluster: Cluster, namespace: str, directory: Path) -> Path:
    """The key set that signs join tokens, out of the namespace's Secret join-keys."""
    data = cluster.kubectl(
        "-n", namespace, "get", "secret", "join-keys", "-o",
        "go-template={{index .data \"keys.json\" | base64decode}}",
    )  # fmt: skip
    file = directory / KEYS
    file.touch(mode=0o600)
    file.write_text(data)
    return file
