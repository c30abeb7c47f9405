"""The one error that the harness raises on purpose."""

from __future__ import annotations


class HarnessError(Exception):
    """Something a person can put right; the message says what and how."""
