"""What the media bench does to a server, and what it reads from it.

A scene starts the server anew, lets people in, and returns rows of figures; nothing here compares.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType

from tests.bench.media import servers
from tests.bench.media.client import Client, Figures, Person, Streams, client
from tests.bench.media.search import highest
from tests.bench.media.servers import Server, Starting

RATES = (13_600, 27_200, 40_900)
"""Forwarded packets a second, as measured before (docs/benchmarks.md)."""
PUBLISHERS, SUBSCRIBERS = 4, 50
CALLS, SIZE = 60, 4
PODS = ((36, 4), (24, 6), (9, 16), (6, 16))
"""Calls and their size, of about as many people as a pod takes."""
PAIRS = 25
LITTLE_LOSS = 0.0005
"""Still "without loss"."""
KEEPS_UP = 0.98
"""Of what is sent, what must come in the same time: else a queue grows, and loss is only late."""
SHARE_OF_HIGHEST = 0.7
WARM_SECONDS, DRAIN_SECONDS = 1.0, 0.3
REST_SECONDS, IDLE_SECONDS = 6.0, 10.0
"""After the last join until nothing of it is left to do, and what is measured then."""
MOST_DRAINS = 20
BUSY_CLIENT = 0.9
"""Share of its core from which on the client may be what limits."""

QUALITIES: Mapping[str, Streams] = MappingProxyType(
    {
        "audio": Streams(audio=True, audio_bytes=160),
        "360p": Streams(
            audio=True, audio_bytes=80, video=30, video_bytes=625, frames_per_second=15
        ),
        "720p": Streams(
            audio=True, audio_bytes=160, video=90, video_bytes=1111, frames_per_second=30
        ),
        "1080p": Streams(
            audio=True, audio_bytes=240, video=180, video_bytes=1042, frames_per_second=30
        ),
    }
)
"""Bit rates and frames of performance-analysis.md, "Per call bandwidth"."""


@dataclass(frozen=True)
class Row:
    """Figures of one server in one scene."""

    scene: str
    load: str
    server: str
    figures: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Setting:
    """How long and where to measure."""

    seconds: float
    address: str


@dataclass(frozen=True)
class Running:
    """A server with its client."""

    server: Server
    client: Client
    setting: Setting
    directory: Path
    relay: Server | None = None
    """The relay between them, if there is one."""

    def load(self, streams: Streams, fanout: int) -> dict[str, float]:
        """Send, and count at the sockets; `fanout` is how many receive each packet.

        Loss is of all that was sent, read when nothing is under way any more.
        """
        quiet = self.client.figures()
        self.client.send(streams)
        time.sleep(WARM_SECONDS)
        first, cpu = self.client.figures(), self.server.cpu_seconds()
        relay = self.relay.cpu_seconds() if self.relay else 0.0
        time.sleep(self.setting.seconds)
        last, cpu_last = self.client.figures(), self.server.cpu_seconds()
        relay_last = self.relay.cpu_seconds() if self.relay else 0.0
        self.client.send(Streams())
        drained = self._drained()
        seconds, packets = last.at - first.at, last.received - first.received
        expected = (drained.sent - quiet.sent) * fanout
        return {
            "offered_per_second": (last.sent - first.sent) * fanout / seconds,
            "forwarded_per_second": packets / seconds,
            "cpu_us_per_packet": (cpu_last - cpu) / max(packets, 1) * 1e6,
            "cpu_share": (cpu_last - cpu) / seconds,
            "relay_cpu_share": (relay_last - relay) / seconds,
            "lost_share": 1 - (drained.received - quiet.received) / expected,
            "delay_p50_ms": last.delay_p50_ms,
            "delay_p99_ms": last.delay_p99_ms,
            "samples": last.samples,
            "streams": last.streams,
            "client_share": (last.cpu - first.cpu) / seconds,
            "client_dropped": drained.dropped - quiet.dropped,
            "client_late_ms": last.late_ms,
        }

    def _drained(self) -> Figures:
        """The figures when nothing comes any more."""
        figures = self.client.figures()
        for _ in range(MOST_DRAINS):
            time.sleep(DRAIN_SECONDS)
            before, figures = figures, self.client.figures()
            if figures.received == before.received:
                break
        return figures


@contextmanager
def running(start: Starting, setting: Setting) -> Iterator[Running]:
    """A new server and a new client."""
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        server = stack.enter_context(start(directory, setting.address))
        loader = stack.enter_context(client(directory, setting.address))
        yield Running(server, loader, setting, directory)


def broadcast(forwarded_per_second: float, subscribers: int = SUBSCRIBERS) -> Streams:
    """Video of 25 frames a second that makes so many packets for all subscribers together."""
    return Streams(video=forwarded_per_second / PUBLISHERS / subscribers)


def audience(run: Running, subscribers: int = SUBSCRIBERS) -> None:
    """One call of 4 publishers, and subscribers who send nothing; all hear and see by now."""
    speakers = [Person(f"p{i}", "1", ["video"], subscribe=False) for i in range(PUBLISHERS)]
    run.client.join(run.server, speakers, at_once=1)
    listeners = [Person(f"s{i}", "1", [], subscribe=True) for i in range(subscribers)]
    run.client.join(run.server, listeners, at_once=4)
    run.load(broadcast(RATES[0], subscribers), subscribers)  # the first keyframes


def callers(calls: int, size: int, kinds: tuple[str, ...]) -> list[Person]:
    """Calls in which everybody publishes and hears and sees all others."""
    return [
        Person(f"c{call}p{place}", str(call), kinds, subscribe=True)
        for call in range(1, calls + 1)
        for place in range(size)
    ]


def rates(start: Starting, setting: Setting) -> Iterator[Row]:
    """4 publishers and 50 subscribers at three rates."""
    with running(start, setting) as run:
        audience(run)
        for rate in RATES:
            figures = run.load(broadcast(rate), SUBSCRIBERS)
            yield Row("rates", f"4 x 50, {rate:,}/s", run.server.name, figures)
        figures = run.load(replace(broadcast(RATES[-1]), frame_at_once=True), SUBSCRIBERS)
        load = f"4 x 50, {RATES[-1]:,}/s, the 8 packets of a frame at once"
        yield Row("rates", load, run.server.name, figures)


def limit(start: Starting, setting: Setting) -> Iterator[Row]:
    """The highest rate without loss of 4 publishers and 50 subscribers; delay at 70 % of it."""
    with running(start, setting) as run:
        audience(run)
        tried: dict[float, dict[str, float]] = {}

        def lossless(rate: float) -> bool:
            figures = tried[rate] = run.load(broadcast(rate), SUBSCRIBERS)
            keeps_up = figures["forwarded_per_second"] / figures["offered_per_second"]
            return figures["lost_share"] <= LITTLE_LOSS and keeps_up >= KEEPS_UP

        rate = highest(lossless, RATES[-1])
        name = run.server.name
        if rate is None:
            yield Row("limit", "highest without loss", name, {"lost_share": 1.0})
            return
        beyond = [figures for offered, figures in tried.items() if offered > rate]
        busy = any(
            figures["client_share"] > BUSY_CLIENT or figures["client_dropped"] > 0
            for figures in beyond
        )
        figures = {**tried[rate], "client_limits": float(busy)}
        yield Row("limit", "highest without loss", name, figures)
        figures = run.load(broadcast(rate * SHARE_OF_HIGHEST), SUBSCRIBERS)
        yield Row("limit", "at 70 % of it", name, figures)


def calls(start: Starting, setting: Setting) -> Iterator[Row]:
    """60 calls of 4: cost of a packet, memory, and what idle people cost."""
    with running(start, setting) as run:
        people = callers(CALLS, SIZE, ("video",))
        empty = run.server.resident_bytes()
        run.client.join(run.server, people, at_once=24)
        time.sleep(REST_SECONDS)
        held = run.server.resident_bytes()
        cpu = run.server.cpu_seconds()
        time.sleep(IDLE_SECONDS)
        idle = (run.server.cpu_seconds() - cpu) / IDLE_SECONDS / len(people)
        streams = Streams(video=50)
        run.load(streams, SIZE - 1)
        figures = run.load(streams, SIZE - 1)
        with_media = run.server.resident_bytes()
        figures |= {
            "idle_us_per_second": idle * 1e6,
            "kilobytes": (held - empty) / len(people) / 1000,
            "kilobytes_with_media": (with_media - empty) / len(people) / 1000,
        }
        yield Row("calls", "60 x 4, 36,000/s", run.server.name, figures)


def joins(start: Starting, setting: Setting) -> Iterator[Row]:
    """What a join costs, a few at a time, and how long 50 at once take."""
    people = callers(PAIRS, 2, ("audio", "video"))
    with running(start, setting) as run:
        run.client.join(run.server, people[:2], at_once=2)
        cpu = run.server.cpu_seconds()
        run.client.join(run.server, people[2:], at_once=4)
        cost = (run.server.cpu_seconds() - cpu) / len(people[2:])
        yield Row("joins", "4 at a time", run.server.name, {"join_cpu_ms": cost * 1000})
    with running(start, setting) as run:
        cpu = run.server.cpu_seconds()
        joined = run.client.join(run.server, people, at_once=len(people))
        figures = {
            "answered_ms": max(joined.answered_ms),
            "connected_ms": max(joined.connected_ms),
            "join_cpu_ms": (run.server.cpu_seconds() - cpu) / len(people) * 1000,
        }
        yield Row("joins", "50 at once", run.server.name, figures)


def qualities(start: Starting, setting: Setting) -> Iterator[Row]:
    """12 calls of 4 in the qualities of the source document, direct and relayed."""
    people = callers(12, SIZE, ("audio", "video"))
    for relayed in (False, True):
        with running(start, setting) as run, ExitStack() as stack:
            relay, access = None, None
            if relayed:
                relay, access = stack.enter_context(servers.relay(run.directory, setting.address))
            measured = replace(run, relay=relay)
            empty = run.server.resident_bytes()
            relay_empty = relay.resident_bytes() if relay else 0
            run.client.join(run.server, people, at_once=8, relay=access)
            for quality, streams in QUALITIES.items():
                measured.load(streams, SIZE - 1)
                figures = measured.load(streams, SIZE - 1)
                figures["cpu_percent_each"] = figures["cpu_share"] / len(people) * 100
                grown = run.server.resident_bytes() - empty
                figures["kilobytes_with_media"] = grown / len(people) / 1000
                if relay:
                    used = figures["relay_cpu_share"]
                    figures["relay_cpu_percent_each"] = used / len(people) * 100
                    grown = relay.resident_bytes() - relay_empty
                    figures["relay_kilobytes"] = grown / len(people) / 1000
                load = f"{quality}, {'relayed' if relayed else 'direct'}"
                yield Row("qualities", load, run.server.name, figures)


def pods(start: Starting, setting: Setting) -> Iterator[Row]:
    """As many people as a pod takes, in calls of several sizes, each at 720p."""
    for number, size in PODS:
        with running(start, setting) as run:
            people = callers(number, size, ("audio", "video"))
            empty = run.server.resident_bytes()
            run.client.join(run.server, people, at_once=8)
            run.load(QUALITIES["720p"], size - 1)
            figures = run.load(QUALITIES["720p"], size - 1)
            resident = run.server.resident_bytes()
            figures |= {
                "people_a_core": len(people) / figures["cpu_share"],
                "kilobytes_with_media": (resident - empty) / len(people) / 1000,
                "megabytes": resident / 1e6,
            }
            yield Row("pods", f"{number} x {size}, 720p", run.server.name, figures)


SCENES: Mapping[str, Callable[[Starting, Setting], Iterator[Row]]] = MappingProxyType(
    {
        "rates": rates,
        "limit": limit,
        "calls": calls,
        "joins": joins,
        "qualities": qualities,
        "pods": pods,
    }
)
