from __future__ import annotations

from pathlib import Path

import pytest

from callfleet_relay.watched import MAX_BYTES, WatchedFile


def test_sees_a_mount_that_is_replaced(tmp_path: Path) -> None:
    for version in ("..1", "..2"):
        (tmp_path / version).mkdir()
        (tmp_path / version / "secrets").write_text(version)
    data = tmp_path / "..data"
    data.symlink_to("..1")
    (tmp_path / "secrets").symlink_to("..data/secrets")
    watched = WatchedFile(tmp_path / "secrets")
    assert watched.has_changed()
    assert watched.read() == "..1"
    assert not watched.has_changed()

    (tmp_path / "..new").symlink_to("..2")
    (tmp_path / "..new").replace(data)

    assert watched.has_changed()
    assert watched.read() == "..2"


def test_a_file_that_is_gone_for_now_has_not_changed(tmp_path: Path) -> None:
    path = tmp_path / "secrets"
    path.write_text("text")
    watched = WatchedFile(path)
    watched.read()

    path.unlink()

    assert not watched.has_changed()


def test_the_length_is_bounded(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x" * (MAX_BYTES + 1))

    with pytest.raises(ValueError, match="longer than"):
        WatchedFile(tmp_path / "file").read()
