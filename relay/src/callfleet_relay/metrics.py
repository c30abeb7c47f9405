"""Figures of one relay in Prometheus' form; their names are those of the contracts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from callfleet_relay.drain import Admission
from callfleet_relay.events import Outcome, SessionEnd
from callfleet_relay.peer_connections import PeerConnections
from callfleet_relay.stress import Stress
from callfleet_relay.transport.connections import StreamFigures
from callfleet_relay.transport.dataplane import Figures
from callfleet_relay.users import UserMinutes, UserResult

PREFIX = "callfleet_relay_"


@dataclass(slots=True)
class Counters:
    """Totals since the start that the protocol core's events make."""

    outcomes: Counter[Outcome] = field(default_factory=lambda: Counter(dict.fromkeys(Outcome, 0)))
    ended: Counter[SessionEnd] = field(
        default_factory=lambda: Counter(dict.fromkeys(SessionEnd, 0))
    )
    users: UserMinutes = field(default_factory=UserMinutes)
    peer_denied: int = 0


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything that is exported, at one moment."""

    release: str
    dataplane: str
    allocations: int
    capacity: int
    stress: Stress
    admission: Admission
    outcomes: Counter[Outcome]
    users: Counter[UserResult]
    ended: Counter[SessionEnd]
    peer_denied: int
    figures: Figures
    streams: StreamFigures
    peer_connections: PeerConnections
    readings: Counter[tuple[str, str]]
    usable: Mapping[str, bool]
    certificate_expires: datetime | None


def families(now: Snapshot) -> Iterator[Metric]:
    """The metrics of a snapshot."""
    yield _gauge("allocations", "Allocations that exist.", now.allocations)
    yield _gauge("allocation_capacity", "Allocations there is room for.", now.capacity)
    yield _gauges("stress_ratio", "Load; 1 is all it can bear.", "resource", now.stress.as_dict())
    states = {state: float(state is now.admission) for state in Admission}
    yield _gauges("admission", "1 for the present state.", "state", states)
    yield _counters(
        "allocate_requests", "Allocate requests, retransmissions once.", "outcome", now.outcomes
    )
    yield _counters(
        "users", "Authenticated users once a minute, by worst result.", "result", now.users
    )
    traffic = now.figures.traffic
    sent = {"from_client": traffic.bytes_from_client, "to_client": traffic.bytes_to_client}
    yield _counters("bytes", "Payload relayed.", "direction", sent)
    sent = {"from_client": traffic.packets_from_client, "to_client": traffic.packets_to_client}
    yield _counters("packets", "Packets relayed.", "direction", sent)
    yield _counters("dropped_packets", "Packets that went no further.", "cause", now.figures.drops)
    denied = CounterMetricFamily(f"{PREFIX}peer_denied", "Peers that the policy refused.")
    denied.add_metric([], now.peer_denied)
    yield denied
    yield _counters("sessions_ended", "Allocations that have ended.", "cause", now.ended)
    yield from _connections(now.streams)
    peers = now.peer_connections
    yield _gauge("peer_connections_open", "TCP connections with peers.", len(peers))
    yield _counters("peer_connections", "TCP connections with peers.", "result", peers.results)
    yield from _files(now)
    info = GaugeMetricFamily(f"{PREFIX}info", "What runs.", labels=["version", "dataplane"])
    info.add_metric([now.release, now.dataplane], 1)
    yield info


def _connections(streams: StreamFigures) -> Iterator[Metric]:
    yield _gauges("connections", "TCP and TLS connections.", "transport", streams.open)
    yield _counters(
        "connections_closed", "TCP and TLS connections that have ended.", "cause", streams.closed
    )
    errors = CounterMetricFamily(f"{PREFIX}accept_errors", "Connections that were not accepted.")
    errors.add_metric([], streams.accept_errors)
    yield errors


def _files(now: Snapshot) -> Iterator[Metric]:
    readings = CounterMetricFamily(
        f"{PREFIX}file_readings", "Readings of followed files.", labels=["file", "result"]
    )
    for labels, count in now.readings.items():
        readings.add_metric(labels, count)
    yield readings
    yield _gauges("file_usable", "1 where the last reading could be used.", "file", now.usable)
    expires = now.certificate_expires
    if expires is not None:
        yield _gauge(
            "certificate_expiry_timestamp_seconds",
            "When the TLS certificate in use expires.",
            expires.timestamp(),
        )


def registry(collector: Collector) -> CollectorRegistry:
    """The collector's metrics, and those of the process."""
    made = CollectorRegistry()
    made.register(collector)
    ProcessCollector(registry=made)
    return made


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(PREFIX + name, text, value=value)


def _gauges(name: str, text: str, label: str, values: Mapping[Any, float]) -> Metric:
    family = GaugeMetricFamily(PREFIX + name, text, labels=[label])
    for key, value in values.items():
        family.add_metric([str(key)], value)
    return family


def _counters(name: str, text: str, label: str, values: Mapping[Any, int]) -> Metric:
    family = CounterMetricFamily(PREFIX + name, text, labels=[label])
    for key, value in values.items():
        family.add_metric([str(key)], value)
    return family
