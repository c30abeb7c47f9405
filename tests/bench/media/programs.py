"""The programs of the media bench: what it measures, and what loads that."""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.cache import digest, made_once
from tests.cluster.go_programs import GoProgram, call_go
from tests.cluster.progress import step

CLIENT = Path(__file__).parent / "client"
LIVEKIT = GoProgram("github.com/livekit/livekit-server/cmd/server", "v1.9.12", "10 min")


@dataclass(frozen=True)
class LoadClient:
    """`client/`, built once for each state of its source."""

    folder: Path

    def path(self) -> Path:
        """The program; it is built if it is not there yet. Raises HarnessError."""
        source = sorted(path for path in self.folder.iterdir() if path.suffix in {".go", ".mod"})
        key = digest(*(path.read_bytes() for path in source))
        return made_once(f"bench/client-{key}", self._build)

    def _build(self, out: Path) -> None:
        with step("Building the client of the media bench", "1 min"):
            call_go(["build", "-trimpath", "-ldflags=-s -w", "-o", str(out), "."], {}, self.folder)


def janus() -> str:
    """Debian's Janus. Ends the program where it is missing."""
    found = shutil.which("janus")
    if found is None:
        sys.exit("janus is missing: apt-get install --no-install-recommends janus")
    return found


if __name__ == "__main__":
    LIVEKIT.path()
    LoadClient(CLIENT).path()
