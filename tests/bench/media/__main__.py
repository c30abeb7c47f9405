"""The engine's media plane beside LiveKit and Janus: `python -m tests.bench media SCENE...`.

Each server runs on the first core and the client on the second, one server after the other, in a
network namespace. All negotiate AEAD_AES_256_GCM. CPU time is the scheduler's accounting of the
server's process; packets are counted at the clients' sockets; one of 32 is decrypted and verified,
and tells its delay. Loopback charges the receiver's work to the sender, for all servers alike.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

from tests.bench.media import namespace
from tests.bench.media.client import ClientFailed
from tests.bench.media.scenes import SCENES, Row, Setting
from tests.bench.media.servers import SERVERS, NotStarted
from tests.bench.media.tables import markdown

OURS_ONLY = {"qualities", "pods"}


def main() -> int:
    """Measure and print tables; 1 if a server could not be measured."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench media", description=__doc__.splitlines()[0]
    )
    parser.add_argument("scenes", nargs="*", metavar="SCENE", help=f"of {', '.join(SCENES)}")
    parser.add_argument("--servers", nargs="+", choices=SERVERS, default=list(SERVERS))
    parser.add_argument("--rounds", type=int, default=3, help="turns of each server")
    parser.add_argument("--seconds", type=float, default=4.0, help="length of a measurement")
    parser.add_argument("--results", type=Path, help="add rows to this file; tables are of all")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if unknown := set(given.scenes) - set(SCENES):
        parser.error(f"no scene is named {', '.join(sorted(unknown))}: take {', '.join(SCENES)}")
    if not given.inside:
        namespace.enter("tests.bench.media", [*sys.argv[1:], "--inside"])
    namespace.prepare()
    setting = Setting(given.seconds, namespace.ADDRESS)
    rows = read(given.results)
    failed = False
    for name in given.scenes or SCENES:
        servers = [s for s in given.servers if name not in OURS_ONLY or s.startswith("callfleet")]
        for _ in range(given.rounds):
            for server in servers:
                try:
                    for row in SCENES[name](SERVERS[server], setting):
                        keep(row, given.results)
                        rows.append(row)
                except (NotStarted, ClientFailed) as error:
                    print(f"{name}, {server}: {error}", file=sys.stderr)
                    failed = True
    print("\n".join(markdown(rows)))
    return 1 if failed else 0


def read(file: Path | None) -> list[Row]:
    """The rows that earlier runs have left in a file."""
    if file is None or not file.exists():
        return []
    return [Row(**json.loads(line)) for line in file.read_text().splitlines()]


def keep(row: Row, file: Path | None) -> None:
    """Add a row to a file."""
    if file is not None:
        with file.open("a") as lines:
            lines.write(json.dumps(asdict(row)) + "\n")


if __name__ == "__main__":
    sys.exit(main())
