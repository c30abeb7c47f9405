"""The way of a pod out of service: open, draining, sealed.

- Open takes new calls and joins. Draining takes joins to the calls it has. Sealed takes nothing.
- Draining is reversible, sealed is final.
- A drain has an id, so that a request that belongs to an older drain changes nothing.
- SIGTERM begins a drain that nobody can cancel: the process ends.
- Sealing looks at the occupancy and changes the state in one step of the event loop, so no join
  can slip in between.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from callfleet_engine.store.interface import Admission

logger = logging.getLogger(__name__)

ConflictCode = Literal["sealed", "not_draining", "not_empty", "terminating", "no_room"]


@dataclass(frozen=True, slots=True)
class Occupancy:
    """What keeps a pod from being sealed."""

    calls: int
    joins: int
    """Joins under way."""


class DrainConflict(Exception):  # noqa: N818 - named for what is the case, as the store's are
    """A transition that the present state does not allow."""

    def __init__(
        self, code: ConflictCode, message: str, occupancy: Occupancy | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.occupancy = occupancy


class Drain:
    """The state of this pod. `on_sealed` is called once, in the step that seals."""

    def __init__(self, on_sealed: Callable[[], None] = lambda: None) -> None:
        self.admission = Admission.OPEN
        self.drain_id: str | None = None
        self.terminating = False
        self._on_sealed = on_sealed

    def begin(self, drain_id: str) -> None:
        """Take no new calls; a later drain takes the place of an earlier one.

        Raises DrainConflict `sealed`.
        """
        if self.admission is Admission.SEALED:
            raise DrainConflict("sealed", "This pod is sealed; delete it.")
        self.admission = Admission.DRAINING
        self.drain_id = drain_id
        logger.info("draining", extra={"drainId": drain_id})

    def cancel(self, drain_id: str) -> None:
        """Take new calls again. Nothing happens to a pod that is open.

        Raises DrainConflict `sealed`, `terminating`, or `not_draining` when another drain is in
        force.
        """
        if self.admission is Admission.SEALED:
            raise DrainConflict("sealed", "This pod is sealed and never reopens; delete it.")
        if self.admission is Admission.OPEN:
            return
        if self.terminating:
            raise DrainConflict("terminating", "This pod was told to end and cannot reopen.")
        self._require_drain(drain_id)
        self.admission = Admission.OPEN
        self.drain_id = None
        logger.info("drain cancelled", extra={"drainId": drain_id})

    def seal(self, drain_id: str, occupancy: Occupancy) -> None:
        """Take nothing ever again. May be repeated.

        Raises DrainConflict `not_draining` (no drain, or another one, is in force), `not_empty`.
        """
        if self.admission is Admission.SEALED:
            return
        if self.admission is Admission.OPEN:
            raise DrainConflict("not_draining", "This pod is open; drain it first.")
        self._require_drain(drain_id)
        if occupancy.calls or occupancy.joins:
            raise DrainConflict(
                "not_empty",
                f"{occupancy.calls} calls and {occupancy.joins} joins under way are left; "
                "try again when they have ended.",
                occupancy,
            )
        self._seal()

    def require(self, drain_id: str) -> None:
        """Raises DrainConflict `sealed`, `not_draining` unless this drain is in force."""
        if self.admission is Admission.SEALED:
            raise DrainConflict("sealed", "This pod is sealed and empty; delete it.")
        if self.admission is Admission.OPEN:
            raise DrainConflict("not_draining", "This pod is open; drain it first.")
        self._require_drain(drain_id)

    def is_for(self, drain_id: str) -> bool:
        """Whether this drain is in force."""
        return self.admission is Admission.DRAINING and self.drain_id == drain_id

    def end(self) -> None:
        """The process ends now, whatever is left."""
        self.terminating = True
        if self.admission is not Admission.SEALED:
            self._seal()

    def terminate(self) -> None:
        """The process was told to end: drain for good, under the drain id there is."""
        self.terminating = True
        if self.admission is Admission.OPEN:
            self.begin("terminating")

    def _seal(self) -> None:
        self.admission = Admission.SEALED
        logger.info("sealed", extra={"drainId": self.drain_id})
        self._on_sealed()

    def _require_drain(self, drain_id: str) -> None:
        if drain_id != self.drain_id:
            raise DrainConflict(
                "not_draining", f"Drain {self.drain_id} is in force, not {drain_id}."
            )
