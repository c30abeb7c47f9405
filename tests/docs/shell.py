"""Runs the commands of a document in a shell, as whoever has pasted them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.cluster.clients import helm, kubectl
from tests.cluster.interface import Cluster
from tests.docs.commands import CHECKOUT

LIMIT_SECONDS = 300


def environment(kubeconfig: Path) -> dict[str, str]:
    """Where kubectl, helm and callfleet are found, and the cluster by the first two."""
    programs = (kubectl().parent, helm().parent, Path(sys.executable).parent)
    path = os.pathsep.join([*map(str, programs), os.environ["PATH"]])
    return {"KUBECONFIG": str(kubeconfig), "PATH": path}


def run(
    command: str, kubeconfig: Path, *, cluster: Cluster | None = None, folder: Path = CHECKOUT
) -> str:
    """What the command prints, given in a folder; in a whole cluster's network, if one is named.

    A command that fails is an AssertionError.
    """
    named = [f"{name}={value}" for name, value in environment(kubeconfig).items()]
    argv = ["env", *named, "bash", "-o", "pipefail", "-euc", command]
    done = subprocess.run(
        argv if cluster is None else cluster.in_cluster_network(argv),
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=LIMIT_SECONDS,
    )
    assert done.returncode == 0, f"{command}\n{done.stderr}{done.stdout}"
    return done.stdout
