"""What a cluster could leave behind on the machine, to compare before and after."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

# What the programs would make if they were not kept to a folder of their own.
PLACES = (
    "/etc/cni",
    "/opt/cni",
    "/run/containerd",
    "/run/flannel",
    "/run/mount",
    "/run/netns",
    "/run/xtables.lock",
    "/usr/libexec/kubernetes",
    "/var/lib/cni",
    "/var/lib/containers",
    "/var/lib/containerd",
    "/var/lib/etcd",
    "/var/lib/kubelet",
    "/var/log/containers",
    "/var/log/pods",
)
SETTINGS = (
    "vm/overcommit_memory",
    "vm/panic_on_oom",
    "kernel/panic",
    "kernel/panic_on_oops",
    "kernel/keys/root_maxkeys",
    "kernel/keys/root_maxbytes",
    "net/ipv4/ip_forward",
    "net/netfilter/nf_conntrack_max",
    "net/ipv4/conf/all/route_localnet",
)


def machine() -> dict[str, list[str]]:
    """The machine's own state, outside all namespaces of clusters."""
    return {
        "links": sorted(path.name for path in Path("/sys/class/net").iterdir()),
        "mounts": sorted(line.split()[4] for line in _lines(Path("/proc/self/mountinfo"))),
        "rules": _output("nft", "list", "ruleset"),
        "settings": [f"{name} {_lines(Path('/proc/sys') / name)}" for name in SETTINGS],
        "places": sorted(
            str(path)
            for place in map(Path, PLACES)
            for path in (place, *(place.iterdir() if place.is_dir() else ()))
            if path.exists()
        ),
    }


def traces_of(directory: Path, node_name: str) -> list[str]:
    """What there still is of one run: files, processes, control groups."""
    found = [str(path) for path in directory.parent.glob(f"*{directory.name}*")]
    # Unlike glob it goes on where another node's pod takes its control group with it.
    for above, groups, _ in os.walk("/sys/fs/cgroup"):
        found += [f"{above}/{group}" for group in groups if node_name in group]
    found += list(_processes(str(directory), node_name))
    return sorted(found)


def _processes(directory: str, node_name: str) -> Iterator[str]:
    """Those that name the directory, and those in the node's control groups (its pods')."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            groups = (process / "cgroup").read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue  # it ended meanwhile
        if directory in command or node_name in groups:
            yield f"{process.name} {command}"


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def _output(*argv: str) -> list[str]:
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.splitlines()
