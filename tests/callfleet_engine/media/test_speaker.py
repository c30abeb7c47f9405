"""Who speaks."""

from __future__ import annotations

from callfleet_engine.media.speaker import HOLD, ActiveSpeaker

QUIET, SPEECH, SHOUT = 127, 30, 10


def settle(speakers: ActiveSpeaker, intervals: int = 3 * HOLD, **levels: int) -> str | None:
    for _ in range(intervals):
        speakers.observe(levels)
    return speakers.speaker


def test_a_voice_is_heard_within_a_second_and_told_once() -> None:
    speakers = ActiveSpeaker()
    changes = [speakers.observe({"alice": SPEECH, "bob": QUIET}) for _ in range(10)]
    assert (speakers.speaker, changes.count(True)) == ("alice", 1)


def test_a_quiet_room_is_nobody() -> None:
    assert settle(ActiveSpeaker(), alice=70, bob=90) is None


def test_a_pause_for_breath_changes_nothing() -> None:
    speakers = ActiveSpeaker()
    assert settle(speakers, alice=SPEECH, bob=QUIET) == "alice"
    assert settle(speakers, intervals=3, alice=QUIET, bob=QUIET) == "alice"


def test_who_falls_silent_is_no_speaker_any_more() -> None:
    speakers = ActiveSpeaker()
    settle(speakers, alice=SPEECH)
    assert settle(speakers, alice=QUIET) is None


def test_somebody_clearly_louder_takes_over_but_not_at_once() -> None:
    speakers = ActiveSpeaker()
    settle(speakers, intervals=3, alice=SPEECH, bob=QUIET)
    assert settle(speakers, intervals=HOLD - 2, alice=SPEECH, bob=SHOUT) == "alice"
    assert settle(speakers, alice=SPEECH, bob=SHOUT) == "bob"


def test_somebody_a_little_louder_does_not() -> None:
    speakers = ActiveSpeaker()
    settle(speakers, alice=SPEECH, bob=QUIET)
    assert settle(speakers, alice=SPEECH, bob=SPEECH - 3) == "alice"


def test_who_leaves_is_forgotten() -> None:
    speakers = ActiveSpeaker()
    settle(speakers, alice=SPEECH, bob=QUIET)
    assert speakers.observe({"bob": QUIET})
    assert speakers.speaker is None
