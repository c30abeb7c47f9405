"""A cluster of the user's own, named by CALLFLEET_KUBECONFIG: it is used, never made or ended."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tests.cluster import kubectl as kubectl_of
from tests.cluster.errors import HarnessError
from tests.cluster.interface import Status

KIND = "named"


class NamedCluster:
    """The cluster of a kubeconfig's current context."""

    pulls_images = True

    def __init__(self, kubeconfig: Path) -> None:
        self.kubeconfig = kubeconfig.resolve()
        self.name = kubeconfig.name

    def up(self, *, owned: bool = False) -> None:  # noqa: ARG002 - it outlives everybody
        """See that it answers."""
        if not self.kubeconfig.is_file():
            raise HarnessError(f"CALLFLEET_KUBECONFIG names {self.kubeconfig}, which is no file")
        self.kubectl("get", "--raw=/readyz")

    def down(self) -> None:
        """Nothing: it was there before."""

    def status(self) -> Status:
        try:
            self.up()
        except HarnessError as error:
            return Status(self.name, KIND, "down", str(error))
        return Status(self.name, KIND, "up", str(self.kubeconfig))

    def load(self, archives: Sequence[Path]) -> None:  # noqa: ARG002 - the interface's
        raise HarnessError(
            "images cannot be put into a cluster from outside: push them where its nodes pull "
            "from with `python -m tests.cluster images --registry REGISTRY --push`"
        )

    def node_address(self) -> str:
        return kubectl_of.node_address(self)

    def in_cluster_network(self, command: Sequence[str | Path]) -> list[str]:
        return [str(part) for part in command]

    def in_client_network(self, command: Sequence[str | Path]) -> list[str]:
        return [str(part) for part in command]

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        return kubectl_of.run(self, *arguments, stdin=stdin)
