"""A TURN client that we did not write: pion's, in Go."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest

from callfleet_relay.settings import format_address
from tests.cluster.go_programs import PinnedPrograms

from .certificates import Pair
from .conftest import StartRelay
from .support import plain_credential

pytestmark = pytest.mark.peer

CLIENT_SECONDS = 120.0
MESSAGES = 500
CLIENT = PinnedPrograms(
    Path(__file__).parent / "pion",
    "github.com/pion/turn/v4",
    (".",),
    {},
    "20 s",
)


@pytest.mark.parametrize("dataplane", ["native", "python"])
@pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])
def test_what_it_sends_comes_back(
    start_stream_relay: StartRelay, pair: Pair, transport: str, dataplane: str
) -> None:
    relay = start_stream_relay(
        *("--listen", f"{transport}://127.0.0.1:0", "--allow-peer", "127.0.0.0/8"),
        *("--dataplane", dataplane),
    )
    credential = plain_credential(expires=time.time() + 600)
    flags = {
        "server": format_address(relay.address),
        "transport": transport,
        "ca": str(pair.certificate),
        "user": credential.username,
        "password": credential.password,
        "realm": "test",
        "messages": str(MESSAGES),
    }
    command = [str(CLIENT.path() / "pion")]

    result = subprocess.run(
        [*command, *(f"-{name}={value}" for name, value in flags.items())],
        capture_output=True,
        text=True,
        timeout=CLIENT_SECONDS,
        check=False,
    )

    assert (result.returncode, result.stdout) == (0, f"{MESSAGES}\n"), result.stderr
