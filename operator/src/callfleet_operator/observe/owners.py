"""Whose an object is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def controller_of(body: Mapping[str, Any]) -> str:
    """Uid of what controls the object; empty when nothing does."""
    for owner in body["metadata"].get("ownerReferences") or ():
        if owner.get("controller"):
            return str(owner.get("uid", ""))
    return ""
