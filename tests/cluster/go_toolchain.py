"""The Go that builds: the machine's if it is new enough, else one fetched as a Go module.

Debian's and Ubuntu's packages are often older than Kubernetes asks for. Go itself serves its
toolchains as modules of golang.org/toolchain (https://go.dev/doc/toolchain#download); the one
taken here is pinned by its hash.
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
import shutil
import subprocess
import urllib.error
import urllib.request
import zipfile
from pathlib import Path

from tests.cluster.cache import made_once, scratch
from tests.cluster.errors import HarnessError
from tests.cluster.progress import step

HERE = Path(__file__).parent
GO_MODS = tuple(
    HERE / f"{name}/go.mod" for name in ("kubernetes", "prometheus", "prometheus_adapter")
)
FETCHED = "1.26.8"
FETCHED_SHA256 = "30c2b1bf7dcc88d3eb0a1364e47ddd9128edb3110a30e8a0ef61cd5856b31de7"
PREFIX = f"golang.org/toolchain@v0.0.1-go{FETCHED}.linux-amd64"
TIMEOUT_SECONDS = 60


def go() -> Path:
    """A Go that is new enough for go.mod. Raises HarnessError that says how to get one."""
    found = shutil.which("go")
    if found and _version_of(found) >= required():
        return Path(found)
    if platform.machine() != "x86_64":
        have = "is older" if found else "is missing"
        wanted = ".".join(map(str, required()))
        raise HarnessError(
            f"Go {have}: what is built here needs Go {wanted} or later. Get it from "
            "https://go.dev/dl/ and put its bin folder first in PATH"
        )
    return made_once(f"go-toolchain/{FETCHED}", _fetch) / "bin/go"


def required() -> tuple[int, ...]:
    """The newest version that one of our go.mod files asks for, such as (1, 26, 0)."""
    asked = []
    for path in GO_MODS:
        line = re.search(r"^go ([\d.]+)$", path.read_text(), re.MULTILINE)
        if line is None:
            raise HarnessError(f"{path} has no line `go VERSION`")
        asked.append(_numbers(line[1]))
    return max(asked)


def environment() -> dict[str, str]:
    """Settings for `go build` and `go install`, whatever the user's own say."""
    return {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-buildvcs=false", "GOTOOLCHAIN": "local"}


def _version_of(program: str) -> tuple[int, ...]:
    done = subprocess.run(
        [program, "env", "GOVERSION"],
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    return _numbers(done.stdout.strip().removeprefix("go"))


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version)[:3])


def _fetch(out: Path) -> None:
    with step(f"Fetching Go {FETCHED}", "10 s"), scratch(out) as folder:
        archive = folder / "go.zip"
        _download(archive)
        with zipfile.ZipFile(archive) as toolchain:
            toolchain.extractall(folder)
        root = folder / PREFIX
        for program in (*root.glob("bin/*"), *root.glob("pkg/tool/*/*")):
            program.chmod(0o755)  # module archives carry no modes
        root.rename(out)


def _download(archive: Path) -> None:
    module, _, version = PREFIX.partition("@")
    proxy = _module_proxy()
    url = f"{proxy}/{module}/@v/{version}.zip"
    try:
        with (
            urllib.request.urlopen(url, timeout=TIMEOUT_SECONDS) as answer,  # noqa: S310 - https
            archive.open("wb") as file,
        ):
            shutil.copyfileobj(answer, file)
    except urllib.error.URLError as error:
        raise HarnessError(
            f"Go is missing or too old, and {url} cannot be reached ({error}): install Go "
            f"{FETCHED} or later from https://go.dev/dl/ and put it first in PATH"
        ) from error
    with archive.open("rb") as file:
        if (digest := hashlib.file_digest(file, "sha256").hexdigest()) != FETCHED_SHA256:
            raise HarnessError(f"{url} has SHA-256 {digest}, not the pinned {FETCHED_SHA256}")


def _module_proxy() -> str:
    """The module proxy of the environment, else the one that an older Go would ask."""
    configured = os.environ.get("GOPROXY", "")
    if not configured and (found := shutil.which("go")):
        done = subprocess.run(
            [found, "env", "GOPROXY"], capture_output=True, text=True, check=False
        )
        configured = done.stdout.strip()
    first = re.split(r"[,|]", configured)[0]
    if not first.startswith("https://"):
        raise HarnessError(
            f"Go is missing: install Go {FETCHED} or later from https://go.dev/dl/ and put it "
            "first in PATH; or set GOPROXY to a module proxy (https://...) to have it fetched"
        )
    return first
