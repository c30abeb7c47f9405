"""Which data plane runs, and what is said where the native one does not load."""

from __future__ import annotations

import logging
import sys

import pytest

from callfleet_relay.relay import Relay
from callfleet_relay.settings import Settings
from callfleet_relay.transport import choice

from .conftest import StartRelay


@pytest.fixture
def no_native(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where the extension was not built."""
    monkeypatch.setitem(sys.modules, choice.NATIVE, None)


@pytest.mark.parametrize(("wanted", "runs"), [("auto", "native"), ("python", "python")])
async def test_the_setting_says_which(settings: Settings, wanted: str, runs: str) -> None:
    relay = Relay(settings.model_copy(update={"dataplane": wanted}))
    try:
        assert relay.plane.name == runs
        assert relay.status()["dataplane"] == runs
    finally:
        relay.close()


@pytest.mark.usefixtures("no_native")
async def test_where_it_does_not_load_python_relays_and_the_log_says_why(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    relay = Relay(settings)
    try:
        assert relay.plane.name == "python"
        assert "the native data plane does not load" in caplog.text
    finally:
        relay.close()


@pytest.mark.usefixtures("no_native")
async def test_where_it_was_asked_for_and_does_not_load_the_remedy_is_named(
    settings: Settings,
) -> None:
    with pytest.raises(choice.NativeUnavailableError, match="a Rust compiler, or leave"):
        Relay(settings.model_copy(update={"dataplane": "native"}))


def test_the_log_of_a_relay_says_which(start_relay: StartRelay) -> None:
    relay = start_relay("--dataplane-threads", "2")

    assert relay.listening["dataplane"] == "native"
    relay.stop()
    assert '"dataplane": "native"' in relay.log.read_text()
