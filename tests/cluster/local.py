"""A whole cluster of local programs in namespaces of its own, of one node or two. Needs root."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from pathlib import Path

from tests.cluster import cgroups, control_plane, namespaces, node
from tests.cluster import kubectl as kubectl_of
from tests.cluster.audit import AuditLog
from tests.cluster.cache import digest
from tests.cluster.clients import kubectl
from tests.cluster.control_plane import Addresses
from tests.cluster.errors import HarnessError
from tests.cluster.go_programs import ETCD, KUBERNETES
from tests.cluster.interface import Status
from tests.cluster.namespaces import Network
from tests.cluster.pki import Authority
from tests.cluster.progress import step
from tests.cluster.run import READY, Run, memory_of
from tests.cluster.second_node import SecondNode
from tests.cluster.static_images import coredns_archive, pause_archive

ETCD_PORT = 2379
API_PORT = 6443
KIND = "local"


class LocalCluster:
    """A cluster that runs, or ran, in a directory; any number of them at a time."""

    pulls_images = False

    def __init__(self, directory: Path, network: Network | None = None) -> None:
        self.run = Run(directory)
        self.name = self.run.directory.name
        self.network = network or Network()
        self.node_name = f"callfleet-{digest(str(self.run.directory))}"
        """Also of its control groups: another one for each directory."""
        self._second = SecondNode(self.run, self.node_name, self.network)
        self.kubeconfig = self.run.directory / "admin.kubeconfig"
        self.audit = AuditLog(
            self.run.directory / "audit.log", lambda path: self.kubectl("get", f"--raw={path}")
        )
        self._loaded: set[Path] = set()
        """Archives whose names say what is in them, so none is loaded twice."""
        self.seconds: dict[str, float] = {}
        """How long it took until API, node and DNS were ready, counted from the start."""

    def up(self, *, owned: bool = False) -> None:
        if os.geteuid() != 0:
            raise HarnessError(
                "a node needs root: run it with sudo, or name a cluster by CALLFLEET_KUBECONFIG"
            )
        for make in (KUBERNETES.path, ETCD.path, kubectl, pause_archive, coredns_archive):
            make()  # what takes minutes the first time comes before the clock starts
        with self.run.verb():
            self.run.claim(KIND, owned=owned)
            try:
                with step(f"Starting the cluster {self.name}", "10 s"):
                    self._start()
            except BaseException:
                self.run.processes.kill()  # the directory stays, for its logs
                raise
            (self.run.directory / READY).touch()

    def down(self) -> None:
        with self.run.verb():
            self.run.end()
            self._second.end()
            cgroups.remove(self.node_name)
            self.run.remove()

    def add_node(self, archives: Sequence[Path] = ()) -> str:
        """Add a second node with the images of archives; its name, once it is ready.

        Raises HarnessError if there is one already.
        """
        if self._second.run.directory.exists():
            raise HarnessError(f"{self.name} has a second node already: take it down first")
        with self.run.verb(), step(f"Adding a node to {self.name}", "10 s"):
            self._second.start(self._addresses, archives)
            node_name = f"node/{self._second.name}"
            for there in ("create", "condition=Ready"):
                self.kubectl("wait", f"--for={there}", node_name, "--timeout=60s")
        return self._second.name

    def remove_node(self) -> None:
        """End the second node, whatever runs on it."""
        with self.run.verb():
            self._second.disconnect()
            self._second.end()
            self.kubectl("delete", "node", self._second.name)
            self._second.remove()

    def kill_pod(self, namespace: str, pod: str) -> None:
        """SIGKILL to all processes of a pod's containers on the first node, as if they crashed."""
        statuses = json.loads(self.kubectl("-n", namespace, "get", "pod", pod, "-o=json"))["status"]
        self._join()
        for container in statuses["containerStatuses"]:
            identity = container["containerID"].removeprefix("containerd://")
            self.run.run("ctr", "-n", "k8s.io", "task", "kill", "--all", "-s", "SIGKILL", identity)

    def status(self) -> Status:
        state = self.run.state()
        details = ""
        if state == "up":
            runs = (self.run, self._second.run)
            resident = sum(sum(memory_of(run.processes).values()) for run in runs)
            details = f"{resident} MB resident"
        return Status(self.name, KIND, state, details)

    def load(self, archives: Sequence[Path]) -> None:
        self._join()
        new = [path for path in archives if path not in self._loaded]
        node.import_images(self.run, new)
        self._loaded.update(new)

    def node_address(self) -> str:
        return self.network.node

    def in_cluster_network(self, command: Sequence[str | Path]) -> list[str]:
        return [*namespaces.in_node_network(self.run), *map(str, command)]

    def in_client_network(self, command: Sequence[str | Path]) -> list[str]:
        return [*namespaces.in_client_network(self.run), *map(str, command)]

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        return kubectl_of.run(self, *arguments, stdin=stdin)

    def _start(self) -> None:
        begin = time.monotonic()
        namespaces.isolate(self.run, self.node_name, self.network)
        cgroups.create(self.node_name)
        node.start_containerd(self.run, self.network)
        authority = Authority(self.run.directory / "pki")
        admin = control_plane.start(self.run, self._addresses, authority)
        self.seconds["api"] = time.monotonic() - begin
        self.run.wait("containerd", ("ctr", "version"), needs=("containerd",))
        node.import_images(self.run, (pause_archive(), coredns_archive()))
        node.start_kubelet(self.run, authority, self.node_name, self.network)
        node.start_scheduler(self.run, authority)
        node.start_proxy(self.run, authority, self.node_name, self.network)
        api = (kubectl(), f"--kubeconfig={admin}")
        self.run.wait("node", (*api, "get", "node", self.node_name), needs=("kubelet",))
        ready = ("wait", "--for=condition=Ready", f"node/{self.node_name}", "--timeout=60s")
        self.run.run(*api, *ready)
        self.seconds["node"] = time.monotonic() - begin
        node.start_dns(self.run, admin, self.network)
        self.seconds["dns"] = time.monotonic() - begin

    @property
    def _addresses(self) -> Addresses:
        return Addresses(
            port=API_PORT,
            etcd_port=ETCD_PORT,
            advertise=self.network.node,
            services=self.network.services,
            has_node=True,
        )

    def _join(self) -> None:
        namespaces.join(self.run)
