"""WebRTC in JavaScript that we did not write: werift's and libdatachannel's TURN clients."""

from __future__ import annotations

import json
import subprocess
import time

import pytest

from callfleet_relay.settings import format_address
from tests.cluster import javascript

from .conftest import StartRelay
from .support import plain_credential
from .test_peer_turn import fetch, program

pytestmark = pytest.mark.peer

CALL_SECONDS = 60.0


@pytest.mark.parametrize(
    ("client", "transport"),
    [("werift", "udp"), ("werift", "tcp"), ("node-datachannel", "udp")],
)
def test_two_of_them_exchange_data_through_relays_alone(
    start_relay: StartRelay, client: str, transport: str
) -> None:
    relay = start_relay(
        *("--listen", f"{transport}://127.0.0.1:0", "--allow-peer", "127.0.0.0/8"),
        "--allow-hairpin",
    )
    credential = plain_credential(expires=time.time() + 600)
    url = f"turn:{format_address(relay.address)}?transport={transport}"
    command = [program("node"), f"{client}.mjs", url, credential.username, credential.password]

    result = subprocess.run(
        command,
        cwd=javascript.programs(),
        capture_output=True,
        text=True,
        timeout=CALL_SECONDS,
        check=False,
    )

    assert result.returncode == 0, result.stdout + result.stderr
    told = json.loads(result.stdout.splitlines()[-1])
    assert told == {"received": "echo hello", "candidates": ["relay"]}
    metrics = fetch(f"{relay.metrics_url}/metrics")
    assert 'allocate_requests_total{outcome="ok"} 2.0' in metrics
    assert 'allocate_requests_total{outcome="bad_request"} 0.0' in metrics
