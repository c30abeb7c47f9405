"""Every metric of the engine, by the names of docs/reference/contracts.md."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal, get_args

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    Info,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from callfleet_engine import __version__
from callfleet_engine.calls.ice import Cause
from callfleet_engine.errors import ERROR_CODES
from callfleet_engine.media.interface import MediaPlane, Path
from callfleet_engine.store.interface import Admission

PREFIX = "callfleet_engine"
PATHS: tuple[Path, ...] = ("direct", "relayed")
DropCause = Literal["media_lost", "pod_terminated", "not_returned", "internal"]
DROP_CAUSES: tuple[DropCause, ...] = get_args(DropCause)

# The time each counter was made at is a series of its own that no query of ours uses.
disable_created_metrics()  # type: ignore[no-untyped-call]  # the library leaves it without types


@dataclass(frozen=True, slots=True)
class Gauges:
    """The figures of one moment."""

    participants: int
    calls: int
    pending_joins: int
    capacity_participants: int
    admission: Admission
    store_backlog: int


class Metrics:
    """Counters to be counted up; gauges are asked for when Prometheus asks."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry(auto_describe=False)
        self.admission_rejected = self._counter(
            "admission_rejected", "Joins refused, by error code of signalling.", ["reason"]
        )
        self.calls_started = self._counter("calls_started", "Calls started.")
        self.calls_moved = self._counter(
            "calls_moved",
            "Running calls that came from another pod or went to one.",
            ["direction"],
        )
        self.call_duration = self._histogram(
            "call_duration_seconds",
            "How long a call lasted on this pod.",
            (10, 30, 60, 300, 900, 1800, 3600, 7200, 14400),
        )
        self.call_participants = self._histogram(
            "call_participants",
            "The most participants a call had at one time.",
            (1, 2, 3, 4, 6, 8, 12, 16, 25, 50, 100, 200),
        )
        self.call_drops = self._counter(
            "call_drops", "Participants ended against their will.", ["cause"]
        )
        self.join_seconds = self._histogram(
            "join_seconds",
            "From join to media flowing.",
            (0.1, 0.2, 0.3, 0.5, 0.75, 1, 1.5, 2, 3, 5, 10, 15),
        )
        self.ice_attempts = self._counter(
            "ice_attempts", "Peer connections that tried to connect, with a result.", ["path"]
        )
        self.ice_failures = self._counter(
            "ice_failures", "Peer connections that did not connect.", ["path", "cause"]
        )
        self.store_seconds = self._histogram(
            "store_seconds",
            "How long operations of the store took.",
            (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
            ["operation"],
        )
        for code in ERROR_CODES:
            self.admission_rejected.labels(code)
        for cause in DROP_CAUSES:
            self.call_drops.labels(cause)
        for direction in ("in", "out"):
            self.calls_moved.labels(direction)
        for path in PATHS:
            self.ice_attempts.labels(path)

    def observe_store(self, operation: str, seconds: float) -> None:
        """The store's observer."""
        self.store_seconds.labels(operation).observe(seconds)

    def connected(self, path: Path) -> None:
        """An ICE attempt succeeded."""
        self.ice_attempts.labels(path).inc()

    def not_connected(self, path: Path, cause: Cause) -> None:
        """An ICE attempt failed."""
        self.ice_attempts.labels(path).inc()
        self.ice_failures.labels(path, cause).inc()

    def watch(self, gauges: Callable[[], Gauges], plane: MediaPlane) -> None:
        """Ask these for the figures of the moment at each scrape."""
        self.registry.register(_Moment(gauges, plane))
        info = Info(f"{PREFIX}", "What runs here.", registry=self.registry)
        info.info({"version": __version__, "mediaplane": plane.name})

    def expose(self) -> bytes:
        """The text format of Prometheus."""
        return generate_latest(self.registry)

    def _counter(self, name: str, text: str, labels: Iterable[str] = ()) -> Counter:
        return Counter(f"{PREFIX}_{name}", text, labels, registry=self.registry)

    def _histogram(
        self, name: str, text: str, buckets: tuple[float, ...], labels: Iterable[str] = ()
    ) -> Histogram:
        return Histogram(f"{PREFIX}_{name}", text, labels, buckets=buckets, registry=self.registry)


class _Moment(Collector):
    def __init__(self, gauges: Callable[[], Gauges], plane: MediaPlane) -> None:
        self._gauges = gauges
        self._plane = plane

    def collect(self) -> Iterable[Metric]:
        gauges = self._gauges()
        yield _gauge("participants", "Participants.", gauges.participants)
        yield _gauge("calls", "Calls.", gauges.calls)
        yield _gauge("pending_joins", "Joins under way.", gauges.pending_joins)
        yield _gauge(
            "capacity_participants",
            "Participants this pod is meant to bear.",
            gauges.capacity_participants,
        )
        yield _gauge("store_backlog", "Records waiting to be written.", gauges.store_backlog)
        admission = GaugeMetricFamily(
            f"{PREFIX}_admission", "1 for the present state.", labels=["state"]
        )
        for state in Admission:
            admission.add_metric([state], float(state is gauges.admission))
        yield admission
        yield from self._media()

    def _media(self) -> Iterable[Metric]:
        stress = GaugeMetricFamily(
            f"{PREFIX}_stress_ratio", "Share of what the pod can bear.", labels=["resource"]
        )
        now = self._plane.stress()
        for resource in ("packets", "cpu", "loop", "egress"):
            stress.add_metric([resource], now[resource])
        yield stress
        counters = self._plane.counters()
        yield CounterMetricFamily(
            f"{PREFIX}_received_packets", "RTP packets received.", counters.received_packets
        )
        yield CounterMetricFamily(
            f"{PREFIX}_forwarded_packets", "RTP packets sent.", counters.forwarded_packets
        )
        lost = CounterMetricFamily(
            f"{PREFIX}_lost_packets", "RTP packets that did not arrive.", labels=["direction"]
        )
        lost.add_metric(["in"], counters.lost_packets_in)
        lost.add_metric(["out"], counters.lost_packets_out)
        yield lost
        dropped = CounterMetricFamily(
            f"{PREFIX}_media_dropped_datagrams",
            "Datagrams that the media port did not take or send.",
            labels=["cause"],
        )
        for cause, count in counters.dropped_datagrams.items():
            dropped.add_metric([cause], count)
        yield dropped
        jitter = HistogramMetricFamily(
            f"{PREFIX}_jitter_seconds", "Interarrival jitter of published streams."
        )
        jitter.add_metric(
            [],
            [(_bound(bound), count) for bound, count in counters.jitter_seconds.buckets],
            counters.jitter_seconds.sum,
        )
        yield jitter


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"{PREFIX}_{name}", text, value)


def _bound(bound: float) -> str:
    return "+Inf" if bound == float("inf") else str(bound)
