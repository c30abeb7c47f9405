"""Stand-ins, made of Debian's packages, of the public images that the manifests name.

For machines without a container registry: same name, same entry point, same user, so that
Dockerfiles and manifests stay as they are. Each is one layer made by debootstrap.
"""

from __future__ import annotations

import os
import subprocess
import tarfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.cluster.archive import FORMAT, write_archive
from tests.cluster.cache import digest, made_once, scratch
from tests.cluster.errors import HarnessError
from tests.cluster.paths import cache_root
from tests.cluster.progress import step

SUITE = "bookworm"
POSTGRES_ENTRYPOINT = Path(__file__).parent / "postgres_entrypoint.sh"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
UNNEEDED = ("usr/share/doc", "usr/share/man", "usr/share/locale", "var/lib/apt/lists")


@dataclass(frozen=True)
class StandIn:
    """One public image and how it is made of packages."""

    image: str
    """The real image's name, as manifests and Dockerfiles write it."""
    packages: Sequence[str]
    arrange: Callable[[Path], None]
    """Puts things where the real image has them; gets the root directory."""
    config: dict[str, object]
    """The image's run-time settings (Env, User, Entrypoint, Cmd ...)."""
    recipe: str
    """Names what `arrange` does: another text, another image."""
    usual: str
    extra: Sequence[Path] = field(default=())
    """Files of ours that go into the image."""

    def archive(self) -> Path:
        key = digest(
            FORMAT,
            self.recipe,
            *self.packages,
            repr(sorted(self.config.items())),
            *(path.read_bytes() for path in self.extra),
        )
        short = self.image.rsplit("/", 1)[-1].replace(":", "-")
        return made_once(f"images/{short}-{key}.tar", self._build)

    def _build(self, out: Path) -> None:
        with step(f"Making a stand-in of {self.image}", self.usual), scratch(out) as folder:
            root, layer = folder / "root", folder / "layer.tar"
            _debootstrap(root, self.packages, folder / "debootstrap.log")
            self.arrange(root)
            _slim(root)
            with tarfile.open(layer, "w") as tar:
                tar.add(root, ".")
            write_archive(out, self.image, layer, self.config)


def chroot(root: Path, *argv: str) -> None:
    """Run a program of the image in it. Raises HarnessError if it fails."""
    command = ["chroot", str(root), *argv]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise HarnessError(f"{' '.join(argv)} in {root}: {done.stderr}")


def _debootstrap(root: Path, packages: Sequence[str], log: Path) -> None:
    debs = cache_root() / "debs"
    debs.mkdir(parents=True, exist_ok=True)
    # In namespaces of its own: whenever it is killed, its mounts and daemons go with it.
    isolate = ["unshare", "--mount", "--propagation=private", "--pid", "--fork"]
    argv = [*isolate, "--kill-child=KILL", "debootstrap", "--variant=minbase"]
    argv += [f"--cache-dir={debs}", f"--include={','.join(packages)}", SUITE, str(root)]
    # Else mount makes /run/mount for its notes, and it stays.
    environment = {**os.environ, "LIBMOUNT_UTAB": str(log.with_name("utab"))}
    with log.open("w") as output:
        done = subprocess.run(argv, env=environment, stdout=output, stderr=output, check=False)
    if done.returncode:
        end = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
        raise HarnessError(
            f"debootstrap of {SUITE} failed (it needs root and Debian's mirror):\n{end}"
        )


def _slim(root: Path) -> None:
    for name in UNNEEDED:
        folder = root / name
        if folder.exists():
            chroot(root, "find", f"/{name}", "-mindepth", "1", "-delete")
    chroot(root, "find", "/var/cache/apt", "-type", "f", "-delete")
    (root / "etc/resolv.conf").write_text("")


def _arrange_python(root: Path) -> None:
    # As in the real image: python in /usr/local/bin, and pip may install there.
    (root / "usr/local/bin/python3").symlink_to("/usr/bin/python3.11")
    (root / "usr/local/bin/python").symlink_to("python3")
    for marker in root.glob("usr/lib/python3*/EXTERNALLY-MANAGED"):
        marker.unlink()


def _arrange_postgres(root: Path) -> None:
    # 150 MB that compile queries to machine code; without them the server interprets.
    libraries = "/usr/lib/*/libLLVM* /usr/lib/*/libz3*"
    server = "/usr/lib/postgresql/15/lib"
    chroot(root, "sh", "-c", f"rm -rf {libraries} {server}/bitcode {server}/llvmjit.so")
    # The real image's numbers, which manifests name in runAsUser and fsGroup.
    chroot(root, "groupmod", "--gid", "999", "postgres")
    chroot(root, "usermod", "--uid", "999", "--gid", "999", "postgres")
    chroot(root, "sh", "-c", "rm -rf /var/lib/postgresql/* /etc/postgresql/* /var/log/postgresql")
    chroot(root, "install", "-d", "-o", "999", "-g", "999", "-m", "3777", "/var/run/postgresql")
    chroot(root, "install", "-d", "-o", "999", "-g", "999", "/var/lib/postgresql/data")
    entrypoint = root / "usr/local/bin/docker-entrypoint.sh"
    entrypoint.write_bytes(POSTGRES_ENTRYPOINT.read_bytes())
    entrypoint.chmod(0o755)


PYTHON = StandIn(
    image="docker.io/library/python:3.11-slim-bookworm",
    packages=["ca-certificates", "python3", "python3-pip", "python3-venv"],
    arrange=_arrange_python,
    config={"Env": [f"PATH=/usr/local/bin:{PATH}", "LANG=C.UTF-8"], "Cmd": ["python3"]},
    recipe="python in /usr/local/bin",
    usual="40 s",
)
POSTGRES = StandIn(
    image="docker.io/library/postgres:15-bookworm",
    packages=["locales", "postgresql-15"],
    arrange=_arrange_postgres,
    config={
        "Env": [f"PATH=/usr/lib/postgresql/15/bin:{PATH}", "PGDATA=/var/lib/postgresql/data"],
        "Entrypoint": ["docker-entrypoint.sh"],
        "Cmd": ["postgres"],
        "StopSignal": "SIGINT",
    },
    recipe="postgres is 999, no JIT",
    usual="60 s",
    extra=[POSTGRES_ENTRYPOINT],
)
