"""Image archives written without a container tool; containerd, buildah and docker read them."""

from __future__ import annotations

import hashlib
import io
import json
import platform
import tarfile
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}  # as Go, and so images, name them
FORMAT = "2"  # another one whenever the same input gives another archive
CREATED = "2026-01-01T00:00:00Z"


def architecture() -> str:
    machine = platform.machine()
    return ARCHITECTURES.get(machine, machine)


def write_archive(out: Path, tag: str, layer: Path, config: Mapping[str, object]) -> None:
    """A docker-archive of one image with one layer (a tar file).

    https://github.com/moby/docker-image-spec/blob/main/spec.md
    """
    with layer.open("rb") as file:
        diff_id = hashlib.file_digest(file, "sha256").hexdigest()
    image = json.dumps(
        {
            "architecture": architecture(),
            "os": "linux",
            "config": config,
            # buildah counts the layers here, and keeps no cache above an image without a time.
            "history": [{"created": CREATED, "created_by": tag}],
            "created": CREATED,
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{diff_id}"]},
        }
    ).encode()
    name = f"{hashlib.sha256(image).hexdigest()}.json"
    manifest = [{"Config": name, "RepoTags": [tag], "Layers": ["layer.tar"]}]
    with tarfile.open(out, "w") as tar:
        for member, data in ((name, image), ("manifest.json", json.dumps(manifest).encode())):
            info = tarfile.TarInfo(member)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
        tar.add(layer, "layer.tar")


def write_programs(
    out: Path,
    tag: str,
    programs: Mapping[str, Path],
    config: Mapping[str, object],
    folders: Mapping[str, int] = MappingProxyType({}),
) -> None:
    """An image of static programs alone: place in the image -> file.

    `folders` are made empty, each for the user of that number.
    """
    layer = out.with_name(f"{out.name}.layer")
    with tarfile.open(layer, "w") as tar:
        for place, owner in folders.items():
            member = tarfile.TarInfo(place)
            member.type, member.mode = tarfile.DIRTYPE, 0o755
            member.uid = member.gid = owner
            tar.addfile(member)
        for place, program in programs.items():
            tar.add(program, place, filter=_as_root)
    write_archive(out, tag, layer, config)
    layer.unlink()


def _as_root(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = member.mtime = 0
    member.uname = member.gname = "root"
    return member
