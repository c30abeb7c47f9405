"""A cluster by kind (https://kind.sigs.k8s.io), where a Docker daemon answers. Thin: create,
delete, load images; everything else is the same as anywhere."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.cluster import kubectl as kubectl_of
from tests.cluster.errors import HarnessError
from tests.cluster.go_programs import KIND as PROGRAM
from tests.cluster.interface import Status
from tests.cluster.progress import step
from tests.cluster.run import READY, Run

CONFIG = Path(__file__).parent / "kind.yaml"
KIND = "kind"


class KindCluster:
    """One kind cluster; its name and its kubeconfig are kept in a directory as a run's."""

    pulls_images = True

    def __init__(self, directory: Path) -> None:
        self.run = Run(directory)
        self.name = self.run.directory.name
        self.kubeconfig = self.run.directory / "admin.kubeconfig"

    def up(self, *, owned: bool = False) -> None:
        with self.run.verb():
            self.run.claim(KIND, owned=owned)
            with step(f"Creating the kind cluster {self.name}", "1 min, more the first time"):
                self._kind(
                    "create",
                    "cluster",
                    f"--config={CONFIG}",
                    f"--kubeconfig={self.kubeconfig}",
                    "--wait=180s",
                )
            (self.run.directory / READY).touch()

    def down(self) -> None:
        with self.run.verb():
            if not self.run.exists():
                return
            self.run.end()
            self._kind("delete", "cluster", f"--kubeconfig={self.kubeconfig}")
            self.run.remove()

    def status(self) -> Status:
        return Status(self.name, KIND, self.run.state(), "")

    def load(self, archives: Sequence[Path]) -> None:
        for archive in archives:
            self._kind("load", "image-archive", str(archive))

    def node_address(self) -> str:
        return kubectl_of.node_address(self)

    def in_cluster_network(self, command: Sequence[str | Path]) -> list[str]:
        """kind's kubeconfig names a port of loopback: any program reaches the API."""
        return [str(part) for part in command]

    def in_client_network(self, command: Sequence[str | Path]) -> list[str]:
        """The machine itself is the client: Docker's bridge leads to the node's address."""
        return [str(part) for part in command]

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        return kubectl_of.run(self, *arguments, stdin=stdin)

    def _kind(self, *arguments: str) -> None:
        argv = [str(PROGRAM.path()), *arguments, f"--name={self.name}"]
        done = subprocess.run(
            argv, capture_output=True, text=True, check=False, env=os.environ | {"NO_COLOR": "1"}
        )
        if done.returncode:
            raise HarnessError(f"kind {' '.join(arguments)}: {done.stderr or done.stdout}")
