"""A second node of a cluster: pods have another place to go to when the first is drained.

Of a cluster of local programs it has namespaces of its own beside the first's, its own containerd,
kubelet and kube-proxy, and its files lie below the cluster's directory. It ends with the cluster at
the latest.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from tests.cluster import cgroups, namespaces, node
from tests.cluster.control_plane import Addresses
from tests.cluster.namespaces import Network
from tests.cluster.pki import Authority
from tests.cluster.run import Run
from tests.cluster.static_images import coredns_archive, pause_archive


class SecondNode:
    """What there is, or was, of it."""

    def __init__(self, first: Run, first_name: str, network: Network) -> None:
        self.name = f"{first_name}-second"
        """Also of its control groups."""
        self.run = Run(first.directory / namespaces.SECOND)
        self._first = first
        self._network = network

    def start(self, addresses: Addresses, archives: Sequence[Path]) -> None:
        """Start its programs, with the images of archives; the kubelet then makes it known."""
        self.run.directory.mkdir()
        self.run.die_with_parent = self._first.die_with_parent
        network = self._network.of_second
        namespaces.isolate(self.run, self.name, network)
        namespaces.connect(self._first, self.run, self._network)
        cgroups.create(self.name)
        node.start_containerd(self.run, network)
        authority = Authority(self.run.directory / "pki", same_as=self._first.directory / "pki")
        self.run.wait("containerd", ("ctr", "version"), needs=("containerd",))
        node.import_images(self.run, [pause_archive(), coredns_archive(), *archives])
        api = f"https://{addresses.advertise}:{addresses.port}"
        node.start_kubelet(self.run, authority, self.name, network, api)
        node.start_proxy(self.run, authority, self.name, network, api)

    def disconnect(self) -> None:
        """Cut it off from the first node, which lives on."""
        namespaces.disconnect(self._first, self._network)

    def end(self) -> None:
        """End its processes and remove its control groups, in whatever state it is."""
        self.run.processes.kill()
        cgroups.remove(self.name)

    def remove(self) -> None:
        """Remove its files; it must have been ended."""
        shutil.rmtree(self.run.directory)
