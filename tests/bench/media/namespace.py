"""A network namespace for the bench: nothing leaves it, and nobody else is in it.

Janus (libnice) does not use loopback addresses, so all servers are reached at one of another
interface; the kernel delivers what is sent to it like loopback.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence

ADDRESS = "198.18.0.1"
"""Of the range for benchmarks (RFC 2544)."""
INTERFACE = "bench0"


def enter(module: str, arguments: Sequence[str]) -> None:
    """Run this Python's `module` in a namespace of its own, in place of this process."""
    command = ["unshare", "--net"]
    if os.geteuid() != 0:
        command += ["--user", "--map-root-user"]
    os.execvp("unshare", [*command, sys.executable, "-m", module, *arguments])  # noqa: S606


def prepare() -> None:
    """Give a new namespace its address."""
    commands = (
        "link set lo up",
        f"link add {INTERFACE} type veth peer name {INTERFACE}-peer",
        f"address add {ADDRESS}/32 dev {INTERFACE}",
        f"link set {INTERFACE} up",
        f"link set {INTERFACE}-peer up",
    )
    subprocess.run(["ip", "-batch", "-"], input="\n".join(commands), text=True, check=True)
