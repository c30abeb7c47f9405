"""Which cluster: a named kubeconfig, else kind where Docker runs, else local programs."""

from __future__ import annotations

import os
from pathlib import Path

from tests.cluster import api_server, kind, local, named
from tests.cluster.api_server import ApiServer
from tests.cluster.container_tools import docker_answers
from tests.cluster.errors import BusyError, HarnessError
from tests.cluster.interface import Cluster
from tests.cluster.kind import KindCluster
from tests.cluster.local import LocalCluster
from tests.cluster.named import NamedCluster
from tests.cluster.paths import state_root
from tests.cluster.run import MARK, Run

Kept = ApiServer | KindCluster | LocalCluster
"""What lives in the state directory."""


def wanted_kind() -> str:
    """named, kind or local: what `up` would use on this machine."""
    if "CALLFLEET_KUBECONFIG" in os.environ:
        return named.KIND
    forced = os.environ.get("CALLFLEET_CLUSTER", "")
    if forced not in ("", kind.KIND, local.KIND):
        raise HarnessError(f"CALLFLEET_CLUSTER is {forced!r}: set it to kind or local, or unset it")
    return forced or (kind.KIND if docker_answers() else local.KIND)


def new_cluster(name: str) -> Cluster:
    """The cluster that `up` would make, or use, on this machine."""
    match wanted_kind():
        case named.KIND:
            return NamedCluster(Path(os.environ["CALLFLEET_KUBECONFIG"]))
        case kind.KIND:
            return KindCluster(state_root() / name)
        case _:
            return LocalCluster(state_root() / name)


def new_api_server(name: str) -> ApiServer:
    """The API-only plane that `up --api-only` would make."""
    return ApiServer(state_root() / name)


def existing_cluster(name: str) -> Cluster:
    """The cluster of that name, of whichever kind it was made. Raises HarnessError if none."""
    if wanted_kind() == named.KIND:
        return new_cluster(name)
    found = existing_run(name)
    if isinstance(found, ApiServer):
        raise HarnessError(f"{name} has an API only, no node; its kubeconfig: {found.kubeconfig}")
    return found


def exists(name: str) -> bool:
    return Run(state_root() / name).exists()


def existing_run(name: str) -> Kept:
    """What is kept under that name. Raises HarnessError if there is nothing."""
    if not exists(name):
        raise HarnessError(f"there is no cluster {name} in {state_root()}: `up` makes one")
    return _kept(state_root() / name)


def all_runs() -> list[Kept]:
    """Everything in the state directory, dead or alive."""
    return [_kept(mark.parent) for mark in sorted(state_root().glob(f"*/{MARK}"))]


def remove(*, everything: bool = False) -> list[str]:
    """End what nobody else will: runs whose owner, `up` or processes died. Their names.

    With `everything` also those that run. One that is just being started is left alone, and
    so is one that somebody else removes at the same time.
    """
    removed = []
    for kept in all_runs():
        if kept.run.is_busy() or not (everything or kept.run.is_left_over()):
            continue
        try:
            kept.down()
        except BusyError:
            continue
        removed.append(kept.run.directory.name)
    return removed


def _kept(directory: Path) -> Kept:
    match Run(directory).kind():
        case api_server.KIND:
            return ApiServer(directory)
        case kind.KIND:
            return KindCluster(directory)
        case _:
            return LocalCluster(directory)
