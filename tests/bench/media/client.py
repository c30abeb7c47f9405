"""The client of the media bench: `client/`, a program of its own on the second core."""

from __future__ import annotations

import json
import selectors
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from callfleet_engine.tokens import Permission
from tests.bench.media.programs import CLIENT, LoadClient
from tests.bench.media.servers import CLIENT_CORE, Server, pinned
from tests.callfleet_engine.keys import join_token

ANSWER_SECONDS = 150.0


class ClientFailed(Exception):  # noqa: N818 - named for what is the case
    """The client could not do what it was told; the text is its own."""


@dataclass(frozen=True)
class Person:
    """A participant."""

    name: str
    room: str
    """A number."""
    publish: Sequence[str]
    """The kinds of media, audio and video, or nothing."""
    subscribe: bool


@dataclass(frozen=True)
class Streams:
    """What each publisher sends."""

    audio: bool = False
    audio_bytes: int = 80
    video: float = 0
    """Packets a second."""
    video_bytes: int = 1150
    """Of payload in each packet."""
    frames_per_second: float = 25
    frame_at_once: bool = False
    """The packets of a frame leave together, else evenly spread as a browser's pacer does."""


@dataclass(frozen=True)
class Joined:
    """How long joins took, from opening signalling on."""

    answered_ms: list[float]
    connected_ms: list[float]


@dataclass(frozen=True)
class Figures:
    """What the client has counted; client/world.go tells what each is."""

    at: float
    cpu: float
    sent: int
    received: int
    missing: int
    dropped: int
    streams: int
    samples: int
    delay_p50_ms: float
    delay_p99_ms: float
    late_ms: float


def token(server: Server, person: Person) -> str:
    """What lets a person into a call of the engine's; nothing for other servers."""
    if server.keys is None:
        return ""
    can = {Permission.START}
    can |= {Permission.PUBLISH} if person.publish else set()
    can |= {Permission.SUBSCRIBE} if person.subscribe else set()
    return join_token(
        server.keys, identity=person.name, room=person.room, can=frozenset(can), seconds=3600
    )


class Client:
    """The running program."""

    def __init__(self, child: subprocess.Popen[str], log: Path) -> None:
        self._child = child
        self._log = log

    def join(
        self,
        server: Server,
        people: Sequence[Person],
        at_once: int,
        relay: dict[str, str] | None = None,
    ) -> Joined:
        """Let people in, `at_once` at a time. Raises ClientFailed."""
        answer = self._ask(
            do="join",
            server=server.signalling,
            url=server.url,
            people=[asdict(person) | {"token": token(server, person)} for person in people],
            at_once=at_once,
            relay=relay,
        )
        return Joined(**answer)

    def send(self, streams: Streams) -> None:
        """Let all publishers send this from now on."""
        self._ask(do="send", streams=asdict(streams))

    def figures(self) -> Figures:
        """What has been counted. Raises ClientFailed if sending has failed."""
        return Figures(**self._ask(do="figures"))

    def leave(self) -> None:
        """End all participants."""
        self._ask(do="leave")

    def _ask(self, **command: Any) -> dict[str, Any]:  # noqa: ANN401 (JSON values)
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        self._child.stdin.write(json.dumps(command) + "\n")
        self._child.stdin.flush()
        with selectors.DefaultSelector() as selector:
            selector.register(self._child.stdout, selectors.EVENT_READ)
            line = self._child.stdout.readline() if selector.select(ANSWER_SECONDS) else ""
        if not line:
            raise ClientFailed(f"no answer to {command['do']}: {self._log.read_text()[-2000:]}")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise ClientFailed(f"{command['do']}: {answer['error']}")
        return answer


@contextmanager
def client(directory: Path, address: str) -> Iterator[Client]:
    """A client without participants that sends from an address of this host."""
    log = directory / "client.log"
    with pinned([str(LoadClient(CLIENT).path()), address], CLIENT_CORE, log) as child:
        yield Client(child, log)
