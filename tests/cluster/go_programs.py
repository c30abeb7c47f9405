"""Programs that are built from their Go module, at a pinned version, once."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.cluster import go_toolchain
from tests.cluster.cache import made_once, scratch
from tests.cluster.errors import HarnessError
from tests.cluster.progress import step


@dataclass(frozen=True)
class GoProgram:
    package: str
    version: str
    usual: str
    """How long its build usually takes."""

    @property
    def name(self) -> str:
        return self.package.rsplit("/", 1)[-1]

    def path(self) -> Path:
        """The program; it is built if it is not there yet. Go checks the module's hash."""
        return made_once(f"go/{self.name}-{self.version}", self._build)

    def _build(self, out: Path) -> None:
        go = str(go_toolchain.go())
        with step(f"Building {self.name} {self.version}", self.usual), scratch(out) as folder:
            argv = [go, "install", "-trimpath", "-ldflags=-s -w"]
            done = subprocess.run(
                [*argv, f"{self.package}@{self.version}"],
                env={**go_toolchain.environment(), "GOBIN": str(folder)},
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode:
                raise HarnessError(f"{self.name} was not built: {done.stderr}")
            shutil.move(folder / self.name, out)


COREDNS = GoProgram("github.com/coredns/coredns", "v1.13.1", "3 min on two cores")
KIND = GoProgram("sigs.k8s.io/kind", "v0.32.0", "30 s on two cores")
# A registry in memory, for the test of pushing.
REGISTRY = GoProgram("github.com/google/go-containerregistry/cmd/registry", "v0.20.6", "20 s")
