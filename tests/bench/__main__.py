"""`make bench`: every table of the source document that has been measured, one after the other."""

from __future__ import annotations

import subprocess
import sys

BENCHES = {
    "store_operations": "Query performance, and the stress tests 1 and 4 on the store",
    "engine_capacity": "CPU and memory a user, and how many users an instance carries",
    "relay": "TURN server performance, beside coturn",
}


def main() -> int:
    """Run all; returns 1 if one of them failed."""
    failed = []
    for name, table in BENCHES.items():
        print(f"\n== {table} ({name}) ==", flush=True)
        if subprocess.run([sys.executable, "-m", f"tests.bench.{name}"], check=False).returncode:
            failed.append(name)
    if failed:
        print(f"\nFailed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
