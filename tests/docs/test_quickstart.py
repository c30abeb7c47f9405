"""docs/quickstart.md and docs/uninstall.md, as written, on an API server of their own.

What needs a node is left out here: `python -m tests.docs.quickstart` runs the whole page, and
`tests/demo/test_uninstall.py` uninstalls while there are calls.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.cluster import choice, prepare
from tests.cluster.api_server import ApiServer
from tests.cluster.images import PARTS, helm_values
from tests.docs.commands import CHECKOUT, blocks, commands, filled_in
from tests.docs.shell import run
from tests.waiting import eventually

pytestmark = pytest.mark.api

NEEDS_A_NODE = re.compile(
    r"^(make|callfleet load|kubectl .*(rollout status|port-forward| wait )).*\n", re.MULTILINE
)
NODE = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "node-1"}}


@pytest.fixture
def server() -> Iterator[ApiServer]:
    """One that knows nothing of Callfleet: those that tests share have its CRDs, and keep them."""
    prepare.require(prepare.API)
    made = choice.new_api_server(f"pytest-{os.getpid()}-quickstart")
    try:
        made.up(owned=True)
        yield made
    finally:
        made.down()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Where the reader stands once the images have been built and pushed."""
    for name in ("charts", "examples"):
        (tmp_path / name).symlink_to(CHECKOUT / name)
    references = {part: f"registry.example.org/team/callfleet-{part}:1" for part in PARTS}
    (tmp_path / "images.yaml").write_text(helm_values(references))
    return tmp_path


def test_from_an_empty_cluster_to_an_empty_cluster(server: ApiServer, checkout: Path) -> None:
    paste = partial(run, kubeconfig=server.kubeconfig, folder=checkout)
    server.kubectl("create", "--filename=-", stdin=json.dumps(NODE))
    written = [NEEDS_A_NODE.sub("", block) for block in blocks("quickstart")]
    *steps, away = [block.replace(" NODE ", " node-1 ") for block in written if block.strip()]
    said = ""
    for step in steps:
        said = paste(step)
        if "helm install" in step:
            established(server)
    assert len(re.findall(r"^http://localhost:8080/\S+$", said, re.MULTILINE)) == 2, "the links"
    assert fleets(server) == ["callcluster.callfleet.dev/calls", "turnpool.callfleet.dev/relays"]
    for manifest in blocks("operations", "yaml"):
        checked = ("--namespace=calls", "--dry-run=server", "--validate=strict", "--filename=-")
        assert "(server dry run)" in server.kubectl("apply", *checked, stdin=manifest)

    paste(away)
    assert crds(server) == []

    (install,) = [step for step in steps if "helm install" in step]
    paste(install)
    established(server)
    paste("kubectl apply -f examples/quickstart.yaml")
    helm_uninstall, *rest = commands("uninstall")
    paste(helm_uninstall)
    assert len(fleets(server)) == 2, "they are the namespace's"
    for command in rest:
        paste(filled_in(command, {"NAMESPACE": "calls"}))
    assert crds(server) == []
    assert "callfleet-system" not in server.kubectl("get", "namespaces", "-o", "name")


def established(server: ApiServer) -> None:
    """Return when the kinds are served: with a node the operator takes longer than that."""
    wait = ("wait", "--for=condition=Established", "crd", "--all", "--timeout=60s")
    eventually(lambda: server.kubectl(*wait))
    eventually(lambda: server.kubectl("get", "callclusters,turnpools", "--all-namespaces"))


def fleets(server: ApiServer) -> list[str]:
    found = server.kubectl("-n", "calls", "get", "callclusters,turnpools", "-o", "name")
    return found.split()


def crds(server: ApiServer) -> list[str]:
    return server.kubectl("get", "crds", "-o", "name").split()
