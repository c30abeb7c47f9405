"""Where the harness keeps things, always outside the checkout."""

from __future__ import annotations

import os
from pathlib import Path


def cache_root() -> Path:
    """What is made once and kept by version: `$CALLFLEET_CACHE`, else the user's cache."""
    if named := os.environ.get("CALLFLEET_CACHE"):
        return Path(named).resolve()
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base).resolve() / "callfleet"


def state_root() -> Path:
    """What lives as long as a cluster does: `$CALLFLEET_STATE`, else the user's state."""
    if named := os.environ.get("CALLFLEET_STATE"):
        return Path(named).resolve()
    base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local/state"
    return Path(base).resolve() / "callfleet"
