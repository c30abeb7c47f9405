"""How many participants one core carries: `python -m tests.bench.engine_capacity`.

The engine's media plane runs in a process of its own, pinned to the first core; the participants
run in this process on the second. Calls of 2, 3 and 6 in which everybody publishes real Opus and
VP8 and receives everybody else. CPU is the server process's own (user and system), so it holds
the kernel's work on its sockets; on loopback the kernel charges delivery to the sender.
"""

from __future__ import annotations

import argparse
import asyncio
import functools
import json
import os
import pathlib
import resource
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, get_args

from callfleet_engine.media.choice import Wanted, make_plane
from callfleet_engine.media.interface import (
    FailureCause,
    LossCause,
    MediaSession,
    Path,
    PeerConnection,
    SubscribedTrack,
    TrackLayers,
)
from callfleet_engine.media.plane import AWAKE_SECONDS, AiortcCall, MediaSettings
from callfleet_engine.media.seams import Certificate
from tests.bench.engine_clients import (
    ClientConnection,
    Clip,
    Publisher,
    ReceivedCounter,
    encode_clip,
    play,
)

SETTLE_SECONDS = 2.0
IDLE_SECONDS = 6.0
"""Clients show every 5 s that they are there."""


# the server process


class Remote:
    """Passes a session's events to the clients' process."""

    def __init__(self, name: str) -> None:
        self.name = name

    def offer(self, sdp: str, tracks: Sequence[SubscribedTrack]) -> None:
        say(event="offer", name=self.name, sdp=sdp, tracks=len(tracks))

    def connected(self, pc: PeerConnection, path: Path, seconds: float) -> None:
        say(event="connected", name=self.name, pc=pc, path=path, seconds=seconds)

    def failed(self, pc: PeerConnection, cause: FailureCause) -> None:
        say(event="failed", name=self.name, pc=pc, cause=cause)

    def lost(self, cause: LossCause) -> None:
        say(event="lost", name=self.name, cause=cause)

    def speaker(self, participant: str | None) -> None:
        """Nobody listens in a bench."""

    def layers(self, tracks: Sequence[TrackLayers]) -> None:
        """The bench's publishers send one layer."""

    def untaken(self, track: SubscribedTrack, codec: str, takes: Sequence[str]) -> None:
        cause = f"cannot take {codec} of {track.participant}, but {takes}"
        say(event="lost", name=self.name, cause=cause)


def resident_bytes() -> int:
    return int(pathlib.Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def say(**message: object) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


async def serve(mediaplane: Wanted) -> None:
    """Take commands from standard input, one JSON object a line."""
    plane = make_plane(mediaplane, MediaSettings(addresses=("127.0.0.1",), attempt_seconds=60))
    await plane.start()
    reader = asyncio.StreamReader(limit=1 << 20)
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    calls: dict[str, AiortcCall] = {}
    sessions: dict[str, MediaSession] = {}
    while line := await reader.readline():
        command = json.loads(line)
        name = command.get("name", "")
        match command["do"]:
            case "join":
                call_id = command["call"]
                call = calls.get(call_id) or calls.setdefault(call_id, plane.open_call(call_id))
                sessions[name] = call.join(name, Remote(name))
            case "publish":
                say(event="published", name=name, sdp=await sessions[name].publish(command["sdp"]))
            case "answer":
                await sessions[name].answer(command["sdp"])
            case "figures":
                counters = plane.counters()
                say(
                    event="figures",
                    name="",
                    cpu=time.process_time(),
                    at=time.monotonic(),
                    received=counters.received_packets,
                    forwarded=counters.forwarded_packets,
                    lost=counters.lost_packets_in,
                    rss=resident_bytes(),
                    stress=plane.stress(),
                )
    await plane.close()


# the clients' process


class Server:
    """The server process, its commands and its events."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._waiting: dict[tuple[str, str], asyncio.Future[dict[str, Any]]] = {}
        self.offers: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.problems: list[dict[str, Any]] = []
        self._task = asyncio.create_task(self._read())

    @classmethod
    async def start(cls, core: int | None, mediaplane: Wanted) -> Server:
        pin = functools.partial(os.sched_setaffinity, 0, {core}) if core is not None else None
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tests.bench.engine_capacity",
            "--serve",
            "--mediaplane",
            mediaplane,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=1 << 20,
            preexec_fn=pin,
        )
        return cls(process)

    async def _read(self) -> None:
        assert self._process.stdout is not None
        while line := await self._process.stdout.readline():
            message = json.loads(line)
            if message["event"] == "offer":
                self.offers.put_nowait(message)
            elif message["event"] in {"failed", "lost"}:
                self.problems.append(message)
            elif waiting := self._waiting.pop((message["event"], message["name"]), None):
                waiting.set_result(message)

    def tell(self, **command: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(command).encode() + b"\n")

    async def ask(self, event: str, name: str = "", **command: object) -> dict[str, Any]:
        future = self._waiting[event, name] = asyncio.get_running_loop().create_future()
        self.tell(name=name, **command)
        async with asyncio.timeout(30):
            answer: dict[str, Any] = await future
        return answer

    async def figures(self) -> dict[str, Any]:
        return await self.ask("figures", do="figures")

    async def stop(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        async with asyncio.timeout(30):
            await self._process.wait()
        self._task.cancel()


class Participant:
    """One client of the bench."""

    def __init__(self, name: str, call: str, certificate: Certificate) -> None:
        self.name = name
        self.call = call
        self.received = ReceivedCounter()
        self.publish_pc = ClientConnection(certificate, ReceivedCounter())
        self.subscribe_pc = ClientConnection(certificate, self.received)
        self.publisher: Publisher

    async def join(self, server: Server, clip: Clip) -> None:
        server.tell(do="join", name=self.name, call=self.call)
        self.publisher = Publisher(self.publish_pc, clip)
        offer = await self.publish_pc.make_offer()
        answer = await server.ask("published", self.name, do="publish", sdp=offer)
        await self.publish_pc.take_answer(answer["sdp"])
        self.publisher.negotiated()

    async def answer(self, server: Server, offer: str) -> None:
        server.tell(do="answer", name=self.name, sdp=await self.subscribe_pc.answer_offer(offer))

    async def close(self) -> None:
        await self.publish_pc.close()
        await self.subscribe_pc.close()


@dataclass(frozen=True, slots=True)
class Row:
    """One measured load."""

    size: int
    participants: int
    forwarded_per_second: float
    received_per_second: float
    cpu_share: float
    lost_share: float
    late_share: float
    join_cpu_ms: float
    kilobytes: float
    idle_cpu_share: float
    stress: dict[str, float]

    @property
    def microseconds(self) -> float:
        return self.cpu_share / self.forwarded_per_second * 1e6

    @property
    def participants_per_core(self) -> float:
        return self.participants / self.cpu_share


async def measure(size: int, calls: int, clip: Clip, seconds: float, server: Server) -> Row:
    """Run `calls` calls of `size` and measure for `seconds`; stops the server."""
    certificate = Certificate.generateCertificate()
    people = {
        f"c{c}p{p}": Participant(f"c{c}p{p}", f"c{c}", certificate)
        for c in range(calls)
        for p in range(size)
    }

    async def take_offers() -> None:
        while True:
            offer = await server.offers.get()
            await people[offer["name"]].answer(server, offer["sdp"])

    offers = asyncio.create_task(take_offers())
    empty = await server.figures()
    for person in people.values():
        await person.join(server, clip)
    async with asyncio.timeout(120):
        for person in people.values():
            await person.publish_pc.up.wait()
            await person.subscribe_pc.up.wait()
    await asyncio.sleep(SETTLE_SECONDS)
    joined = await server.figures()
    await asyncio.sleep(AWAKE_SECONDS)
    resting = await server.figures()
    await asyncio.sleep(IDLE_SECONDS)
    idle = await server.figures()
    stop = asyncio.Event()
    publishers = [p.publisher for p in people.values()]
    reports = [
        functools.partial(lambda p: p.subscribe_pc.dtls.send_rtcp(p.received.report(1)), p)
        for p in people.values()
    ]
    playing = asyncio.create_task(play(publishers, reports, stop))
    await asyncio.sleep(SETTLE_SECONDS)
    before, sent_before = await server.figures(), sum(p.sent for p in publishers)
    got_before = sum(p.received.packets for p in people.values())
    await asyncio.sleep(seconds)
    after, sent_after = await server.figures(), sum(p.sent for p in publishers)
    got_after = sum(p.received.packets for p in people.values())
    stop.set()
    await playing
    offers.cancel()
    wanted = clip.packets_per_second * len(people) * seconds
    missing = sum(p.received.missing for p in people.values())
    if server.problems:
        sys.stderr.write(f"problems: {server.problems[:3]}\n")
    for person in people.values():
        await person.close()
    await server.stop()
    elapsed = after["at"] - before["at"]
    return Row(
        size=size,
        participants=len(people),
        forwarded_per_second=(after["forwarded"] - before["forwarded"]) / elapsed,
        received_per_second=(got_after - got_before) / elapsed,
        cpu_share=(after["cpu"] - before["cpu"]) / elapsed,
        lost_share=missing / max(got_after, 1),
        late_share=1 - (sent_after - sent_before) / wanted,
        join_cpu_ms=(joined["cpu"] - empty["cpu"]) / len(people) * 1000,
        kilobytes=(after["rss"] - empty["rss"]) / len(people) / 1024,
        idle_cpu_share=(idle["cpu"] - resting["cpu"]) / (idle["at"] - resting["at"]) / len(people),
        stress=after["stress"],
    )


async def run(arguments: argparse.Namespace) -> None:
    cores = sorted(os.sched_getaffinity(0))
    server_core = cores[0] if len(cores) > 1 else None
    if server_core is not None:
        os.sched_setaffinity(0, set(cores[1:]))
    clip = encode_clip(bitrate=arguments.bitrate)
    video, audio = clip.kilobits_per_second
    print(
        f"each participant publishes VP8 640x360 at {video:.0f} kbit/s and Opus at {audio:.0f} "
        f"kbit/s: {clip.packets_per_second:.0f} packets a second"
    )
    print(
        "call  people  forwarded/s    CPU  us/packet  people/core  lost  clients late  "
        "join ms  KB/person  idle us/s  highest stress"
    )
    fewest = float("inf")
    for size, calls in arguments.loads:
        server = await Server.start(server_core, arguments.mediaplane)
        row = await measure(size, calls, clip, arguments.seconds, server)
        resource, stress = max(row.stress.items(), key=lambda one: one[1])
        print(
            f"{row.size:4}  {row.participants:6}  {row.forwarded_per_second:11.0f}  "
            f"{row.cpu_share:5.0%}  {row.microseconds:9.1f}  {row.participants_per_core:11.0f}  "
            f"{row.lost_share:4.1%}  {row.late_share:12.1%}  {row.join_cpu_ms:7.1f}  "
            f"{row.kilobytes:9.0f}  {row.idle_cpu_share * 1e6:9.0f}  "
            f"{stress:.2f} ({resource})",
            flush=True,
        )
        fewest = min(fewest, row.participants_per_core)
    print(
        f"participantsPerPod for one core: people / CPU is {fewest:.0f} in the dearest of these "
        "calls, at 100 % of the core"
    )


def load(text: str) -> tuple[int, int]:
    """`SIZExCALLS`."""
    size, calls = text.split("x")
    return int(size), int(calls)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--mediaplane", choices=get_args(Wanted), default="auto")
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--bitrate", type=int, default=700_000, help="of the video, bit/s")
    parser.add_argument(
        "loads",
        nargs="*",
        type=load,
        metavar="SIZExCALLS",
        default=[(2, 20), (2, 40), (3, 20), (3, 38), (6, 5), (6, 12)],
    )
    arguments = parser.parse_args()
    asyncio.run(serve(arguments.mediaplane) if arguments.serve else run(arguments))


if __name__ == "__main__":
    main()
