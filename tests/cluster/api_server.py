"""A real Kubernetes API without a node, on free ports of loopback; needs no root.

Objects are stored, validated, watched and garbage-collected as anywhere; pods are never run.
"""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Sequence
from pathlib import Path

from tests.cluster import control_plane
from tests.cluster.audit import AuditLog
from tests.cluster.clients import kubectl
from tests.cluster.control_plane import Addresses
from tests.cluster.errors import HarnessError
from tests.cluster.interface import Status
from tests.cluster.pki import Authority
from tests.cluster.run import READY, ProgramDiedError, Run, memory_of
from tests.ports import free_ports

SERVICES = "10.77.2.0/24"
ATTEMPTS = 3
KIND = "api-only"


class ApiServer:
    """A plane that runs, or ran, in a directory."""

    def __init__(self, directory: Path) -> None:
        self.run = Run(directory)
        self.kubeconfig = self.run.directory / "admin.kubeconfig"
        self.audit = AuditLog(self.run.directory / "audit.log", self.get)
        self._authority: Authority | None = None
        self._users = threading.Lock()

    def up(self, *, owned: bool = False) -> None:
        """Start it; `owned`: it ends with this process."""
        with self.run.verb():
            self.run.claim(KIND, owned=owned)
            try:
                self._start()
            except BaseException:
                self.run.processes.kill()  # the directory stays, for its logs
                raise
            (self.run.directory / READY).touch()

    def down(self) -> None:
        """End it and remove its directory, whatever state it is in."""
        with self.run.verb():
            self.run.end()
            self.run.remove()

    def status(self) -> Status:
        """Its state now."""
        state = self.run.state()
        details = ""
        if state == "up":
            details = f"{sum(memory_of(self.run.processes).values())} MB resident"
        return Status(self.run.directory.name, KIND, state, details)

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        """Run kubectl as the administrator; its output. Raises HarnessError if it fails."""
        argv = [str(kubectl()), f"--kubeconfig={self.kubeconfig}", *arguments]
        done = subprocess.run(
            argv, input=stdin, capture_output=True, text=True, check=False, timeout=120
        )
        if done.returncode:
            raise HarnessError(f"kubectl {' '.join(arguments)}: {done.stderr}")
        return done.stdout

    def get(self, path: str) -> str:
        """GET a path of the API as the administrator."""
        return self.kubectl("get", f"--raw={path}")

    def kubeconfig_of(self, user: str, groups: Sequence[str] = ()) -> Path:
        """A kubeconfig of another user, for RBAC and to tell users apart in the audit log.

        For a service account: `system:serviceaccount:NAMESPACE:NAME` with the groups
        `system:serviceaccounts` and `system:serviceaccounts:NAMESPACE`.
        """
        if self._authority is None:
            raise HarnessError("users can be added only by the process that started the plane")
        with self._users:
            number = sum(1 for _ in self.run.directory.glob("user-*.kubeconfig"))
            path = self.run.directory / f"user-{number}.kubeconfig"
            return self._authority.kubeconfig(path, server=self._url, user=user, groups=groups)

    def _start(self) -> None:
        for attempt in range(1, ATTEMPTS + 1):
            port, etcd_port = free_ports(2)
            addresses = Addresses(
                port=port,
                etcd_port=etcd_port,
                advertise="127.0.0.1",
                services=SERVICES,
                has_node=False,
            )
            self._authority = Authority(self.run.directory / "pki")
            self._url = addresses.url
            try:
                control_plane.start(self.run, addresses, self._authority)
            except ProgramDiedError as died:
                if "address already in use" not in died.log or attempt == ATTEMPTS:
                    raise
                self.run.processes.kill()  # somebody took a port meanwhile
            else:
                return
