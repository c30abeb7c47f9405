"""Programs that are built from their Go modules, at a pinned version, once."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.cluster import go_toolchain
from tests.cluster.cache import digest, made_once, scratch
from tests.cluster.errors import HarnessError
from tests.cluster.progress import step

HERE = Path(__file__).parent


@dataclass(frozen=True)
class GoProgram:
    """A program that `go install PACKAGE@VERSION` makes; Go checks its modules' hashes."""

    package: str
    version: str
    usual: str
    """How long its build usually takes."""

    @property
    def name(self) -> str:
        return self.package.rsplit("/", 1)[-1]

    def path(self) -> Path:
        """The program; it is built if it is not there yet."""
        return made_once(f"go/{self.name}-{self.version}", self._build)

    def _build(self, out: Path) -> None:
        with step(f"Building {self.name} {self.version}", self.usual), scratch(out) as folder:
            call_go(
                ["install", "-trimpath", "-ldflags=-s -w", f"{self.package}@{self.version}"],
                {"GOBIN": str(folder)},
            )
            shutil.move(folder / self.name, out)


@dataclass(frozen=True)
class PinnedPrograms:
    """Programs of one module, or of ours that uses it, whose whole tree a go.mod and go.sum pin."""

    folder: Path
    """Where go.mod and go.sum are, and the program if it is ours."""
    module: str
    packages: tuple[str, ...]
    settings: dict[str, str]
    """Variables that the linker sets, by their name in Go; {version}, {minor} are filled in."""
    usual: str
    tags: str = ""

    def version(self) -> str:
        """What go.mod pins, such as "v1.35.4"."""
        line = rf"^(?:require)?\s*{re.escape(self.module)} (v\S+)"
        found = re.search(line, (self.folder / "go.mod").read_text(), re.MULTILINE)
        if found is None:
            raise HarnessError(f"{self.folder}/go.mod names no version of {self.module}")
        return found[1]

    def path(self) -> Path:
        """The folder that holds the programs; they are built if they are not there yet."""
        names = ("go.mod", "go.sum", *sorted(each.name for each in self.folder.glob("*.go")))
        pins = ((self.folder / name).read_bytes() for name in names)
        key = digest(*pins, *self._flags(), *self.packages)
        return made_once(f"{self.folder.name}/{self.version()}-{key}", self._build)

    def _flags(self) -> list[str]:
        version = self.version()
        values = {"version": version, "minor": version.split(".")[1]}
        set_to = (f"-X {name}={text.format(**values)}" for name, text in self.settings.items())
        return ["-trimpath", "-tags", self.tags, "-ldflags", " ".join(["-s", "-w", *set_to])]

    def _build(self, out: Path) -> None:
        out.mkdir()
        with step(f"Building {self.module} {self.version()}", self.usual):
            for package in self.packages:
                call_go(["build", *self._flags(), "-o", str(out), package], {}, self.folder)


def call_go(arguments: list[str], environment: dict[str, str], folder: Path | None = None) -> str:
    """Run go; what it printed. Raises HarnessError with what it said if it fails."""
    done = subprocess.run(
        [go_toolchain.go(), *arguments],
        cwd=folder,
        env={**go_toolchain.environment(), **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise HarnessError(f"go {' '.join(arguments)}: {done.stderr[-3000:]}")
    return done.stdout


COREDNS = GoProgram("github.com/coredns/coredns", "v1.13.1", "3 min on two cores")
KIND = GoProgram("sigs.k8s.io/kind", "v0.32.0", "30 s on two cores")
# A registry in memory, for the test of pushing.
REGISTRY = GoProgram("github.com/google/go-containerregistry/cmd/registry", "v0.20.6", "20 s")

KUBERNETES = PinnedPrograms(
    HERE / "kubernetes",
    "k8s.io/kubernetes",
    tuple(
        f"k8s.io/kubernetes/cmd/{name}"
        for name in (
            "kube-apiserver",
            "kube-controller-manager",
            "kube-scheduler",
            "kubelet",
            "kube-proxy",
        )
    ),
    # Without these /version says v0.0.0-master, and charts' kubeVersion refuses it.
    {
        "k8s.io/component-base/version.gitVersion": "{version}",
        "k8s.io/component-base/version.gitMajor": "1",
        "k8s.io/component-base/version.gitMinor": "{minor}",
        "k8s.io/component-base/version.gitTreeState": "clean",
        "k8s.io/client-go/pkg/version.gitVersion": "{version}",
    },
    "4.5 min on two cores, 25 s with Go's cache",
)
# Debian's is older than this API server asks for: reads from its cache and streamed lists need 3.5.
ETCD = PinnedPrograms(
    HERE / "etcd",
    "go.etcd.io/etcd/server/v3",
    ("go.etcd.io/etcd/server/v3",),
    {},
    "1 min on two cores",
)
PROMETHEUS = PinnedPrograms(
    HERE / "prometheus",
    "github.com/prometheus/prometheus",
    ("github.com/prometheus/prometheus/cmd/prometheus",),
    {},
    "4 min on two cores",
    tags="remove_all_sd,enable_kubernetes_sd,enable_dns_sd",
)
PROMETHEUS_ADAPTER = PinnedPrograms(
    HERE / "prometheus_adapter",
    "sigs.k8s.io/prometheus-adapter",
    ("sigs.k8s.io/prometheus-adapter/cmd/adapter",),
    {},
    "3 min on two cores",
)
