"""Nothing is given up on data that are unknown, stale or partial."""

from __future__ import annotations

from callfleet_operator.observation import MetricsHealth, MetricsProblem
from callfleet_operator.plan.classify import FleetLoad, unknown_pods
from callfleet_operator.plan.decision import Proposal, StageRecord
from callfleet_operator.plan.reasons import Reason, Stage


def prometheus_away(metrics: MetricsHealth) -> bool:
    """Whether Prometheus says nothing at all; partial data are a matter of single pods."""
    return metrics.problem not in (None, MetricsProblem.PARTIAL)


def sees_all(metrics: MetricsHealth) -> bool:
    """Whether Prometheus says of its answers that they are whole. Those that come with warnings may
    lack calls and pods, and look like less load."""
    return metrics.problem is None


def certainty(
    number: int, load: FleetLoad, metrics: MetricsHealth, present: int, *, hold: bool
) -> tuple[int, StageRecord]:
    """Keep the present number where the data do not allow to leave it.

    Fewer pods need the data of every pod, from a Prometheus that answers in full. More are always
    allowed, as the low end asks for them, except with fallback Hold (`hold`) while Prometheus is
    away.
    """
    before = Proposal.exactly(number)
    away = prometheus_away(metrics)
    fewer = number < present and not may_drain(load, metrics)
    more = number > present and hold and away
    if not fewer and not more:
        message = "The data allow this."
        return number, StageRecord(Stage.CERTAINTY, before, before, Reason.DATA_SUFFICIENT, message)
    after = Proposal.exactly(present)
    causes = ["Prometheus is away"] if away else []
    if not away and not sees_all(metrics):
        causes.append("Prometheus says that its answers are not whole")
    if load.unknown:
        causes.append(f"data of pods are not to be relied on ({unknown_pods(load.unknown)})")
    message = f"Holding at {present} instead of {number}: {' and '.join(causes)}."
    return present, StageRecord(Stage.CERTAINTY, before, after, Reason.HOLDING, message)


def may_drain(load: FleetLoad, metrics: MetricsHealth) -> bool:
    """Whether the data allow to start a drain."""
    return load.complete and sees_all(metrics)
