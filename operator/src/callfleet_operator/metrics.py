"""The operator's own metrics. Contract: docs/reference/contracts.md, "Metrics"."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from importlib.metadata import version

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from callfleet_operator.plan.decision import StageRecord
from callfleet_operator.reconcile.keys import Key, Kind

_PREFIX = "callfleet_operator"
_SECONDS = (0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class OperatorMetrics:
    """Counts what the operator does; told by the queue, the rounds and the gateways."""

    def __init__(self, clock: Callable[[], float], wall: Callable[[], float]) -> None:
        """`clock` is monotonic, `wall` gives Unix seconds."""
        self.registry = CollectorRegistry()
        self._clock = clock
        self._wall = wall
        self._last_round: dict[Kind, float] = {}
        self._reconcile_seconds = Histogram(
            f"{_PREFIX}_reconcile_seconds",
            "Duration of rounds that ended well.",
            ["kind"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._errors = Counter(
            f"{_PREFIX}_reconcile_errors",
            "Rounds that failed; cause bug is an error in the operator.",
            ["kind", "cause"],
            registry=self.registry,
        )
        self._last = Gauge(
            f"{_PREFIX}_last_reconcile_timestamp_seconds",
            "When the last round ended well, in Unix seconds.",
            ["kind"],
            registry=self.registry,
        )
        self._desired = Gauge(
            f"{_PREFIX}_desired_open",
            "Open pods that are wanted.",
            ["kind", "namespace", "name"],
            registry=self.registry,
        )
        self._target = Gauge(
            f"{_PREFIX}_target_utilization_ratio",
            "The utilisation, of relays the saturation, that is steered to.",
            ["kind", "namespace", "name"],
            registry=self.registry,
        )
        self._problem = Gauge(
            f"{_PREFIX}_problem",
            "1 for each condition that asks for somebody; absent when it is cured.",
            ["kind", "namespace", "name", "condition", "reason"],
            registry=self.registry,
        )
        self._problems: dict[Key, frozenset[tuple[str, str]]] = {}
        self._decisions = Counter(
            f"{_PREFIX}_decisions",
            "Changes of the number of open pods, by the stage that settled it.",
            ["kind", "stage", "reason"],
            registry=self.registry,
        )
        self._requests = Counter(
            f"{_PREFIX}_api_requests",
            "Requests to the API server; code 0: no answer.",
            ["verb", "resource", "code"],
            registry=self.registry,
        )
        self._leader = Gauge(
            f"{_PREFIX}_leader",
            "1 while this replica acts, 0 while it stands by.",
            registry=self.registry,
        )
        info = Gauge(f"{_PREFIX}_info", "Always 1.", ["version"], registry=self.registry)
        info.labels(version("callfleet")).set(1)
        for kind in Kind:
            self._errors.labels(kind, "bug")  # an alert on its rate needs the 0 before the first

    def finished(self, key: Key, seconds: float) -> None:
        """A round ended well."""
        self._reconcile_seconds.labels(key.kind).observe(seconds)
        self._last.labels(key.kind).set(self._wall())
        self._last_round[key.kind] = self._clock()

    def failed(self, key: Key, cause: str) -> None:
        """A round failed."""
        self._errors.labels(key.kind, cause).inc()

    def round_ages(self) -> dict[Kind, float]:
        """Seconds since the last round of each kind that ended well; kinds without one left out."""
        return {kind: self._clock() - at for kind, at in self._last_round.items()}

    def desired(self, key: Key, number: int) -> None:
        """What an object is steered to."""
        self._desired.labels(*key).set(number)

    def target(self, key: Key, percent: int) -> None:
        """The share of its pods' capacity that an object is steered to."""
        self._target.labels(*key).set(percent / 100)

    def gone(self, key: Key) -> None:
        """An object does not exist any more."""
        self._desired.remove(*key)
        self._target.remove(*key)
        self.problems(key, ())
        self._problems.pop(key, None)

    def problems(self, key: Key, present: Iterable[tuple[str, str]]) -> None:
        """The conditions of an object that ask for somebody, with their reasons."""
        before, now = self._problems.get(key, frozenset()), frozenset(present)
        for cured in before - now:
            self._problem.remove(*key, *cured)
        for one in now - before:
            self._problem.labels(*key, *one).set(1)
        self._problems[key] = now

    def decided(self, key: Key, decisive: StageRecord) -> None:
        """The number of open pods of an object has been changed."""
        self._decisions.labels(key.kind, decisive.stage, decisive.reason).inc()

    def leader(self, leading: Callable[[], bool]) -> None:
        """Asked at each scrape whether this replica acts."""
        self._leader.set_function(lambda: float(leading()))

    def request(self, verb: str, resource: str, code: int) -> None:
        """A request to the API server has ended."""
        self._requests.labels(verb, resource, code).inc()
