"""What the machine itself must have, and how it gets it."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.cluster import (
    choice,
    clients,
    go_modules,
    go_programs,
    javascript,
    kind,
    local,
    named,
    static_images,
)
from tests.cluster.container_tools import docker_answers
from tests.cluster.errors import HarnessError
from tests.cluster.go_programs import ETCD, KUBERNETES
from tests.cluster.node import CNI_PLUGINS
from tests.cluster.progress import step
from tests.cluster.stand_ins import POSTGRES, PYTHON
from tests.cluster.static_images import prometheus_archive

API, CLUSTER, IMAGES, PEERS, RUST = "api", "cluster", "images", "peers", "rust"
EVERYTHING = "everything"
PURPOSES = (API, CLUSTER, IMAGES, PEERS, RUST, EVERYTHING)
SYSTEM_FOLDERS = "/usr/local/sbin:/usr/sbin:/sbin"
POLICY = Path("/usr/sbin/policy-rc.d")
POLICY_TEXT = """#!/bin/sh
# Put here by callfleet's `prepare` while it installs packages: no service is to be started.
exit 101
"""


@dataclass(frozen=True)
class Requirement:
    """A program, or a file, and the package of Debian and Ubuntu that brings it."""

    name: str
    package: str
    purposes: tuple[str, ...]
    files: tuple[str, ...] = ()
    """Glob patterns below /, any of which will do; none: `name` is a program in PATH."""
    service: str = ""
    """The service that the package would start."""
    newer: str = ""
    """The package's name in releases that do not have `package`."""

    def is_there(self) -> bool:
        if self.files:
            return any(next(Path("/").glob(pattern), None) for pattern in self.files)
        path = f"{os.environ.get('PATH', os.defpath)}:{SYSTEM_FOLDERS}"
        return shutil.which(self.name, path=path) is not None


GO = Requirement("go", "golang-go", (API, CLUSTER, PEERS))
"""Any Go: one too old for what is built fetches a newer one (go_toolchain)."""
CARGO = Requirement("cargo", "cargo-web", (RUST, IMAGES), newer="cargo")
"""Of Debian 12 the one that is kept current. Any that builds Cargo.toml's `rust-version`."""
CARGO_TOOLS = (
    Requirement("cargo-fmt", "rustfmt-web", (RUST,), newer="rustfmt"),
    Requirement("cargo-clippy", "rust-web-clippy", (RUST,), newer="rust-clippy"),
)
NODE = Requirement("node", "nodejs", (PEERS,))
NPM = Requirement("npm", "npm", (PEERS,))
REQUIREMENTS = (
    GO,
    CARGO,
    *CARGO_TOOLS,
    Requirement("setpriv", "util-linux", (API, CLUSTER)),
    Requirement("unshare", "util-linux", (CLUSTER, IMAGES)),
    Requirement("nsenter", "util-linux", (CLUSTER,)),
    Requirement("flock", "util-linux", (CLUSTER,)),
    Requirement("sysctl", "procps", (CLUSTER,)),
    Requirement("ip", "iproute2", (CLUSTER,)),
    Requirement("nft", "nftables", (CLUSTER,), service="nftables"),
    Requirement("iptables", "iptables", (CLUSTER,)),
    Requirement("conntrack", "conntrack", (CLUSTER,)),
    Requirement("containerd", "containerd", (CLUSTER,), service="containerd"),
    Requirement("ctr", "containerd", (CLUSTER,)),
    Requirement("runc", "runc", (CLUSTER,)),
    Requirement(
        "CNI plugins",
        "containernetworking-plugins",
        (CLUSTER,),
        files=tuple(f"{folder.lstrip('/')}/portmap" for folder in CNI_PLUGINS),
    ),
    Requirement("gcc", "gcc", (CLUSTER,)),
    Requirement("C library", "libc6-dev", (CLUSTER,), files=("usr/lib/*/libc.a",)),
    Requirement("buildah", "buildah", (IMAGES,)),
    Requirement("debootstrap", "debootstrap", (IMAGES,)),
    Requirement(
        "Debian's keys",
        "debian-archive-keyring",
        (IMAGES,),
        files=("usr/share/keyrings/debian-archive-keyring.gpg",),
    ),
    Requirement("turnutils_uclient", "coturn", (PEERS,), service="coturn"),
    Requirement("chromium", "chromium", (PEERS,)),
    NODE,
    NPM,
    Requirement("openssl", "openssl", (PEERS,)),
    Requirement(
        "PostgreSQL server",
        "postgresql",
        (PEERS,),
        files=("usr/lib/postgresql/*/bin/postgres",),
        service="postgresql",
    ),
    Requirement("prometheus", "prometheus", (PEERS,), service="prometheus"),
    Requirement("promtool", "prometheus", (PEERS,)),
)


def missing(purpose: str) -> list[Requirement]:
    """What is not there for a purpose, as far as this machine's kind of cluster needs it."""
    if purpose == CLUSTER and choice.wanted_kind() == named.KIND:
        return []
    if purpose == CLUSTER and choice.wanted_kind() == kind.KIND:
        return [] if GO.is_there() else [GO]
    if purpose == IMAGES and docker_answers():
        return []
    return [
        requirement
        for requirement in REQUIREMENTS
        if purpose == EVERYTHING or purpose in requirement.purposes
        if not requirement.is_there()
    ]


def require(purpose: str) -> None:
    """Raise one HarnessError that names everything missing and the command to get it."""
    lacking = missing(purpose)
    if not lacking:
        return
    names = ", ".join(requirement.name for requirement in lacking)
    packages = " ".join(sorted({requirement.package for requirement in lacking}))
    raise HarnessError(
        f"Missing: {names}.\nOn Debian and Ubuntu:\n"
        f"  sudo apt-get install --yes --no-install-recommends {packages}\n"
        f"or run `python -m tests.cluster prepare --for {purpose}` as root. Elsewhere the "
        "packages of your distribution bring the same programs."
    )


def install(purpose: str) -> None:
    """Install what is missing with apt, as root; else say what is missing."""
    lacking = missing(purpose)
    if not lacking:
        return
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        require(purpose)
    services = sorted({r.service for r in lacking if r.service})
    names = ", ".join(requirement.name for requirement in lacking)
    with step(f"Installing {names}", "2 min"), services_stay_down(services):
        _apt_get("update")
        packages = sorted({_package(requirement) for requirement in lacking})
        _apt_get("install", "--yes", "--no-install-recommends", *packages)
    require(purpose)  # a package that brings something else than here, for example a snap


def build(purpose: str) -> None:
    """Make what takes minutes the first time, so that nothing later waits for it."""
    wanted = choice.wanted_kind()
    if purpose in (API, CLUSTER, EVERYTHING):
        clients.kubectl()
    if purpose in (API, EVERYTHING):
        go_modules.PROMETHEUS_OPERATOR_CRDS.path()
    if purpose in (API, EVERYTHING) or (purpose == CLUSTER and wanted == local.KIND):
        KUBERNETES.path()
        ETCD.path()
    if purpose in (PEERS, EVERYTHING):
        javascript.programs()
    if purpose in (CLUSTER, EVERYTHING) and wanted == kind.KIND:
        go_programs.KIND.path()
    if purpose in (CLUSTER, EVERYTHING) and wanted == local.KIND:
        static_images.pause_archive()
        static_images.coredns_archive()
    if purpose in (IMAGES, EVERYTHING) and wanted == local.KIND:
        for archive in (PYTHON.archive, POSTGRES.archive, prometheus_archive):
            archive()


@contextmanager
def services_stay_down(services: Sequence[str], policy: Path = POLICY) -> Iterator[None]:
    """Nothing that is installed meanwhile is started, now or at the next boot.

    An administrator's own policy-rc.d is left as it is.
    """
    if policy.exists() and policy.read_text() != POLICY_TEXT:
        yield
        return
    policy.write_text(POLICY_TEXT)
    policy.chmod(0o755)
    try:
        yield
    finally:
        policy.unlink()  # one left by a killed run is ours as well, and goes here
        if Path("/run/systemd/system").is_dir():
            for service in services:
                subprocess.run(["systemctl", "disable", "--now", service], check=False)


def _package(requirement: Requirement) -> str:
    if not requirement.newer:
        return requirement.package
    argv = ["apt-cache", "show", "--quiet", requirement.package]
    known = subprocess.run(argv, capture_output=True, check=False).stdout.strip()
    return requirement.package if known else requirement.newer


def _apt_get(*arguments: str) -> None:
    done = subprocess.run(
        ["apt-get", "--quiet", *arguments],
        env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise HarnessError(f"apt-get {' '.join(arguments)}:\n{done.stdout[-2000:]}{done.stderr}")
