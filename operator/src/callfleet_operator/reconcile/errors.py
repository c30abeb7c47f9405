"""How a round says that it could not be finished."""

from __future__ import annotations


class RoundError(Exception):
    """The round could not be finished for a known reason outside: try again later.

    `cause` is a label of low cardinality for the metric, `after` the seconds that the other side
    asked to be left alone.
    """

    def __init__(self, cause: str, message: str, after: float = 0.0) -> None:
        super().__init__(message)
        self.cause = cause
        self.after = after
