"""limits.json, read again when it changes."""

from __future__ import annotations

from pathlib import Path

import pytest

from callfleet_engine.limits import Limits, read_limits
from callfleet_engine.reloading import Reloading


def test_missing_fields_have_their_defaults(tmp_path: Path) -> None:
    file = tmp_path / "limits.json"
    file.write_text('{"version": 1, "capacityParticipants": 20, "unknown": true}')
    assert read_limits(file) == Limits(capacity_participants=20)


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ("{", "the file"),
        ("[]", "the file"),
        ('{"capacityParticipants": 0}', "capacityParticipants"),
        ('{"targetUtilizationPercent": 90, "newCallLimitPercent": 80}', "newCallLimitPercent"),
    ],
)
def test_a_bad_file_is_refused_by_its_field(tmp_path: Path, content: str, named: str) -> None:
    file = tmp_path / "limits.json"
    file.write_text(content)
    with pytest.raises(ValueError, match=named):
        read_limits(file)


def test_read_again_when_it_changes(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = tmp_path / "limits.json"
    file.write_text('{"capacityParticipants": 20}')
    limits = Reloading(file, read_limits)
    file.write_text('{"capacityParticipants": 3000}')
    assert limits.value.capacity_participants == 3000
    file.write_text("broken")
    assert limits.value.capacity_participants == 3000
    assert limits.value.capacity_participants == 3000
    assert len([r for r in caplog.records if r.levelname == "ERROR"]) == 1
    file.unlink()
    assert limits.value.capacity_participants == 3000
    file.write_text('{"capacityParticipants": 40}')
    assert limits.value.capacity_participants == 40
    assert limits.problem is None


def test_a_configmap_is_exchanged_by_links(tmp_path: Path) -> None:
    """As the kubelet does it: file -> ..data/file, ..data -> a directory of a new name."""
    for name, capacity in (("..1", 10), ("..2", 20)):
        (tmp_path / name).mkdir()
        content = f'{{"capacityParticipants": {capacity}}}'
        (tmp_path / name / "limits.json").write_text(content)
    (tmp_path / "..data").symlink_to("..1")
    (tmp_path / "limits.json").symlink_to("..data/limits.json")
    limits = Reloading(tmp_path / "limits.json", read_limits)
    assert limits.value.capacity_participants == 10
    (tmp_path / "..new").symlink_to("..2")
    (tmp_path / "..new").rename(tmp_path / "..data")
    assert limits.value.capacity_participants == 20
