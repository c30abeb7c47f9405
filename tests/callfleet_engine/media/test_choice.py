"""Which media plane runs, and what is said where the native one does not load."""

from __future__ import annotations

import logging
import sys
from typing import Literal

import pytest

from callfleet_engine.media import choice
from callfleet_engine.media.choice import NativeUnavailableError, make_plane
from callfleet_engine.media.plane import MediaSettings

SETTINGS = MediaSettings(addresses=("127.0.0.1",))


@pytest.fixture
def no_native(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where the extension was not built."""
    monkeypatch.setitem(sys.modules, choice.NATIVE, None)


@pytest.mark.parametrize(
    ("wanted", "runs"), [("auto", "native"), ("native", "native"), ("python", "python")]
)
async def test_the_setting_says_which_and_so_does_the_log(
    wanted: Literal["auto", "native", "python"], runs: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    plane = make_plane(wanted, SETTINGS)
    assert plane.name == runs
    [record] = [r for r in caplog.records if hasattr(r, "mediaplane")]
    assert record.mediaplane == runs


@pytest.mark.usefixtures("no_native")
async def test_where_it_does_not_load_python_forwards_and_the_log_says_why(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    assert make_plane("auto", SETTINGS).name == "python"
    assert "the native media plane does not load" in caplog.text


@pytest.mark.usefixtures("no_native")
async def test_where_it_was_asked_for_and_does_not_load_the_remedy_is_named() -> None:
    with pytest.raises(NativeUnavailableError, match="a Rust compiler, or leave"):
        make_plane("native", SETTINGS)
