"""The kind way: the real kind takes our configuration; only `docker` is a stand-in."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from tests.cluster import choice
from tests.cluster.container_tools import docker_answers
from tests.cluster.errors import HarnessError
from tests.cluster.kind import KindCluster
from tests.cluster.local import LocalCluster
from tests.cluster.named import NamedCluster

# Answers what kind asks before it makes a node, then refuses to make one.
DOCKER = """#!/bin/sh
printf '%s\\n' "$*" >>"$DOCKER_CALLS"
case "$*" in
  info*json*) echo '{"CgroupVersion": "2", "MemoryLimit": true, "PidsLimit": true}' ;;
  info*) echo "$DOCKER_VERSION" ;;
  run*) echo "no node today" >&2; exit 125 ;;
esac
"""


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A `docker` with a daemon in PATH; the file that names what it was called with."""
    script = tmp_path / "bin/docker"
    script.parent.mkdir()
    script.write_text(DOCKER)
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{script.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("DOCKER_CALLS", str(tmp_path / "calls"))
    monkeypatch.setenv("DOCKER_VERSION", "28.0.0")
    monkeypatch.setenv("CALLFLEET_STATE", str(tmp_path / "state"))
    monkeypatch.delenv("CALLFLEET_KUBECONFIG", raising=False)
    monkeypatch.delenv("CALLFLEET_CLUSTER", raising=False)
    return tmp_path / "calls"


@pytest.mark.peer
def test_kind_publishes_signalling_and_the_relays_ports(calls: Path, tmp_path: Path) -> None:
    cluster = KindCluster(tmp_path / "state/demo")
    with pytest.raises(HarnessError, match="no node today"):
        cluster.up()
    (run,) = (line for line in calls.read_text().splitlines() if line.startswith("run "))
    published = {word for word in run.split() if word.startswith("--publish=")}
    assert published >= {
        "--publish=127.0.0.1:30080:30080/TCP",
        *(f"--publish=127.0.0.1:{port}:{port}/UDP" for port in range(3478, 3482)),
    }
    assert "--name demo-control-plane" in run


@pytest.mark.peer
def test_a_cluster_that_was_not_made_is_taken_down_all_the_same(
    calls: Path, tmp_path: Path
) -> None:
    cluster = KindCluster(tmp_path / "state/demo")
    with pytest.raises(HarnessError):
        cluster.up()
    assert cluster.status().state == "left over"
    assert choice.remove() == ["demo"]
    assert list((tmp_path / "state").iterdir()) == []


def test_kind_is_chosen_where_a_daemon_answers(calls: Path) -> None:
    assert docker_answers()
    assert isinstance(choice.new_cluster("demo"), KindCluster)


def test_a_client_without_a_daemon_is_no_docker(
    calls: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_VERSION", "")
    assert not docker_answers()
    assert isinstance(choice.new_cluster("demo"), LocalCluster)


def test_a_user_may_say_which(calls: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CALLFLEET_CLUSTER", "local")
    assert isinstance(choice.new_cluster("demo"), LocalCluster)
    monkeypatch.setenv("CALLFLEET_CLUSTER", "minikube")
    with pytest.raises(HarnessError, match="set it to kind or local"):
        choice.new_cluster("demo")


def test_a_named_kubeconfig_comes_first(
    calls: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CALLFLEET_KUBECONFIG", str(tmp_path / "mine"))
    cluster = choice.new_cluster("demo")
    assert isinstance(cluster, NamedCluster)
    with pytest.raises(HarnessError, match="which is no file"):
        cluster.up()
    with pytest.raises(HarnessError, match=r"images --registry REGISTRY --push"):
        cluster.load([])


def test_a_name_that_nobody_took_is_named(calls: Path) -> None:
    with pytest.raises(HarnessError, match="there is no cluster demo"):
        choice.existing_cluster("demo")
