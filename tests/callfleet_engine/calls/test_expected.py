"""Who may come back to a call that has changed pods."""

from __future__ import annotations

from callfleet_engine.calls.expected import Expected, digest
from callfleet_engine.store.interface import Participant

ADA = Participant("p-1", "ada", "Ada", digest("token of ada"))
EVE = Participant("p-2", "eve", "Eve", digest("token of eve"))
OLD = Participant("p-3", "old", "of a release that kept no digest")


def test_somebody_is_known_by_token_and_identity_together() -> None:
    expected = Expected([ADA, EVE, OLD])
    assert expected.who("token of ada", "ada") == ADA
    assert expected.who("token of ada", "eve") is None
    assert expected.who("token of bob", "ada") is None
    assert expected.who(None, "ada") is None


def test_nobody_is_known_by_what_the_database_holds() -> None:
    expected = Expected([ADA, OLD])
    assert expected.who(ADA.resume_digest, "ada") is None
    assert expected.who("", "old") is None


def test_who_has_come_is_expected_no_more() -> None:
    expected = Expected([ADA, EVE, OLD])
    expected.arrived(ADA)
    assert len(expected) == 2
    assert expected.who("token of ada", "ada") is None
    assert expected.give_up() == (EVE, OLD)
    assert len(expected) == 0
