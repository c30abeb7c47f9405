from __future__ import annotations

from pathlib import Path

import pytest

from callfleet_relay.watched import (
    MAX_BYTES,
    Followed,
    TextSource,
    UnusableFileError,
    WatchedFile,
)


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


def test_what_cannot_be_used_leaves_what_was_taken_before(tmp_path: Path) -> None:
    path = tmp_path / "number"
    path.write_text("1")
    taken: list[int] = []

    def take(text: str) -> dict[str, object]:
        taken.append(int(text))
        return {"count": 1}

    followed = Followed()
    followed.follow("--number-file", TextSource("number", path, take))
    followed.check()
    assert taken == [1]

    path.write_text("two")
    followed.check()
    followed.check()
    assert taken == [1]
    assert followed.usable == {"number": False}
    assert followed.readings["number", "failed"] == 1

    path.write_text("33")
    followed.check()
    followed.reload()
    assert taken == [1, 33, 33]
    assert followed.usable == {"number": True}
    assert followed.readings["number", "ok"] == 3


@pytest.mark.parametrize(("text", "message"), [("x", "invalid literal"), (None, "No such file")])
def test_a_file_that_cannot_be_used_at_the_start_is_named(
    tmp_path: Path, text: str | None, message: str
) -> None:
    path = tmp_path / "number"
    if text is not None:
        path.write_text(text)
    source = TextSource("number", path, lambda given: {"number": int(given)})

    with pytest.raises(UnusableFileError, match=f"--number-file {path}: {message}"):
        Followed().follow("--number-file", source)


def test_a_file_that_is_replaced_while_it_is_read_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "number"
    path.write_text("1")
    texts = iter(["ok", "half", "ok"])

    def take(_: str) -> dict[str, object]:
        if next(texts) == "half":
            path.write_text("the other half")
            raise ValueError("only half of it")
        return {}

    followed = Followed()
    followed.follow("--number-file", TextSource("number", path, take))
    followed.reload()
    followed.check()

    assert followed.readings == {("number", "ok"): 2, ("number", "failed"): 0}


def test_what_cannot_be_opened_is_said_once_and_read_once_it_can(tmp_path: Path) -> None:
    path = tmp_path / "number"
    path.write_text("1")
    followed = Followed()
    followed.follow("--number-file", TextSource("number", path, lambda text: {"is": int(text)}))
    path.unlink()
    path.mkdir()
    for _ in range(3):
        followed.check()
    assert followed.readings["number", "failed"] == 1

    path.rmdir()
    path.write_text("2")
    followed.check()
    assert followed.usable == {"number": True}
