"""presets.yaml, read again when it changes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from callfleet_engine.errors import CallError
from callfleet_engine.presets import BUILT_IN, parse_presets, read_presets
from callfleet_engine.reloading import Reloading
from tests import presets
from tests.presets import BAD, GOOD, ONE, SOUND


@pytest.mark.parametrize("text", GOOD)
def test_what_is_in_order_is_taken(text: str) -> None:
    found = parse_presets(text.encode())
    assert found.choose(None).name == found.default


@pytest.mark.parametrize(("text", "named"), BAD, ids=[named for _, named in BAD])
def test_a_bad_file_is_refused_by_its_field_and_with_the_form(text: str, named: str) -> None:
    with pytest.raises(ValueError) as refused:  # noqa: PT011  # the text is looked at
        parse_presets(text.encode())
    assert named in str(refused.value)
    assert "write `default: NAME`" in str(refused.value)
    assert len(str(refused.value)) < 600


@given(presets.valid(), st.booleans())
def test_every_file_within_the_bounds_is_taken(content: dict[str, object], as_json: bool) -> None:
    text = json.dumps(content) if as_json else yaml.safe_dump(content)
    found = parse_presets(text.encode())
    assert found.model_dump(by_alias=True, exclude_none=True) == content
    for preset in found.presets.values():
        bits = preset.audio_bits_per_second + (preset.video_bits_per_second or 0)
        assert bits < preset.granted_bits_per_second <= 1.2 * bits


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_other_text_is_refused_or_taken(text: bytes) -> None:
    try:
        outcome: object = parse_presets(text).default
    except ValueError as refused:
        outcome = str(refused)
    assert outcome


def test_the_rows_of_the_table_are_built_in() -> None:
    rows = {
        name: (p.height, p.frames_per_second, p.audio_bits_per_second, p.video_bits_per_second)
        for name, p in BUILT_IN.presets.items()
    }
    assert rows == {
        "low": (360, 15, 32_000, 150_000),
        "medium": (480, 24, 48_000, 300_000),
        "high": (720, 30, 64_000, 800_000),
        "standard": (720, 30, 64_000, 2_400_000),
        "hd": (1080, 30, 96_000, 1_500_000),
        "audio": (None, None, 64_000, None),
    }
    assert BUILT_IN.default == "standard"


def test_an_unknown_name_is_refused_with_those_there_are() -> None:
    with pytest.raises(CallError) as refused:
        BUILT_IN.choose("best")
    assert refused.value.code == "unknown_preset"
    assert "low, medium, high, standard, hd, audio" in refused.value.remedy
    assert BUILT_IN.choose("best", returning=True).name == "standard"
    assert BUILT_IN.choose("low", returning=True).name == "low"


def test_read_again_when_it_changes(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = tmp_path / "presets.yaml"
    file.write_text(ONE)
    known = Reloading(file, read_presets)
    assert known.value.default == "low"
    file.write_text(SOUND)
    assert known.value.default == "a"
    file.write_text("presets: [")
    assert known.value.default == "a"
    assert known.problem is not None
    assert str(file) in known.problem
    assert [r.message for r in caplog.records if r.levelname == "ERROR"] == [
        "a changed file cannot be used, the last good content stays in force"
    ]
    file.write_text(ONE)
    assert known.value.default == "low"
    assert known.problem is None
