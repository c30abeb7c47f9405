"""What is made once is whole or not there."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.cluster.cache import digest, made_once, scratch
from tests.cluster.paths import cache_root, state_root


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CALLFLEET_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_it_is_made_once_however_many_ask(cache: Path) -> None:
    made: list[Path] = []

    def make(out: Path) -> None:
        made.append(out)
        out.write_text("whole")

    with ThreadPoolExecutor(max_workers=4) as pool:
        paths = [pool.submit(made_once, "folder/thing", make) for _ in range(8)]
    assert {path.result() for path in paths} == {cache / "folder/thing"}
    assert len(made) == 1


def test_what_a_killed_maker_left_is_not_taken_for_whole(cache: Path) -> None:
    def torn(out: Path) -> None:
        out.write_text("to")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        made_once("thing", torn)
    assert not (cache / "thing").exists()

    def whole(out: Path) -> None:
        assert not out.exists()
        out.mkdir()
        (out / "program").touch()

    assert (made_once("thing", whole) / "program").exists()


def test_a_scratch_folder_is_empty_and_goes(cache: Path) -> None:
    out = cache / "thing"
    (cache / "thing.scratch").mkdir(parents=True)
    (cache / "thing.scratch/left").touch()
    with scratch(out) as folder:
        assert list(folder.iterdir()) == []
        (folder / "new").touch()
    assert not folder.exists()


def test_a_digest_tells_contents_and_their_borders_apart() -> None:
    assert digest("ab", "c") != digest("a", "bc")
    assert digest(b"ab") == digest("ab")


def test_places_follow_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("CALLFLEET_CACHE")
    monkeypatch.delenv("CALLFLEET_STATE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "c"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "s"))
    assert (cache_root(), state_root()) == (tmp_path / "c/callfleet", tmp_path / "s/callfleet")
