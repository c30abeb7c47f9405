"""The images of operator, engine and relay, built from the checkout's wheel."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.cache import digest, made_once, scratch
from tests.cluster.container_tools import ContainerTool, container_tool
from tests.cluster.errors import HarnessError
from tests.cluster.interface import Cluster
from tests.cluster.progress import step
from tests.cluster.stand_ins import POSTGRES
from tests.cluster.static_images import prometheus_archive

CHECKOUT = Path(__file__).resolve().parents[2]
PARTS = ("operator", "engine", "relay")
# What a wheel is made of. It is built from a copy: a build in the checkout leaves `build/`,
# whose stale modules the next wheel would carry.
RUST_SOURCES = ("Cargo.toml", "Cargo.lock", "native", "engine/native", "relay/native")
SOURCES = (
    "pyproject.toml",
    "setup.py",
    "README.md",
    "LICENSE",
    *RUST_SOURCES,
    *(f"{part}/src" for part in PARTS),
)
NOT_SOURCES = {"__pycache__", "target"}
SETUPTOOLS_NEEDED = 80
KEPT_ARCHIVES = 4
SOURCE_DATE_EPOCH = 1767225600


@dataclass(frozen=True)
class Image:
    """One built image."""

    part: str
    reference: str
    """Its full name; another content, another name."""
    archive: Path
    """docker-archive, for `Cluster.load`."""


NO_COMPILER = (
    "There is no Rust compiler (cargo): the images of engine and relay are made without the native "
    "planes, and Python carries the media. It works, and takes two to four times the CPU. To have "
    "them, install Rust as Cargo.toml's rust-version or later (on Debian 12: apt-get install "
    "cargo-web) and build again."
)


def build_images() -> list[Image]:
    """The three images of the present checkout; what has not changed is not built again."""
    tool = container_tool()
    note_missing_compiler()
    return [_build_part(part, tool) for part in PARTS]


def load_all(cluster: Cluster) -> list[Image]:
    """Build the images and load them, with the public ones where no registry is asked."""
    built = build_images()
    archives = [image.archive for image in built]
    if not cluster.pulls_images:
        archives += [prometheus_archive(), POSTGRES.archive()]
    with step(f"Loading {len(archives)} images into {cluster.name}", "30 s"):
        cluster.load(archives)
    return built


def named_for(image: Image, registry: str) -> str:
    """The image's name in a registry, such as registry.example.org/team."""
    return f"{registry.rstrip('/')}/{image.reference.removeprefix('localhost/')}"


def push(image: Image, registry: str) -> str:
    """Push to a registry; returns the image's name there."""
    reference = named_for(image, registry)
    with step(f"Pushing {reference}", "depends on the registry"):
        container_tool().push(image.archive, reference)
    return reference


def helm_values(references: dict[str, str]) -> str:
    """The chart's values that name these images, as YAML."""
    return "".join(f"{part}:\n  image: {name}\n" for part, name in references.items())


def _build_part(part: str, tool: ContainerTool) -> Image:
    dockerfile = CHECKOUT / part / "Dockerfile"
    lock = CHECKOUT / "requirements" / f"{part}.txt"
    key = digest(tool.base(), dockerfile.read_bytes(), lock.read_bytes(), *_source_parts())
    repository = f"localhost/callfleet-{part}"
    reference = f"{repository}:{_release()}-{key}"

    def build(out: Path) -> None:
        with (
            step(f"Building the image of {part}", "30 s, 8 s after a change of code"),
            scratch(out) as context,
        ):
            _write_context(context, lock)
            tool.build(context, dockerfile, reference)
            tool.save(reference, out)
        tool.forget(repository)
        _forget_archives(out.parent, f"callfleet-{part}-")

    archive = made_once(f"images/callfleet-{part}-{_release()}-{key}.tar", build)
    archive.touch()  # used: not among those forgotten first
    return Image(part, reference, archive)


def _release() -> str:
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]
    return str(project["version"])


def _source_files() -> Iterator[Path]:
    for source in SOURCES:
        path = CHECKOUT / source
        found = sorted(path.rglob("*")) if path.is_dir() else [path]
        yield from (file for file in found if file.is_file() and _is_source(file))


def _is_source(file: Path) -> bool:
    """An extension that an editable install has built is none."""
    return NOT_SOURCES.isdisjoint(file.parts) and file.suffix != ".so"


def _source_parts() -> Iterator[str | bytes]:
    yield f"native {has_cargo()}"
    for file in _source_files():
        yield str(file.relative_to(CHECKOUT))
        yield file.read_bytes()


def copy_sources(into: Path) -> None:
    """What a wheel is made of, as a fresh clone has it."""
    for file in _source_files():
        copy = into / file.relative_to(CHECKOUT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, copy)


def _write_context(context: Path, lock: Path) -> None:
    """What the Dockerfiles copy: the part's lock and the wheel."""
    requirements, sources = context / "requirements", context / "sources"
    requirements.mkdir()
    shutil.copy(lock, requirements)
    copy_sources(sources)
    _build_wheel(sources, context / "dist")
    shutil.rmtree(sources)
    for path in context.rglob("*"):
        os.utime(path, (SOURCE_DATE_EPOCH, SOURCE_DATE_EPOCH))  # buildah's cache looks at it


def _build_wheel(sources: Path, out: Path) -> None:
    argv = [sys.executable, "-m", "build", "--wheel", f"--outdir={out}", str(sources)]
    if _has_build_tools():
        argv.insert(-1, "--no-isolation")  # nothing to fetch: seconds less
    # The same sources, the same bytes: an unchanged wheel keeps its layer.
    environment = {
        **os.environ,
        "SOURCE_DATE_EPOCH": str(SOURCE_DATE_EPOCH),
        # Crates that do not change are not compiled again.
        "CARGO_TARGET_DIR": os.environ.get("CARGO_TARGET_DIR", str(CHECKOUT / "target")),
    }
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise HarnessError(f"the wheel was not built:\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
    _check_native(next(out.glob("*.whl")))


def _check_native(wheel: Path) -> None:
    """A Rust compiler that is there must have made both native planes."""
    with zipfile.ZipFile(wheel) as archive:
        names = [Path(name) for name in archive.namelist()]
    packages = ("callfleet_engine", "callfleet_relay")
    are_there = all(any(n.match(f"{package}/_native*.so") for n in names) for package in packages)
    if has_cargo() and not are_there:
        raise HarnessError(
            "the wheel lacks a native plane, though there is a Rust compiler: see what "
            "`cargo build --release --locked` says; it needs the version in Cargo.toml or later"
        )


def note_missing_compiler() -> None:
    """Say on standard error what is not in images that are built without a Rust compiler."""
    if not has_cargo():
        print(NO_COMPILER, file=sys.stderr, flush=True)


def has_cargo() -> bool:
    """Without it the wheel has no native planes, and media goes by Python."""
    return shutil.which("cargo") is not None


def _has_build_tools() -> bool:
    try:
        version = importlib.metadata.version("setuptools")
        importlib.metadata.version("setuptools-rust")
    except importlib.metadata.PackageNotFoundError:
        return False
    return int(version.split(".")[0]) >= SETUPTOOLS_NEEDED


def _forget_archives(folder: Path, prefix: str) -> None:
    archives = sorted(folder.glob(f"{prefix}*.tar"), key=lambda path: path.stat().st_mtime)
    for old in archives[:-KEPT_ARCHIVES]:
        old.unlink(missing_ok=True)
