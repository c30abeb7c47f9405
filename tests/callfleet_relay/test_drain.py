from __future__ import annotations

import pytest

from callfleet_relay.drain import Admission, AdmissionConflictError, AdmissionGate


def conflict(call: object, *args: object) -> str:
    assert callable(call)
    with pytest.raises(AdmissionConflictError) as caught:
        call(*args)
    return caught.value.code


def test_drains_seals_and_never_opens_again() -> None:
    gate = AdmissionGate()
    gate.drain("d1")
    gate.drain("d1")
    assert (gate.state, gate.drain_id, gate.is_open) == (Admission.DRAINING, "d1", False)
    gate.seal("d1", 0)
    gate.seal("d1", 0)

    assert gate.state is Admission.SEALED
    assert conflict(gate.undrain, "d1") == "sealed"
    assert conflict(gate.drain, "d2") == "sealed"


def test_a_later_drain_takes_the_place_of_the_one_before() -> None:
    gate = AdmissionGate()
    gate.drain("d1")
    gate.drain("d2")

    assert conflict(gate.seal, "d1", 0) == "not_draining"
    assert conflict(gate.undrain, "d1") == "not_draining"
    gate.undrain("d2")
    gate.undrain("d2")
    assert gate.is_open
    assert gate.drain_id is None


def test_seals_only_what_drains_and_is_empty() -> None:
    gate = AdmissionGate()
    assert conflict(gate.seal, "d1", 0) == "not_draining"
    gate.drain("d1")

    with pytest.raises(AdmissionConflictError) as caught:
        gate.seal("d1", 3)

    assert (caught.value.code, caught.value.details) == ("not_empty", {"allocations": 3})
    assert gate.state is Admission.DRAINING


def test_a_relay_that_was_told_to_end_never_opens_again() -> None:
    gate = AdmissionGate()
    gate.drain("d1")
    gate.terminate()
    assert conflict(gate.undrain, "d1") == "terminating"

    idle = AdmissionGate()
    idle.terminate()
    assert (idle.state, idle.is_open) == (Admission.DRAINING, False)
    assert conflict(idle.undrain, "terminating") == "terminating"
    idle.drain("d2")
    idle.seal("d2", 0)
    assert idle.state is Admission.SEALED
