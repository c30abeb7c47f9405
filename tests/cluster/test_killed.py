"""A cluster that is killed at any moment leaves nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cluster import census
from tests.cluster.api_server import ApiServer
from tests.cluster.local import LocalCluster
from tests.cluster.processes import identity_of, parse_stat

LIMIT_SECONDS = 60
CHECKOUT = Path(__file__).resolve().parents[2]


def _command(state: Path, *arguments: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "CALLFLEET_STATE": str(state), "CALLFLEET_CLUSTER": "local"}
    environment.pop("CALLFLEET_KUBECONFIG", None)
    return subprocess.Popen(
        [sys.executable, "-m", "tests.cluster", *arguments],
        cwd=CHECKOUT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _run(state: Path, *arguments: str) -> str:
    with _command(state, *arguments) as process:
        out, err = process.communicate(timeout=LIMIT_SECONDS)
    assert process.returncode == 0, err
    return out


def _kill_when(up: subprocess.Popen[str], file: Path) -> None:
    """SIGKILL as soon as the file is there: no clock decides the moment."""
    deadline = time.monotonic() + LIMIT_SECONDS
    while not file.exists():
        assert up.poll() is None, up.communicate()[1]
        assert time.monotonic() < deadline, f"{file} never came"
        time.sleep(0.002)
    up.kill()
    up.communicate()


@pytest.fixture(autouse=True)
def clean_up(tmp_path: Path) -> Iterator[None]:
    """A test that fails leaves nothing behind either."""
    yield
    _run(tmp_path, "clean", "--all")


@pytest.mark.cluster
@pytest.mark.parametrize(
    ("moment", "verb"),
    [
        (".callfleet-run", "clean"),
        ("pids/unshare", "down"),
        ("root/run/ready", "clean"),
        ("pids/kube-apiserver", "down"),
        ("pids/kubelet", "clean"),
    ],
)
def test_up_killed_at_a_moment_is_taken_down(tmp_path: Path, moment: str, verb: str) -> None:
    before = census.machine()
    cluster = LocalCluster(tmp_path / "killed")
    with _command(tmp_path, "up", "--name=killed") as up:
        _kill_when(up, cluster.run.directory / moment)
    assert "left over" in _run(tmp_path, "status")

    _run(tmp_path, verb, *(["--name=killed"] if verb == "down" else []))

    assert census.traces_of(cluster.run.directory, cluster.node_name) == []
    assert census.machine() == before


@pytest.mark.cluster
def test_a_half_made_second_node_goes_with_its_cluster(tmp_path: Path) -> None:
    before = census.machine()
    cluster = LocalCluster(tmp_path / "killed")
    with _command(tmp_path, "up", "--name=killed", "--second-node") as up:
        _kill_when(up, cluster.run.directory / "second/pids/kubelet")

    _run(tmp_path, "down", "--name=killed")

    assert census.traces_of(cluster.run.directory, cluster.node_name) == []
    assert census.machine() == before


@pytest.mark.cluster
def test_down_killed_half_way_is_repeated(tmp_path: Path) -> None:
    before = census.machine()
    cluster = LocalCluster(tmp_path / "killed")
    _run(tmp_path, "up", "--name=killed")
    with _command(tmp_path, "down", "--name=killed") as down:
        records = [parse_stat(r.read_text()) for r in cluster.run.processes.records.iterdir()]
        _until_one_died([record.pid for record in records if record])
        down.kill()
        down.communicate()

    _run(tmp_path, "clean")

    assert census.traces_of(cluster.run.directory, cluster.node_name) == []
    assert census.machine() == before


@pytest.mark.cluster
def test_two_clusters_and_a_client_do_not_meet(tmp_path: Path) -> None:
    before = census.machine()
    clusters = [LocalCluster(tmp_path / name) for name in ("one", "two")]
    ups = [_command(tmp_path, "up", f"--name={cluster.name}") for cluster in clusters]
    for up in ups:
        with up:
            _, err = up.communicate(timeout=LIMIT_SECONDS)
            assert up.returncode == 0, err
    clusters[0].kubectl("create", "namespace", "only-in-one")
    assert "only-in-one" not in clusters[1].kubectl("get", "namespaces", "-o=name")

    _run(tmp_path, "down", "--name=one")
    assert clusters[1].kubectl("get", "--raw=/readyz") == "ok"
    assert "two" in _run(tmp_path, "status")
    assert _run(tmp_path, "clean") == ""  # it runs: nothing of it is left over
    _run(tmp_path, "clean", "--all")

    for cluster in clusters:
        assert census.traces_of(cluster.run.directory, cluster.node_name) == []
    assert census.machine() == before


@pytest.mark.api
def test_an_owned_plane_ends_with_its_owner(tmp_path: Path) -> None:
    source = (
        "import signal; from pathlib import Path; from tests.cluster.api_server import ApiServer; "
        f"ApiServer(Path({str(tmp_path / 'owned')!r})).up(owned=True); "
        "print('up', flush=True); signal.pause()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", source], cwd=CHECKOUT, stdout=subprocess.PIPE, text=True
    ) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == "up\n"
        plane = ApiServer(tmp_path / "owned")
        living = plane.run.processes.living()
        assert set(living) == {"etcd", "kube-apiserver", "kube-controller-manager"}
        owner.send_signal(signal.SIGKILL)
    _until_all_died(list(living.values()))
    assert plane.status().state == "left over"

    assert _run(tmp_path, "clean") == "removed owned\n"

    assert census.traces_of(tmp_path / "owned", "no-node") == []


@pytest.mark.api
def test_a_plane_that_is_being_started_is_left_alone(tmp_path: Path) -> None:
    with _command(tmp_path, "up", "--api-only", "--name=slow") as up:
        plane = ApiServer(tmp_path / "slow")
        _until(plane.run.exists)
        assert _run(tmp_path, "clean", "--all") == ""
        with _command(tmp_path, "down", "--name=slow") as down:
            _, err = down.communicate(timeout=LIMIT_SECONDS)
            assert (down.returncode, "just being started" in err) == (1, True)
        out, err = up.communicate(timeout=LIMIT_SECONDS)
        assert up.returncode == 0, err
        assert Path(out.strip()) == plane.kubeconfig
    _run(tmp_path, "down", "--name=slow")
    assert census.traces_of(plane.run.directory, "no-node") == []


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + LIMIT_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.002)


def _until_one_died(pids: list[int]) -> None:
    _until(lambda: any(identity_of(pid) is None for pid in pids))


def _until_all_died(pids: list[int]) -> None:
    _until(lambda: all(identity_of(pid) is None for pid in pids))
