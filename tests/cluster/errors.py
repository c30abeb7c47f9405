"""The errors that the harness raises on purpose."""

from __future__ import annotations


class HarnessError(Exception):
    """Something a person can put right; the message says what and how."""


class BusyError(HarnessError):
    """Another process is just starting or ending the same cluster."""
