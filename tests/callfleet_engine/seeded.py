"""Chance that a test can repeat."""

from __future__ import annotations

from random import Random


def seeded(seed: int = 1) -> Random:
    """A source of the same numbers each time."""
    return Random(seed)  # noqa: S311 - not for secrets
