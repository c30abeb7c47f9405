"""What coturn's client makes of the protocol over UDP, and coturn's own server beside ours."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from aioice.stun import Class, Method

from callfleet_relay.events import Reply
from callfleet_relay.message import Attribute, encode, parse
from callfleet_relay.settings import parse_address
from tests.ports import free_port

from .conftest import START_SECONDS, StartRelay
from .support import REALM, UDP, Client, error_of, make_world, only
from .test_peer_turn import echo_peer, fetch, program, run_uclient

pytestmark = pytest.mark.peer

LOOPBACK = ("--allow-peer", "127.0.0.0/8", "--max-allocations-per-user", "100")
LOOPBACK_IPV6 = ("--relay-address", "::1", "--listen", "udp://[::1]:0", "--allow-peer", "::1/128")


@pytest.mark.parametrize(
    ("flags", "messages", "dataplane"),
    [
        (("-c", "-m", "20", "-n", "150"), 3000, "native"),
        (("-c", "-m", "20", "-n", "150"), 3000, "python"),
        (("-c", "-s", "-m", "20", "-n", "150"), 3000, "native"),
        (("-c", "-s", "-m", "20", "-n", "150"), 3000, "python"),
        (("-m", "4"), 160, "auto"),
    ],
    ids=["channels", "channels-python", "indications", "indications-python", "pairs-of-ports"],
)
def test_no_message_is_lost_over_ipv4(
    start_relay: StartRelay, flags: tuple[str, ...], messages: int, dataplane: str
) -> None:
    relay = start_relay(*LOOPBACK, "--dataplane", dataplane)
    with echo_peer() as port:
        counts = run_uclient(relay.address, *flags, "-e", "127.0.0.1", "-r", str(port))

    assert counts == (messages, messages)
    metrics = fetch(f"{relay.metrics_url}/metrics")
    assert 'allocate_requests_total{outcome="unsupported"} 0.0' in metrics
    assert 'allocate_requests_total{outcome="bad_request"} 0.0' in metrics


@pytest.mark.parametrize("flags", [("-c",), ("-s",)], ids=["channels", "pairs-indications"])
def test_no_message_is_lost_over_ipv6(start_relay: StartRelay, flags: tuple[str, ...]) -> None:
    relay = start_relay(*LOOPBACK_IPV6, "--max-allocations-per-user", "100")
    server = parse_address(relay.listening["listen"][-1].removeprefix("udp://"))
    with echo_peer("::1") as port:
        sent, received = run_uclient(server, "-x", "-m", "4", *flags, "-e", "::1", "-r", str(port))

    assert sent == received
    assert sent >= 160


@pytest.mark.parametrize(
    ("host", "flags"),
    [("::1", ("-x",)), ("::1", ("-x", "-s")), ("127.0.0.1", ("-X",))],
    ids=["ipv6-channels", "ipv6-indications", "ipv4"],
)
def test_one_relay_reaches_peers_of_both_families(
    start_relay: StartRelay, host: str, flags: tuple[str, ...]
) -> None:
    both = ("--relay-address", "127.0.0.1", "--relay-address", "::1", "--allow-peer", "::1/128")
    relay = start_relay(*LOOPBACK, *both)
    with echo_peer(host) as port:
        counts = run_uclient(relay.address, "-c", "-m", "4", *flags, "-e", host, "-r", str(port))

    assert counts == (160, 160)


@pytest.mark.parametrize("listener", ["tcp", "tls"])
def test_no_byte_is_lost_between_tcp_allocations(
    start_stream_relay: StartRelay, listener: str
) -> None:
    """Each of four clients connects to each other one (RFC 6062)."""
    relay = start_stream_relay(
        *LOOPBACK, "--allow-hairpin", "--listen", f"{listener}://127.0.0.1:0"
    )
    secure = ["-S"] if listener == "tls" else []

    assert run_uclient(relay.address, "-T", "-m", "4", *secure) == (160, 160)

    metrics = fetch(f"{relay.metrics_url}/metrics")
    assert 'peer_connections_total{result="connected"} 6.0' in metrics
    assert 'peer_connections_total{result="accepted"} 6.0' in metrics


def test_clients_move_to_another_port_and_lose_nothing(start_relay: StartRelay) -> None:
    """Each takes its allocation to a new socket once it is made (RFC 8016)."""
    relay = start_relay(*LOOPBACK, "--mobility")
    with echo_peer() as port:
        counts = run_uclient(
            relay.address, "-M", "-c", "-m", "4", "-e", "127.0.0.1", "-r", str(port)
        )

    assert counts == (160, 160)
    assert 'outcome="unsupported"} 0.0' in fetch(f"{relay.metrics_url}/metrics")


def test_a_user_of_the_file_is_served(start_relay: StartRelay, tmp_path: Path) -> None:
    users = tmp_path / "users"
    users.write_text(f"# made by turnadmin -k\nbob:{REALM}:{md5_key('bob', 'builder')}\n")
    relay = start_relay(*LOOPBACK, "--user-file", str(users))
    command = [program("turnutils_uclient"), "-u", "bob", "-w", "builder", "-c", "-m", "2"]
    with echo_peer() as port:
        command += ["-n", "20", "-z", "5", "-e", "127.0.0.1", "-r", str(port)]
        result = subprocess.run(
            [*command, "-p", str(relay.address[1]), relay.address[0]],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    assert result.returncode == 0, result.stdout + result.stderr
    assert "tot_send_msgs=40, tot_recv_msgs=40" in result.stdout + result.stderr


def md5_key(user: str, password: str) -> str:
    """As coturn's own tool makes it."""
    command = [program("turnadmin"), "-k", "-u", user, "-r", REALM, "-p", password]
    made = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    return next(line for line in made.stdout.split() if line.startswith("0x")).removeprefix("0x")


@contextmanager
def coturn(directory: Path) -> Iterator[socket.socket]:
    """coturn's server with our realm on loopback; a socket that speaks to it."""
    port = free_port()
    command = [program("turnserver"), "-n", "-L", "127.0.0.1", "-p", str(port), "-E", "127.0.0.1"]
    command += ["--lt-cred-mech", "--user", "alice:password", "--realm", REALM, "--no-tcp"]
    command += ["--no-cli", "--no-tls", "--no-dtls", "--log-file", "stdout"]
    command += ["--pidfile", str(directory / "pid"), "--userdb", str(directory / "users")]
    with (
        subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client,
    ):
        client.settimeout(0.2)
        client.connect(("127.0.0.1", port))
        try:
            yield client
        finally:
            process.terminate()


def answer_of(server: socket.socket, request: bytes) -> bytes:
    """Asks again and again for as long as a start may take."""
    end = time.monotonic() + START_SECONDS
    while True:
        try:
            server.send(request)
            answer = server.recv(2048)
        except (TimeoutError, ConnectionRefusedError):
            assert time.monotonic() < end, "turnserver does not answer"
            continue
        if answer[8:20] == request[8:20]:
            return answer


UNSIGNED = {
    "allocate": (Method.ALLOCATE, [UDP]),
    "refresh": (Method.REFRESH, []),
    "create-permission": (Method.CREATE_PERMISSION, []),
    "channel-bind": (Method.CHANNEL_BIND, []),
    "binding": (Method.BINDING, []),
    "binding-unknown-attributes": (Method.BINDING, [(0x7FF0 + n, b"") for n in range(8)]),
}


def test_no_stranger_gets_more_bytes_than_coturn_would_send(tmp_path: Path) -> None:
    world = make_world()
    with coturn(tmp_path) as theirs:
        for name, (method, body) in UNSIGNED.items():
            for fingerprint in (False, True):
                request = encode(
                    method, Class.REQUEST, os.urandom(12), body, fingerprint=fingerprint
                )
                their_answer = answer_of(theirs, request)
                events = world.receive(request, Client(world).five_tuple)
                (ours,) = only(events, Reply)

                assert error_of(parse(ours.data)) == error_of(parse(their_answer)), name
                assert len(ours.data) <= len(their_answer), name


def test_no_stale_nonce_gets_more_bytes_than_coturn_would_send(tmp_path: Path) -> None:
    client = Client(make_world(), nonce=b"stale" * 3)
    request = client.build(Method.ALLOCATE, [UDP])
    with coturn(tmp_path) as theirs:
        their_answer = answer_of(theirs, request)

    (ours,) = only(client.world.receive(request, client.five_tuple), Reply)

    assert error_of(parse(ours.data)) == error_of(parse(their_answer)) == 438
    assert parse(ours.data).first(Attribute.NONCE)
    assert len(ours.data) <= len(their_answer)
