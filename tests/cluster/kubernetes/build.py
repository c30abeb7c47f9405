"""Build Kubernetes from its Go modules, once for each version of go.mod and go.sum."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from tests.cluster import go_toolchain
from tests.cluster.cache import digest, made_once
from tests.cluster.errors import HarnessError
from tests.cluster.progress import step

HERE = Path(__file__).parent
PROGRAMS = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy")
REQUIREMENT = re.compile(r"^\s*k8s\.io/kubernetes (v1\.(\d+)\.\d+)\b", re.MULTILINE)


def version() -> str:
    """The version that go.mod pins, such as "v1.35.4"."""
    return _pinned()[0]


def programs() -> Path:
    """The folder that holds the programs; they are built if they are not there yet."""
    release, _ = _pinned()
    key = digest(*((HERE / name).read_bytes() for name in ("go.mod", "go.sum")), *_flags())
    return made_once(f"kubernetes/{release}-{key}", _build)


def _pinned() -> tuple[str, str]:
    found = REQUIREMENT.search((HERE / "go.mod").read_text())
    if found is None:
        raise HarnessError(f"{HERE}/go.mod names no version of k8s.io/kubernetes")
    return found[1], found[2]


def _flags() -> list[str]:
    """Linker flags; without them /version says v0.0.0-master and charts' kubeVersion fails."""
    release, minor = _pinned()
    base, client = "k8s.io/component-base/version", "k8s.io/client-go/pkg/version"
    settings = {
        f"{base}.gitVersion": release,
        f"{base}.gitMajor": "1",
        f"{base}.gitMinor": minor,
        f"{base}.gitTreeState": "clean",
        f"{client}.gitVersion": release,
    }
    return ["-s", "-w", *(part for item in settings.items() for part in ("-X", "=".join(item)))]


def _build(out: Path) -> None:
    out.mkdir()
    go = str(go_toolchain.go())
    with step(f"Building Kubernetes {version()}", "4.5 min on two cores, 25 s with Go's cache"):
        for program in PROGRAMS:
            package = f"k8s.io/kubernetes/cmd/{program}"
            argv = [go, "build", "-trimpath", "-ldflags", " ".join(_flags()), "-o", str(out)]
            done = subprocess.run(
                [*argv, package], cwd=HERE, env=go_toolchain.environment(), check=False
            )
            if done.returncode:
                raise HarnessError(f"{program} was not built: see the messages of `go` above")
