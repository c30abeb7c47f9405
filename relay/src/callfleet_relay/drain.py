"""Whether a relay takes new allocations: open, draining, sealed."""

from __future__ import annotations

from enum import StrEnum


class Admission(StrEnum):
    """`sealed` is the end: a sealed relay never opens again."""

    OPEN = "open"
    DRAINING = "draining"
    SEALED = "sealed"


class AdmissionConflictError(Exception):
    """The present state does not allow the change."""

    def __init__(self, code: str, message: str, **details: int) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.details = details


class AdmissionGate:
    """The state and the drain it belongs to. Every change may be repeated."""

    def __init__(self) -> None:
        self.state = Admission.OPEN
        self.drain_id: str | None = None
        self._is_terminating = False

    @property
    def is_open(self) -> bool:
        """Whether new allocations are taken."""
        return self.state is Admission.OPEN

    def drain(self, drain_id: str) -> None:
        """Refuse new allocations; a later drain takes the place of the one before.

        Raises `AdmissionConflictError` (sealed).
        """
        self._refuse_if_sealed()
        self.state = Admission.DRAINING
        self.drain_id = drain_id

    def undrain(self, drain_id: str) -> None:
        """Take new allocations again.

        Raises `AdmissionConflictError` (sealed, terminating, not_draining).
        """
        self._refuse_if_sealed()
        if self._is_terminating:
            raise AdmissionConflictError(
                "terminating", "This relay was told to end: it opens no more."
            )
        if self.state is Admission.DRAINING and self.drain_id != drain_id:
            raise self._other_drain()
        self.state = Admission.OPEN
        self.drain_id = None

    def seal(self, drain_id: str, allocations: int) -> None:
        """Close for good. Raises `AdmissionConflictError` (not_draining, not_empty)."""
        if self.state is Admission.OPEN:
            raise AdmissionConflictError("not_draining", "Drain this relay before sealing it.")
        if self.drain_id != drain_id:
            raise self._other_drain()
        if allocations:
            raise AdmissionConflictError(
                "not_empty", "Wait until the last allocation has ended.", allocations=allocations
            )
        self.state = Admission.SEALED

    def terminate(self) -> None:
        """The process was told to end: drain, for good. The drain in effect goes on."""
        self._is_terminating = True
        if self.is_open:
            self.drain("terminating")

    def _refuse_if_sealed(self) -> None:
        if self.state is Admission.SEALED:
            raise AdmissionConflictError(
                "sealed", "A sealed relay never opens again: delete its pod."
            )

    def _other_drain(self) -> AdmissionConflictError:
        return AdmissionConflictError(
            "not_draining", f"The drain in effect is {self.drain_id}: name that one."
        )
