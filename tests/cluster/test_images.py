"""The images of the parts: what is in them, and where they go."""

from __future__ import annotations

import http.client
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster import images
from tests.cluster.go_programs import REGISTRY
from tests.cluster.images import PARTS, Image
from tests.cluster.interface import Cluster
from tests.cluster.run import Run
from tests.ports import free_port

pytestmark = pytest.mark.cluster

# What each part cannot do without, beside its own package.
MODULES = {
    "operator": (
        "callfleet_operator, callfleet_operator.gateway.otlp, kopf, kubernetes, "
        "prometheus_api_client, cryptography"
    ),
    "engine": (
        "callfleet_engine, callfleet_engine._native, aiortc, av, pylibsrtp, asyncpg, aiosqlite"
    ),
    "relay": "callfleet_relay, callfleet_relay._native, aioice, uvloop, aiohttp",
}
POD = {
    "runAsNonRoot": True,
    "seccompProfile": {"type": "RuntimeDefault"},
}
CONTAINER = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}


@pytest.fixture(scope="module")
def built() -> dict[str, Image]:
    return {image.part: image for image in images.build_images()}


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """host:port of a registry in memory."""
    port = free_port()
    run = Run(tmp_path_factory.mktemp("registry") / "run")
    run.claim("registry", owned=True)
    program = REGISTRY.path()
    run.spawn("registry", program, f"-port={port}")
    ping = ["curl", "--silent", "--fail", f"http://127.0.0.1:{port}/v2/"]
    try:
        run.wait("the registry", ping, needs=["registry"])
        yield f"127.0.0.1:{port}"
    finally:
        run.end()
        run.remove()


@pytest.mark.parametrize("part", PARTS)
def test_its_entry_point_and_user(built: dict[str, Image], part: str) -> None:
    with tarfile.open(built[part].archive) as archive:
        (manifest,) = json.loads(_read(archive, "manifest.json"))
        settings = json.loads(_read(archive, manifest["Config"]))["config"]
    assert manifest["RepoTags"] == [built[part].reference]
    assert settings["Entrypoint"] == [f"callfleet-{part}"]
    assert settings["User"] == "10001:10001"


def test_an_unchanged_checkout_is_not_built_again(built: dict[str, Image]) -> None:
    before = {image.archive: image.archive.stat().st_ino for image in built.values()}
    again = images.build_images()
    assert {image.archive: image.archive.stat().st_ino for image in again} == before


def test_they_run_with_nothing_writable(
    cluster: Cluster, namespace: str, built: dict[str, Image]
) -> None:
    for part in PARTS:
        check = f"import pwd, os, shutil, {MODULES[part]}; print(pwd.getpwuid(os.getuid()).pw_name)"
        container = {
            "name": part,
            "image": built[part].reference,
            "imagePullPolicy": "Never",
            "command": ["sh", "-c", f'python -c "{check}" && command -v callfleet-{part}'],
            "securityContext": CONTAINER,
        }
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": part},
            "spec": {"restartPolicy": "Never", "securityContext": POD, "containers": [container]},
        }
        cluster.kubectl("apply", "-n", namespace, "-f", "-", stdin=json.dumps(pod))
    for part in PARTS:
        done = "--for=jsonpath={.status.containerStatuses[0].state.terminated}"
        cluster.kubectl("wait", "-n", namespace, f"pod/{part}", done, "--timeout=90s")
        output = cluster.kubectl("logs", "-n", namespace, f"pod/{part}")
        assert output.split() == ["callfleet", f"/usr/local/bin/callfleet-{part}"]


def test_they_are_pushed_and_named_for_helm(built: dict[str, Image], registry: str) -> None:
    reference = images.push(built["relay"], f"{registry}/team")
    repository, tag = reference.removeprefix(f"{registry}/").rsplit(":", 1)
    assert repository == "team/callfleet-relay"
    connection = http.client.HTTPConnection(registry, timeout=10)
    connection.request("GET", f"/v2/{repository}/tags/list")
    assert json.loads(connection.getresponse().read())["tags"] == [tag]
    connection.close()
    assert images.helm_values({"relay": reference}) == f"relay:\n  image: {reference}\n"


def test_a_copy_of_the_base_is_not_left_in_the_machines_store(built: dict[str, Image]) -> None:
    assert not Path("/var/lib/containers").exists()
    assert not Path("/etc/cni").exists()


def _read(archive: tarfile.TarFile, name: str) -> bytes:
    file = archive.extractfile(name)
    assert file is not None
    return file.read()
