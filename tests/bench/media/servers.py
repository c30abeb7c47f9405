"""The servers that the media bench measures, each started anew and pinned to the first core."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Literal

import click

from callfleet_engine.__main__ import main as engine
from callfleet_relay.credentials import rest_password
from tests.bench.media.programs import LIVEKIT, janus
from tests.callfleet_engine.keys import join_keys
from tests.ports import free_port

SERVER_CORE, CLIENT_CORE = 0, 1
START_SECONDS = 30.0
RELAY_SECRET = "benchmark-secret-of-32-characters"
LIVEKIT_KEYS = {"bench": "bench-secret-of-at-least-32-characters"}
"""The client signs its tokens with them (client/livekit.go)."""
ROOM_PORTS = (40_000, 49_999)

Signalling = Literal["callfleet", "livekit", "janus"]


class NotStarted(Exception):  # noqa: N818 - named for what is the case
    """A server did not come up; the text has the end of what it said."""


@dataclass(frozen=True)
class Server:
    """A server under measurement."""

    name: str
    pid: int
    signalling: Signalling
    url: str
    keys: Path | None = None
    """What signs tokens of the engine's."""

    def cpu_seconds(self) -> float:
        """CPU time of all its threads, by the scheduler's accounting."""
        tasks = Path(f"/proc/{self.pid}/task").glob("*/schedstat")
        return sum(int(task.read_text().split()[0]) for task in tasks) / 1e9

    def resident_bytes(self) -> int:
        """Memory that is there, shared pages included."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")


Starting = Callable[[Path, str], AbstractContextManager[Server]]
"""With a folder for its files and the address that its media is to use."""


@contextmanager
def pinned(command: list[str], core: int, log: Path) -> Iterator[subprocess.Popen[str]]:
    """A child on one core that is ended at the end; it writes its log beside it."""
    with log.open("w") as errors:
        child = subprocess.Popen(
            ["taskset", "-c", str(core), *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
    with child:
        try:
            yield child
        finally:
            child.terminate()
            try:
                child.wait(10)
            except subprocess.TimeoutExpired:
                child.kill()


@contextmanager
def callfleet(mediaplane: str, directory: Path, address: str) -> Iterator[Server]:
    """The engine. `mediaplane` is what its flag of that name takes."""
    command = [sys.executable, "-m", "callfleet_engine", "--listen", "127.0.0.1:0"]
    keys = join_keys(directory)
    command += ["--keys-file", str(keys)]
    command += ["--media-address", address, "--mediaplane", mediaplane, "--capacity", "10000"]
    command += ["--database", f"sqlite:///{directory / 'calls.db'}", "--log-level", "warning"]
    command += ["--metrics", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--termination-grace", "0"]
    log = directory / "engine.log"
    with pinned(command, SERVER_CORE, log) as child:
        url = f"ws://{_announced(child, log)['listen']}"
        yield Server(f"callfleet-{mediaplane}", child.pid, "callfleet", url, keys)


@contextmanager
def relay(directory: Path, address: str) -> Iterator[tuple[Server, dict[str, str]]]:
    """The relay, and what its clients need; on the servers' core too."""
    secrets = directory / "secrets"
    secrets.write_text(RELAY_SECRET)
    command = [sys.executable, "-m", "callfleet_relay", "--listen", f"udp://{address}:0"]
    command += ["--relay-address", address, "--secret-file", str(secrets), "--realm", "bench"]
    command += ["--allow-peer", f"{address}/32", "--max-allocations-per-user", "10000"]
    command += ["--metrics", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--termination-grace", "0"]
    command += ["--log-level", "warning"]
    log = directory / "relay.log"
    with pinned(command, SERVER_CORE, log) as child:
        endpoint = _announced(child, log)["listen"][0].removeprefix("udp://")
        username = f"{int(time.time()) + 3600}:bench"
        credential = rest_password(RELAY_SECRET.encode(), username)
        url = f"turn:{endpoint}?transport=udp"
        yield (
            Server("relay", child.pid, "callfleet", url),
            {"url": url, "username": username, "credential": credential},
        )


@contextmanager
def livekit(
    rtc: Mapping[str, object], name: str, directory: Path, address: str
) -> Iterator[Server]:
    """LiveKit, with `rtc` added to its section of that name."""
    port = free_port()
    configuration = {
        "port": port,
        "bind_addresses": ["127.0.0.1"],
        "keys": LIVEKIT_KEYS,
        "logging": {"level": "error"},
        "rtc": {
            "node_ip": address,
            "use_external_ip": False,
            "enable_loopback_candidate": True,
            "ips": {"includes": [f"{address}/32"]},
            **rtc,
        },
    }
    file = directory / "livekit.yaml"
    file.write_text(json.dumps(configuration))  # JSON is YAML too
    log = directory / "livekit.log"
    with pinned([str(LIVEKIT.path()), "--config", str(file)], SERVER_CORE, log) as child:
        _await_port(port, child, log)
        yield Server(name, child.pid, "livekit", f"ws://127.0.0.1:{port}")


JANUS = """
general: {{
  plugins_folder = "{libraries}/plugins"
  transports_folder = "{libraries}/transports"
  debug_level = 2
  {general}
}}
media: {{ rtp_port_range = "{ports}" }}
nat: {{ nice_debug = false, ice_enforce_list = "{address}" }}
plugins: {{ disable = "{other_plugins}" }}
transports: {{ disable = "{other_transports}" }}
"""
JANUS_WEBSOCKETS = """
general: {{ json = "compact", ws = true, ws_ip = "127.0.0.1", ws_port = {port}, wss = false }}
"""


@contextmanager
def videoroom(general: str, name: str, directory: Path, address: str) -> Iterator[Server]:
    """Debian's Janus with its videoroom, with `general` added to its section of that name."""
    program = janus()
    libraries = next(Path("/usr/lib").glob("*/janus"))
    port = free_port()
    (directory / "janus.jcfg").write_text(
        JANUS.format(
            libraries=libraries,
            general=general,
            address=address,
            ports="-".join(map(str, ROOM_PORTS)),
            other_plugins=_others(libraries / "plugins", "libjanus_videoroom.so"),
            other_transports=_others(libraries / "transports", "libjanus_websockets.so"),
        )
    )
    (directory / "janus.transport.websockets.jcfg").write_text(JANUS_WEBSOCKETS.format(port=port))
    log = directory / "janus.log"
    command = [program, "--configs-folder", str(directory), "--log-file", str(log)]
    with pinned([*command, "--disable-stdout"], SERVER_CORE, directory / "errors.log") as child:
        _await_port(port, child, log)
        yield Server(name, child.pid, "janus", f"ws://127.0.0.1:{port}")


def mediaplanes() -> list[str]:
    """What the engine's flag of that name takes, each a plane."""
    (flag,) = (option for option in engine.params if option.name == "mediaplane")
    assert isinstance(flag.type, click.Choice)
    return [name for name in flag.type.choices if name != "auto"]


SERVERS: Mapping[str, Starting] = MappingProxyType(
    {
        **{f"callfleet-{plane}": partial(callfleet, plane) for plane in mediaplanes()},
        "livekit": partial(livekit, {}, "livekit"),
        "livekit-batch": partial(
            livekit,
            {
                "udp_port": 7882,
                "batch_io": {"batch_size": 128, "max_flush_interval": "2ms"},
            },
            "livekit-batch",
        ),
        "janus-loop": partial(videoroom, "event_loops = 1", "janus-loop"),
        "janus": partial(videoroom, "", "janus"),
    }
)
"""By name: the engine with each of its planes, LiveKit as it is by default and with one port and
batches, Janus with one event loop and as installed."""


def _others(folder: Path, wanted: str) -> str:
    return ",".join(path.name for path in folder.glob("*.so") if path.name != wanted)


def _announced(child: subprocess.Popen[str], log: Path) -> dict[str, str]:
    """The line of JSON that our programs print when they listen. Raises NotStarted."""
    assert child.stdout is not None
    line = child.stdout.readline()
    if not line:
        raise NotStarted(_end_of(log))
    said: dict[str, str] = json.loads(line)
    return said


def _await_port(port: int, child: subprocess.Popen[str], log: Path) -> None:
    """Return when a TCP port takes connections. Raises NotStarted."""
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end and child.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise NotStarted(_end_of(log))


def _end_of(log: Path) -> str:
    return log.read_text()[-2000:] if log.exists() else "it has written no log"
