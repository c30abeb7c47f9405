"""The benches: `python -m tests.bench` runs all, `python -m tests.bench NAME ...` one of them.

Each table of the source document that has been measured, and what stands beside other servers.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence

BENCHES = {
    "store_operations": "Query performance, and the stress tests 1 and 4 on the store",
    "engine_capacity": "CPU and memory a user, and how many users an instance carries",
    "media": "The media plane, beside LiveKit and Janus",
    "relay": "TURN server performance, beside coturn",
}


def main(arguments: Sequence[str]) -> int:
    """Run one with its arguments, or all without; returns 1 if one of them failed."""
    if arguments and arguments[0] not in BENCHES:
        sys.exit(f"No bench is named {arguments[0]}: take {', '.join(BENCHES)}.")
    if arguments:
        return run(*arguments)
    failed = []
    for name, table in BENCHES.items():
        print(f"\n== {table} ({name}) ==", flush=True)
        if run(name):
            failed.append(name)
    if failed:
        print(f"\nFailed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def run(name: str, *arguments: str) -> int:
    """Run a bench in a process of its own; its exit status."""
    argv = [sys.executable, "-m", f"tests.bench.{name}", *arguments]
    return subprocess.run(argv, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
