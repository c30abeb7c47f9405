"""File descriptors: each allocation and each connection takes one."""

from __future__ import annotations

import resource

SPARE_FILES = 256
"""Descriptors beside those of sessions: listeners, HTTP connections, files."""


def allow_files(needed: int) -> None:
    """Raise the soft limit as far as needed. Raises ValueError where the hard limit is lower."""
    needed += SPARE_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < needed:
        raise ValueError(
            f"--max-allocations, --max-connections: {needed} open files are needed and the hard "
            f"limit is {hard}: lower one of them, or raise the limit (ulimit -Hn)"
        )
    if soft != resource.RLIM_INFINITY and soft < needed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
