"""Building and pushing images: by docker where its daemon answers, else by buildah."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from tests.cluster.cache import locked
from tests.cluster.errors import HarnessError
from tests.cluster.paths import cache_root
from tests.cluster.stand_ins import PYTHON

LOOPBACK_REGISTRY = re.compile(r"^(localhost|127\.\d+\.\d+\.\d+)(:\d+)?/")
# What pip needs on the way to its index; anything else of the machine's settings stays out.
PIP_SETTINGS = frozenset({"cert", "extra-index-url", "index-url", "proxy", "trusted-host"})
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
KEPT_TAGS = 2
# buildah runs a copy of itself from memory; while pages of it are still being written the
# kernel refuses to seal it (EBUSY of F_ADD_SEALS, fcntl(2)): nothing has been run yet.
TRANSIENT = "sealing memfd copy"
ATTEMPTS = 4

# Inside a mount namespace of its own: nothing of buildah is left in the machine's folders.
WITH_OWN_FOLDERS = """
set -e
for d in var/lib run; do mkdir -p "$0/$d"; mount -n --bind "$0/$d" "/$d"; done
exec "$@"
"""


class ContainerTool(Protocol):
    """What it takes to make our images."""

    def base(self) -> str:
        """Names the base image that `build` starts from; another one, another name."""

    def build(self, context: Path, dockerfile: Path, tag: str) -> None:
        """Build an image."""

    def save(self, tag: str, archive: Path) -> None:
        """Write an image as a docker-archive."""

    def push(self, archive: Path, tag: str) -> None:
        """Push the image of an archive to the registry that its tag names."""

    def forget(self, repository: str) -> None:
        """Remove all but the newest images of a repository."""


def container_tool() -> ContainerTool:
    """docker if there is a daemon, else buildah, which needs root here."""
    if docker_answers():
        return Docker()
    if shutil.which("buildah") is None:
        raise HarnessError(
            "No Docker daemon answers and there is no buildah. Start Docker, or run "
            "`python -m tests.cluster prepare --for images` as root."
        )
    if os.geteuid() != 0:
        raise HarnessError("building images without a Docker daemon needs root: run it with sudo")
    return Buildah()


def docker_answers() -> bool:
    """Whether a daemon answers; the client alone is of no use."""
    if shutil.which("docker") is None:
        return False
    argv = ["docker", "info", "--format", "{{.ServerVersion}}"]
    try:
        done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=20)
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0 and done.stdout.strip() != ""


class Docker:
    """docker, with its daemon."""

    def base(self) -> str:
        return PYTHON.image

    def build(self, context: Path, dockerfile: Path, tag: str) -> None:
        _call(["docker", "build", "--quiet", f"--file={dockerfile}", f"--tag={tag}", str(context)])

    def save(self, tag: str, archive: Path) -> None:
        _call(["docker", "save", f"--output={archive}", tag])

    def push(self, archive: Path, tag: str) -> None:
        loaded = _call(["docker", "load", f"--input={archive}"]).removeprefix("Loaded image: ")
        _call(["docker", "tag", loaded, tag])
        _call(["docker", "push", "--quiet", tag])

    def forget(self, repository: str) -> None:
        listed = _call(["docker", "images", "--format={{.Repository}}:{{.Tag}}", repository])
        for tag in listed.splitlines()[KEPT_TAGS:]:  # newest first
            _call(["docker", "rmi", tag])


class Buildah:
    """buildah, with its store in our cache; no daemon, no registry."""

    def __init__(self) -> None:
        self._home = cache_root() / "buildah"
        self._home.mkdir(parents=True, exist_ok=True)

    def base(self) -> str:
        return PYTHON.archive().name

    def build(self, context: Path, dockerfile: Path, tag: str) -> None:
        self._require_base()
        mounts = [f"--volume={_pip_settings(self._home)}:/etc/pip.conf:ro"]
        if CERTIFICATES.exists():
            mounts.append(f"--volume={CERTIFICATES}:{CERTIFICATES}:ro")
        # Lent to RUN, not left in the image: the machine's way to the package index.
        flags = ["--quiet", "--layers", "--isolation=chroot", "--network=host", "--pull-never"]
        flags += ["--format=docker", *mounts, f"--file={dockerfile}", f"--tag={tag}"]
        self._call(["build", *flags, str(context)])

    def save(self, tag: str, archive: Path) -> None:
        self._call(["push", "--quiet", tag, f"docker-archive:{archive}:{tag}"])

    def push(self, archive: Path, tag: str) -> None:
        image = self._call(["pull", "--quiet", f"docker-archive:{archive}"]).split()[-1]
        # As docker does: a registry on loopback speaks HTTP.
        verify = f"--tls-verify={'false' if LOOPBACK_REGISTRY.match(tag) else 'true'}"
        self._call(["push", "--quiet", verify, image, f"docker://{tag}"])

    def forget(self, repository: str) -> None:
        listed = json.loads(self._call(["images", "--json"]) or "null") or []
        ours = [
            (image["createdatraw"], name)
            for image in listed
            for name in image.get("names") or []
            if name.rsplit(":", 1)[0] == repository
        ]
        for _, name in sorted(ours, reverse=True)[KEPT_TAGS:]:
            self._call(["rmi", name])

    def _require_base(self) -> None:
        archive = PYTHON.archive()
        mark = self._home / f"pulled-{archive.stem}"
        with locked(self._home / "base.lock"):
            if not mark.exists():
                self._call(["pull", "--quiet", f"docker-archive:{archive}"])
                mark.touch()

    def _call(self, arguments: Sequence[str]) -> str:
        settings = self._home / "containers.conf"
        # Else buildah makes /etc/cni.
        settings.write_text(f'[network]\nnetwork_config_dir = "{self._home}/cni"\n')
        inside = ["sh", "-c", WITH_OWN_FOLDERS, str(self._home), "buildah", *arguments]
        argv = ["unshare", "--mount", "--propagation=private", "--", *inside]
        for _ in range(ATTEMPTS - 1):
            try:
                return _call(argv, {"CONTAINERS_CONF": str(settings)})
            except HarnessError as error:
                if TRANSIENT not in str(error):
                    raise
        return _call(argv, {"CONTAINERS_CONF": str(settings)})


def _pip_settings(folder: Path) -> Path:
    """The caller's way to the package index as a pip.conf."""
    argv = [sys.executable, "-m", "pip", "config", "list"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    settings = {}
    for line in done.stdout.splitlines():  # global.index-url='https://...' or :env:.index-url=...
        name, _, value = line.partition("=")
        key = name.rsplit(".", 1)[-1]
        if key in PIP_SETTINGS:
            settings[key] = value.strip("'").replace("\\n", "\n    ")
    path = folder / "pip.conf"
    path.touch(mode=0o600)  # an address may hold a password
    path.write_text("[global]\n" + "".join(f"{k} = {v}\n" for k, v in settings.items()))
    return path


def _call(argv: Sequence[str], environment: dict[str, str] | None = None) -> str:
    done = subprocess.run(
        argv,
        env={**os.environ, **(environment or {})},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise HarnessError(f"{' '.join(argv)}:\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
    return done.stdout.strip()
