"""What a round tells of itself while it runs, for whoever traces it."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Final, Protocol

Value = str | int


class Span(Protocol):
    """A piece of work that goes on."""

    def set(self, **attributes: Value) -> None:
        """Add what has been found out."""


class Tracer(Protocol):
    """Takes spans. Those begun within another one are its children."""

    def span(self, name: str, /, **attributes: Value) -> AbstractContextManager[Span]:
        """A piece of work, as long as the block; an exception that leaves it is told."""


class _Unseen:
    def set(self, **attributes: Value) -> None:
        """Nobody looks."""


class NoTracer:
    """Where no traces are asked for."""

    def span(self, name: str, /, **attributes: Value) -> AbstractContextManager[Span]:  # noqa: ARG002  # the interface's
        """Costs nothing."""
        return nullcontext(_UNSEEN)


_UNSEEN: Final = _Unseen()
