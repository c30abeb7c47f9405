"""A CallCluster under the plan and the steps of the operator itself.

What is replayed is `plan.engines.plan` and `plan.steps.next_steps`, the functions that the
operator calls. Around them stand a fleet in memory that takes the steps, and what Prometheus
would say of it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from callfleet_operator.api.v1alpha1 import CallClusterSpec
from callfleet_operator.api.v1alpha1.callcluster import ForecastMode
from callfleet_operator.observation import (
    Admission,
    CallDemand,
    FleetPod,
    MetricsHealth,
    NoOutlook,
    Observation,
    Outlook,
    Process,
    Reading,
    Source,
)
from callfleet_operator.plan import engines
from callfleet_operator.plan.classify import judge
from callfleet_operator.plan.decision import (
    Cordon,
    Create,
    Delete,
    Drain,
    Memory,
    Step,
    Undrain,
)
from callfleet_operator.plan.seasonal import HISTORY, STEP, History, outlook
from callfleet_operator.plan.steps import next_steps
from callfleet_operator.simulate.pods import Pod, Pods
from callfleet_operator.simulate.traffic import Traffic

REVISION: Final = "simulated"
_HOUR: Final = 3600.0
_MINUTES: Final = 300.0
"""Over which the operator takes the rate of new calls, unless told otherwise."""


@dataclass(slots=True)
class _Drain:
    """How far the drain of one pod has come."""

    since: datetime
    reason: str
    sealed: bool = False


@dataclass(slots=True)
class Operated:
    """Engine pods of one CallCluster."""

    spec: CallClusterSpec
    pods: Pods
    traffic: Traffic
    start_seconds: float
    _memory: Memory = field(default_factory=Memory)
    _drains: dict[int, _Drain] = field(default_factory=dict)
    """By ordinal."""
    _history: list[float] = field(default_factory=list)
    _outlook: Outlook | NoOutlook = field(default_factory=lambda: NoOutlook("it is coming"))
    reported: int | None = None

    @property
    def open(self) -> int:
        """Pods that are not draining."""
        return len(self.pods.present) - len(self._drains)

    def tick(self, now: float) -> None:
        """One round of the operator: observe, plan, step."""
        seen = self._observe(now)
        decision, self._memory = engines.plan(self.spec, seen, self._memory)
        self.reported = decision.desired_open
        steps = next_steps(
            decision, seen, max_total=self.spec.max_total_replicas, revision=REVISION
        )
        self._take(steps, now)

    def _observe(self, now: float) -> Observation:
        time = self._time(now)
        return Observation(
            now=time,
            pods=tuple(self._seen(pod, now) for pod in self.pods.present),
            metrics=MetricsHealth(),
            demand=demand(self.pods, self.traffic, now),
            outlook=self._look_ahead(now),
            reported_open=self.reported,
            revisions=(REVISION,),
        )

    def _time(self, now: float) -> datetime:
        return self.traffic.start + timedelta(seconds=now)

    def _seen(self, pod: Pod, now: float) -> FleetPod:
        drain, ready, time = self._drains.get(pod.ordinal), pod.ready(now), self._time(now)
        uid = f"{pod.ordinal}-{pod.created}"
        said = Reading(Source.PROMETHEUS, time, uid, pod.used, 0.0, len(pod.calls))
        admission = Admission.OPEN
        if drain is not None:
            admission = Admission.SEALED if drain.sealed else Admission.CORDONED
        return FleetPod(
            name=f"engine-{pod.ordinal}",
            uid=uid,
            resource_version="1",
            ordinal=pod.ordinal,
            revision=REVISION,
            node=f"node-{pod.ordinal}",
            zone="",
            address="192.0.2.1",
            admission=admission,
            ready=ready,
            failed=False,
            failure="",
            terminating=False,
            created=self._time(pod.created),
            ready_changed=self._time(pod.ready_at) if ready else None,
            drain_id=f"drain-{pod.ordinal}" if drain else "",
            drain_started=drain.since if drain else None,
            load=judge(
                [said] if ready else [],
                uid=uid,
                capacity=self.spec.capacity.participants_per_pod,
                now=time,
                stale_after=timedelta(seconds=self.spec.metrics.stale_after_seconds),
            ),
            process=Process.POSSIBLE if ready else Process.NEVER_STARTED,
            drain_reason=drain.reason if drain else "",
        )

    def _take(self, steps: Iterable[Step], now: float) -> None:
        by_ordinal = {pod.ordinal: pod for pod in self.pods.present}
        for step in steps:
            match step:
                case Create(ordinal):
                    self.pods.add(ordinal, now, now + self.start_seconds)
                case Cordon(victim, reason):
                    self._drains[victim.ordinal] = _Drain(self._time(now), reason)
                case Drain(victim):
                    pod = by_ordinal[victim.ordinal]
                    pod.admits = False
                    # The pod itself refuses to seal while it has a call.
                    self._drains[victim.ordinal].sealed = not pod.calls
                case Undrain(victim):
                    by_ordinal[victim.ordinal].admits = True
                    del self._drains[victim.ordinal]
                case Delete(victim):
                    self.pods.remove(by_ordinal[victim.ordinal])
                    del self._drains[victim.ordinal]

    def _look_ahead(self, now: float) -> Outlook | NoOutlook:
        forecast = self.spec.scaling.forecast
        if forecast.mode is ForecastMode.DISABLED:
            return NoOutlook("forecast.mode is Disabled")
        step = STEP.total_seconds()
        if now >= len(self._history) * step:
            self._history.append(float(self.pods.participants))
            last = self._time((len(self._history) - 1) * step)
            known = self._history[-(HISTORY // STEP) :]
            horizon = timedelta(seconds=forecast.horizon_seconds)
            self._outlook = outlook(History(last, known), horizon=horizon, now=self._time(now))
        return self._outlook


def demand(pods: Pods, traffic: Traffic, now: float) -> CallDemand | None:
    """What Prometheus would say of the calls, with those before the start at one rate. None if no
    call has ended within an hour."""
    tally = pods.tally
    before = traffic.rate_before * max(0.0, _HOUR - now)
    lately = tally.ended[bisect_right(tally.ended, now - _HOUR, key=lambda one: one[0]) :]
    count = before + len(lately)
    if not count:
        return None
    lasted = before * traffic.mean_duration + sum(seconds for _, seconds, _ in lately)
    people = before * traffic.mean_participants + sum(there for _, _, there in lately)
    return CallDemand(
        arrivals_per_second=_rate(tally.started, traffic.rate_before, now, _MINUTES),
        mean_duration_seconds=lasted / count,
        mean_participants=people / count,
        hourly_arrivals_per_second=_rate(tally.started, traffic.rate_before, now, _HOUR),
    )


def _rate(started: list[float], before: float, now: float, window: float) -> float:
    within = len(started) - bisect_right(started, now - window)
    return (within + before * max(0.0, window - now)) / window
