"""What a whole cluster can do, whichever kind it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True)
class Status:
    """What `status` shows of one cluster."""

    name: str
    kind: str
    """local, kind or named."""
    state: str
    """up, starting or ending, left over, down."""
    details: str


class Cluster(Protocol):
    """A cluster with a node. Commands are returned, not run: a caller may start, pipe or await
    them as it likes."""

    name: str
    kubeconfig: Path
    """The administrator's, for programs that run by `in_cluster_network`."""
    pulls_images: bool
    """Public images come from their registries; else it is given every image."""

    def up(self, *, owned: bool = False) -> None:
        """Start it and return when its node is ready and DNS answers; `owned`: it ends with
        this process."""

    def down(self) -> None:
        """End it, whatever state it is in, and leave nothing behind."""

    def status(self) -> Status:
        """Its state now."""

    def load(self, archives: Sequence[Path]) -> None:
        """Give its node the images of these archives (docker-archive)."""

    def node_address(self) -> str:
        """Where a client reaches the node: host ports and node ports."""

    def in_cluster_network(self, command: Sequence[str | Path]) -> list[str]:
        """The command as it runs where API, pods and services are reachable."""

    def in_client_network(self, command: Sequence[str | Path]) -> list[str]:
        """The command as it runs at a client, which reaches the node's address alone."""

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        """Output of kubectl as the administrator. Raises HarnessError if it fails."""
