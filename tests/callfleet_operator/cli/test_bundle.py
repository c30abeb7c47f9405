"""`support-bundle`: what it holds, and above all what it does not."""

from __future__ import annotations

import asyncio
import base64
import json
import stat
import tarfile
from pathlib import Path

import pytest
import yaml

from tests.callfleet_operator.cli.commands import LOOK, refused, said, user
from tests.callfleet_operator.reconcile.specs import make_cluster, make_pool
from tests.callfleet_operator.reconcile.world import MASTER, World

pytestmark = [pytest.mark.api, pytest.mark.peer]

PLANTED = {
    "value": "hunter2-in-a-variable",
    "annotation": "hunter2-in-an-annotation",
    "applied": "hunter2-as-applied",
    "event": "hunter2-in-an-event",
    "secret": "hunter2-in-a-secret",
}
JWT = "eyJhbGciOiJFZERTQSJ9.eyJhdWQiOiJ1aWQifQ.c2lnbmF0dXJlLW9mLTY0"


def contents(path: Path) -> dict[str, str]:
    with tarfile.open(path) as archive:
        found = {}
        for member in archive.getmembers():
            assert member.mode == 0o600
            file = archive.extractfile(member)
            assert file is not None
            found[member.name.split("/", 1)[1]] = file.read().decode()
        return found


async def plant(here: World) -> None:
    """Secrets wherever a person, or a program, may have left one."""
    await here.secret("private", key=PLANTED["secret"])
    pool = await make_pool(here)
    cluster = await make_cluster(
        here,
        env=[{"name": "VENDOR_KEY", "value": PLANTED["value"]}],
        podMetadata={"annotations": {"example.org/api-key": PLANTED["annotation"]}},
    )
    await here.change_resource(
        cluster,
        {
            "metadata": {
                "annotations": {
                    "kubectl.kubernetes.io/last-applied-configuration": PLANTED["applied"]
                }
            }
        },
    )
    await here.settle(pool, cluster)
    event = {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": "planted", "namespace": here.namespace},
        "involvedObject": {"kind": "Pod", "namespace": here.namespace, "name": "x"},
        "message": f"cannot join with {JWT} at postgresql://calls:{PLANTED['event']}@db/calls",
    }
    await asyncio.to_thread(here.api.kubectl, "apply", "-f", "-", stdin=json.dumps(event))


async def test_no_planted_secret_is_in_it(here: World, tmp_path: Path) -> None:
    await plant(here)
    path = tmp_path / "bundle.tar.gz"
    text = await said(
        here, "support-bundle", "--file", str(path), f"--operator-namespace={here.namespace}"
    )
    assert str(path) in text
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    files = contents(path)
    everything = "\n".join(files.values())
    for secret in (*PLANTED.values(), JWT, MASTER, "hunter2"):
        assert secret not in everything
        assert base64.b64encode(secret.encode()).decode() not in everything
    assert "kind: Secret\n" not in everything
    assert "REDACTED" in everything


async def test_what_it_holds(here: World, tmp_path: Path) -> None:
    await plant(here)
    path = tmp_path / "bundle.tar.gz"
    await said(here, "support-bundle", "--file", str(path))
    files = contents(path)
    assert set(files) >= {
        "versions.json",
        "missing.txt",
        "fleets/callclusters.yaml",
        "fleets/turnpools.yaml",
        "fleets/pods.yaml",
        "fleets/events.yaml",
        "fleets/configmaps.yaml",
        "cluster/customresourcedefinitions.yaml",
    }
    assert json.loads(files["versions.json"])["kubernetes"].startswith("v1.")
    (cluster,) = yaml.safe_load_all(files["fleets/callclusters.yaml"])
    assert cluster["status"]["conditions"]
    maps = {one["metadata"]["name"] for one in yaml.safe_load_all(files["fleets/configmaps.yaml"])}
    assert {"calls-engine-decisions", "relays-relay-decisions", "calls-engine"} <= maps
    assert "no operator in namespace callfleet-system" in files["missing.txt"]
    message = await refused(here, "support-bundle", "--file", str(path))
    assert "exists already: name another --file" in message
    message = await refused(here, "support-bundle", "--file", str(tmp_path / "no" / "x.tar.gz"))
    assert "cannot be written" in message


async def test_what_one_may_not_read_is_named(here: World, tmp_path: Path) -> None:
    await plant(here)
    looker = await user(here, "looker", *LOOK)
    path = tmp_path / "bundle.tar.gz"
    text = await said(here, "support-bundle", "--file", str(path), kubeconfig=looker)
    assert "without fleets/services: " in text
    missing = contents(path)["missing.txt"]
    assert 'cannot list resource "nodes"' in missing
    assert "fleets/pods" not in missing
