"""`callfleet-relay` as a user or a kubelet runs it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from callfleet_relay.__main__ import main

from .certificates import make_pair
from .conftest import START_SECONDS, RelayProcess, StartRelay
from .support import (
    PUBLIC_PEER,
    SECRET,
    Credential,
    UdpClient,
    error_of,
    plain_credential,
)
from .test_tokens import UID, jwk_set, token

pytestmark = pytest.mark.slow

OTHER_SECRET = b"a-newer-secret-of-more-than-32-characters"


def wait_until(holds: Callable[[], bool]) -> None:
    """Ask again and again for as long as a start may take."""
    end = time.monotonic() + START_SECONDS
    while not holds():
        assert time.monotonic() < end, "it did not come to hold"
        time.sleep(0.02)


def log_of(relay: RelayProcess, message: str) -> list[dict[str, object]]:
    lines = [json.loads(line) for line in relay.log.read_text().splitlines()]
    return [line for line in lines if line["message"] == message]


def call(relay: RelayProcess, method: str, path: str, body: object = None) -> dict[str, object]:
    request = urllib.request.Request(  # noqa: S310 - http
        relay.admin_url + path,
        json.dumps(body).encode() if body is not None else None,
        {"Content-Type": "application/json"},
        method=method,
    )
    with urllib.request.urlopen(request, timeout=START_SECONDS) as response:  # noqa: S310 - http
        answer: dict[str, object] = json.load(response)
    return answer


def test_tells_where_a_stun_server_sees_it(start_relay: StartRelay) -> None:
    server = start_relay()
    named = str(server.listening["listen"][0]).replace("udp://", "stun:")
    relay = start_relay("--public-address-from", named)
    told = {"address": "127.0.0.1", "source": named, "problem": ""}
    wait_until(lambda: call(relay, "GET", "/status")["public"] == told)
    status = call(relay, "GET", "/status")
    assert status["addresses"] == [{"address": "127.0.0.1", "source": "--relay-address"}]


def test_goes_on_while_no_stun_server_answers(start_relay: StartRelay) -> None:
    relay = start_relay("--public-address-from", "stun:no-such-host.invalid:3478")
    wait_until(lambda: "public address not known" in relay.log.read_text())
    assert call(relay, "GET", "/status")["admission"] == "open"


def test_says_what_it_got_serves_there_and_ends_at_once_when_sealed(
    start_relay: StartRelay,
) -> None:
    relay = start_relay()

    line = relay.listening
    assert line["event"] == "listening"
    assert str(uuid.UUID(line["podUid"])) == line["podUid"]
    assert line["addresses"] == [{"address": "127.0.0.1", "source": "--relay-address"}]
    assert relay.address[1] != 0
    with UdpClient(relay.address) as client:
        assert error_of(client.allocate()) is None
        client.refresh(0)
    with urllib.request.urlopen(f"{relay.metrics_url}/readyz", timeout=5) as response:  # noqa: S310 - http
        assert response.status == 200

    body = {"podUid": line["podUid"], "drainId": "d1"}
    call(relay, "POST", "/drain", body)
    assert call(relay, "POST", "/seal", body) == {"admission": "sealed"}
    relay.process.send_signal(signal.SIGTERM)
    assert relay.process.wait(START_SECONDS) == 0


def test_sigterm_lets_sessions_go_on_until_the_last_has_ended(start_relay: StartRelay) -> None:
    relay = start_relay()
    body = {"podUid": relay.listening["podUid"], "drainId": "d1"}
    with UdpClient(relay.address) as client, UdpClient(relay.address) as late:
        client.allocate()
        call(relay, "POST", "/drain", body)
        relay.process.send_signal(signal.SIGTERM)
        wait_until(lambda: bool(log_of(relay, "terminating")))

        with pytest.raises(urllib.error.HTTPError, match="409") as refused:
            call(relay, "DELETE", "/drain", body)
        refused.value.close()
        assert error_of(late.allocate()) == 508
        assert error_of(client.permit(PUBLIC_PEER)) is None
        assert relay.process.poll() is None
        assert error_of(client.refresh(0)) is None

    assert relay.process.wait(START_SECONDS) == 0
    (ended,) = log_of(relay, "session ended")
    assert (ended["cause"], ended["user"]) == ("deleted", "alice")


def test_the_grace_bounds_how_long_sessions_go_on(start_relay: StartRelay) -> None:
    relay = start_relay("--termination-grace", "0")
    with UdpClient(relay.address) as client:
        client.allocate()
        relay.process.send_signal(signal.SIGTERM)

        assert relay.process.wait(START_SECONDS) == 0
    (ended,) = log_of(relay, "session ended")
    assert ended["cause"] == "pod_terminated"


def test_new_secrets_are_taken_and_no_session_is_lost(
    start_relay: StartRelay, secret_file: Path
) -> None:
    relay = start_relay()
    newer = plain_credential("bob", expires=time.time() + 600, secret=OTHER_SECRET)
    with UdpClient(relay.address) as old, UdpClient(relay.address, newer) as new:
        old.allocate()
        assert error_of(new.allocate()) == 401
        replacement = secret_file.with_name("replacement")
        replacement.write_bytes(OTHER_SECRET + b"\n")
        replacement.replace(secret_file)
        wait_until(lambda: bool(log_of(relay, "secrets read")))

        assert error_of(new.allocate()) is None
        assert error_of(old.refresh()) is None

        secret_file.write_text("short\n")
        relay.process.send_signal(signal.SIGHUP)
        wait_until(lambda: "secret 1 has 5 characters" in relay.log.read_text())
        assert error_of(new.refresh()) is None


def status_with(relay: RelayProcess, bearer: str) -> int:
    request = urllib.request.Request(  # noqa: S310 - http
        f"{relay.admin_url}/status", headers={"Authorization": f"Bearer {bearer}"}
    )
    try:
        with urllib.request.urlopen(request, timeout=START_SECONDS) as response:  # noqa: S310 - http
            return int(response.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def test_admin_keys_are_asked_for_and_followed(start_relay: StartRelay, tmp_path: Path) -> None:
    keys = tmp_path / "admin-keys.json"
    keys.write_text(jwk_set())
    relay = start_relay("--admin-keys-file", str(keys), "--pod-uid", UID)
    newer = Ed25519PrivateKey.generate()
    assert status_with(relay, token()) == 200
    assert status_with(relay, token(newer, kid="k2")) == 401

    keys.write_text("nonsense")
    relay.process.send_signal(signal.SIGHUP)
    wait_until(lambda: "admin keys not usable" in relay.log.read_text())
    assert status_with(relay, token()) == 200
    keys.write_text(jwk_set(newer, "k2"))
    relay.process.send_signal(signal.SIGHUP)
    wait_until(lambda: bool(log_of(relay, "admin keys read")))

    assert status_with(relay, token(newer, kid="k2")) == 200
    assert status_with(relay, token()) == 401


def test_takes_its_settings_from_the_environment(secret_file: Path) -> None:
    environment = {
        "LISTEN": "udp://127.0.0.1:0 udp://[::1]:0",
        "RELAY_ADDRESS": "127.0.0.1",
        "SECRET_FILE": str(secret_file),
        "METRICS": "127.0.0.1:0",
        "ADMIN": "127.0.0.1:0",
        "PEERS_FROM_ADMIN": "true",
        "MAX_ALLOCATIONS": "7",
        "POD_UID": "uid-1",
    }
    with subprocess.Popen(
        [sys.executable, "-m", "callfleet_relay"],
        env=os.environ | {f"CALLFLEET_RELAY_{key}": value for key, value in environment.items()},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout is not None
        relay = RelayProcess(process, json.loads(process.stdout.readline()), Path(os.devnull))
        status = call(relay, "GET", "/status")
        assert relay.stop() == 0

    assert len(relay.listening["listen"]) == 2
    assert (status["allocationCapacity"], status["podUid"]) == (7, "uid-1")


def refuse(*flags: str) -> str:
    result = CliRunner().invoke(main, list(flags))
    assert result.exit_code != 0
    return result.output


def test_a_bad_configuration_is_refused_with_the_flag_and_the_remedy(tmp_path: Path) -> None:
    secrets = tmp_path / "secrets"
    secrets.write_bytes(SECRET)
    good = ["--listen", "udp://127.0.0.1:0", "--metrics", "127.0.0.1:0", "--admin", "127.0.0.1:0"]
    complete = [*good, "--relay-address", "127.0.0.1", "--secret-file", str(secrets)]

    assert "--relay-address" in refuse(*good, "--secret-file", str(secrets))
    assert "is not the address of one host" in refuse(*complete, "--relay-address", "0.0.0.0")
    away = refuse(*good, "--secret-file", str(secrets), "--relay-address", "192.0.2.1")
    assert "--relay-address 192.0.2.1" in away
    assert "--external-address" in away
    missing = str(tmp_path / "missing")
    assert f"--secret-file {missing}: No such file" in refuse(*complete, "--secret-file", missing)
    assert "--admin-keys-file" in refuse(*complete, "--admin-keys-file", missing)
    pair, other = make_pair(tmp_path / "pair"), make_pair(tmp_path / "other")
    tls = [*complete, "--listen", "tls://127.0.0.1:0", "--cert", str(pair.certificate)]
    assert "--key: tls://127.0.0.1:0 needs it" in refuse(*tls)
    assert f"--cert, --key {missing}: No such file" in refuse(*tls, "--key", missing)
    assert "are no pair of PEM certificate and key" in refuse(*tls, "--key", str(other.key))
    limits = tmp_path / "limits.json"
    limits.write_text('{"maxAllocations": -1}')
    refused = refuse(*complete, "--limits-file", str(limits))
    assert f"--limits-file {limits}: --max-allocations: Input should be greater" in refused
    secrets.write_text("short")
    assert "use at least 32" in refuse(*complete)


def test_an_address_in_use_is_named(tmp_path: Path) -> None:
    secrets = tmp_path / "secrets"
    secrets.write_bytes(SECRET)
    flags = ["--relay-address", "127.0.0.1", "--secret-file", str(secrets)]
    with (
        socket.create_server(("127.0.0.1", 0)) as tcp,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
    ):
        udp.bind(("127.0.0.1", 0))
        metrics = f"127.0.0.1:{tcp.getsockname()[1]}"
        listen = f"udp://127.0.0.1:{udp.getsockname()[1]}"
        http = ["--metrics", "127.0.0.1:0", "--admin", "127.0.0.1:0"]

        assert f"--metrics {metrics}: Address already in use" in refuse(
            *flags, "--metrics", metrics
        )
        refused = refuse(*flags, *http, "--listen", listen)
        assert f"--listen 127.0.0.1 port {udp.getsockname()[1]}: Address already in use" in refused


def test_users_are_followed_as_their_file_changes(start_relay: StartRelay, tmp_path: Path) -> None:
    users = tmp_path / "users"
    users.write_text("alice:first\n")
    relay = start_relay("--user-file", str(users))
    with UdpClient(relay.address, Credential("alice", "first")) as client:
        assert error_of(client.allocate()) is None
        users.write_text("alice:second\nbob:third\n")
        wait_until(lambda: bool(log_of(relay, "users read")))
        assert error_of(client.refresh()) == 401

        client.credential = Credential("alice", "second")
        assert error_of(client.refresh()) is None
        users.write_text("alice\n")
        wait_until(lambda: "users not usable" in relay.log.read_text())
        assert "line 1: write USER:PASSWORD or USER:REALM:KEY" in relay.log.read_text()
        assert error_of(client.refresh()) is None


def test_a_user_file_that_cannot_be_used_is_explained(tmp_path: Path) -> None:
    users = tmp_path / "users"
    users.write_text("alice\n")
    flags = ["--relay-address", "127.0.0.1", "--user-file", str(users), "--listen"]

    result = CliRunner().invoke(main, [*flags, "udp://127.0.0.1:0", "--metrics", "127.0.0.1:0"])

    assert result.exit_code == 1
    assert f"--user-file {users}: line 1: write USER:PASSWORD" in result.output
