"""Second stage: how many open pods the load asks for, before any caution."""

from __future__ import annotations

import math
from datetime import timedelta
from fractions import Fraction
from statistics import median_low
from typing import Final

from callfleet_operator.observation import CallDemand, FleetPod
from callfleet_operator.plan.classify import FleetLoad, carried
from callfleet_operator.plan.decision import Proposal, StageRecord
from callfleet_operator.plan.erlang import blocking, groups_needed
from callfleet_operator.plan.fleet import START_BUDGET, Fleet
from callfleet_operator.plan.reasons import Reason, Stage

DETECTION: Final = timedelta(seconds=30)
"""From the arrival of a call to a decision that knows of it: one scrape and one tick, 15 s each."""
UNMEASURED_START: Final = timedelta(seconds=60)
"""Creation to Ready of a pod, as long as none has been seen to do it."""
SMALLEST_CALL: Final = 2
"""People of a call, as long as no mean is known."""
_MOST_CALLS: Final = 1e9
MOST_PODS: Final = 1000
"""No spec allows more (`maxReplicas`), so none are asked for."""


def utilisation(load: FleetLoad, target_percent: int, present: int) -> tuple[Proposal, StageRecord]:
    """Open pods that carry the load of all pods at the target.

    People on draining pods call again, so their load counts.
    """
    needed = Proposal(
        low=math.ceil(load.low * 100 / target_percent),
        high=math.ceil(load.high * 100 / target_percent),
    )
    message = (
        f"The load fills {_span(load.low, load.high)} pods; "
        f"at {target_percent} % that takes {needed} open pods."
    )
    before = Proposal.exactly(present)
    return needed, StageRecord(Stage.UTILIZATION, before, needed, Reason.UTILIZATION, message)


def room_for_arrivals(
    before: Proposal,
    fleet: Fleet,
    demand: CallDemand | None,
    *,
    capacity: int,
    new_call_limit_percent: int,
) -> tuple[Proposal, StageRecord]:
    """Open pods with free room for the calls that begin before another pod can be ready.

    The reserve is the mean of the arrivals during the reaction time and three standard deviations
    (Poisson), in whole calls: a call cannot span pods. It is one call at least, known demand or
    not: a fleet that utilisation alone calls well used, and that has no room for another call,
    would refuse everybody for good. Every call under way is taken to hold room below the new-call
    limit, wherever it is, so the answer does not depend on how calls are spread and draining a pod
    cannot lower it.
    """
    known = demand if demand is not None and _usable(demand) else None
    people = _people(known)
    reaction = DETECTION + start_time(fleet)
    reserve = max(1, arrivals_at_most(known, reaction))
    places = calls_per_pod(people, capacity, new_call_limit_percent)
    needed = Proposal(
        low=_pods_for(fleet, people, reserve, places, high=False),
        high=_pods_for(fleet, people, reserve, places, high=True),
    )
    after = Proposal(max(before.low, needed.low), max(before.high, needed.high))
    if known is None:
        reason = Reason.DEMAND_UNKNOWN
        cause = "The rate of new calls is not known: room is kept for one more"
    else:
        reason = Reason.ROOM_FOR_ARRIVALS
        cause = (
            f"{known.arrivals_per_second * 60:.2g} new calls a minute and a reaction time of "
            f"{reaction.total_seconds():.0f} s reserve room for {reserve} calls"
        )
    message = f"{cause}, {places} a pod: that takes {needed} open pods."
    return after, StageRecord(Stage.FREE_ROOM, before, after, reason, message)


def blocking_limit(
    before: Proposal,
    demand: CallDemand | None,
    *,
    capacity: int,
    new_call_limit_percent: int,
    max_blocking_per_million: int,
) -> tuple[Proposal, StageRecord]:
    """Open pods with which no more new calls than the limit find every place taken.

    Offered is the traffic of the last hour: calls that began, times their mean duration. Minutes
    would be noise beside calls of an hour, and the room for a sudden rush is that of
    `room_for_arrivals`. A pod has places for whole calls of mean size below its new-call limit,
    as no call spans two; a call takes any free place of the fleet, as engines place it. 0
    switches the floor off.
    """
    if max_blocking_per_million == 0:
        message = "maxBlockingPerMillion is 0: blocking sets no floor."
        return before, _erlang(before, before, Reason.BLOCKING_UNLIMITED, message)
    erlangs = _offered(demand)
    if demand is None or erlangs is None:
        message = "Arrivals, duration or size of calls are not known: blocking sets no floor."
        return before, _erlang(before, before, Reason.BLOCKING_UNKNOWN, message)
    places = calls_per_pod(_people(demand), capacity, new_call_limit_percent)
    limit = max_blocking_per_million / 1_000_000
    needed = groups_needed(erlangs, places=places, limit=limit, most=MOST_PODS)
    after = before.at_least(needed)
    blocked = blocking(needed * places, erlangs, negligible=1e-9) * 1_000_000
    message = (
        f"Calls of {demand.mean_duration_seconds:.0f} s at the last hour's rate are {erlangs:.3g} "
        f"at a time; with {places} a pod, {needed} open pods refuse {_few(blocked)} in a million, "
        f"maxBlockingPerMillion is {max_blocking_per_million}."
    )
    return after, _erlang(before, after, Reason.BLOCKING_LIMIT, message)


def _erlang(before: Proposal, after: Proposal, reason: Reason, message: str) -> StageRecord:
    return StageRecord(Stage.ERLANG, before, after, reason, message)


def _offered(demand: CallDemand | None) -> float | None:
    """Calls at a time, were none refused (erlang); None if not known."""
    if demand is None or demand.hourly_arrivals_per_second is None or not _usable(demand):
        return None
    figures = demand.hourly_arrivals_per_second, demand.mean_duration_seconds
    if not all(math.isfinite(figure) and figure >= 0 for figure in figures):
        return None
    return min(math.prod(figures), _MOST_CALLS)


def _few(figure: float) -> str:
    return f"{figure:.2g}" if figure < 10 else f"{figure:.0f}"


def _people(demand: CallDemand | None) -> Fraction:
    return Fraction(max(1.0, demand.mean_participants) if demand else SMALLEST_CALL)


def calls_per_pod(people: Fraction, capacity: int, new_call_limit_percent: int) -> int:
    """Whole calls of so many people that begin in a pod before its limit for new calls."""
    return max(1, Fraction(capacity * new_call_limit_percent, 100) // people)


def arrivals_at_most(demand: CallDemand | None, reaction: timedelta) -> int:
    """Calls that begin within the reaction time: the mean and three standard deviations."""
    if demand is None:
        return 0
    mean = min(demand.arrivals_per_second * reaction.total_seconds(), _MOST_CALLS)
    return math.ceil(mean + 3 * math.sqrt(mean))


def _pods_for(fleet: Fleet, people: Fraction, reserve: int, places: int, *, high: bool) -> int:
    under_way = 0
    for pod in fleet.open + fleet.leaving:
        used = carried(pod)
        # Whole numbers: ceil(used / people), exact and a tenth of the time of fractions.
        figure, parts = (used.high if high else used.low).as_integer_ratio()
        under_way += -(-figure * people.denominator // (parts * people.numerator))
    return -(-(under_way + reserve) // places)


def start_time(fleet: Fleet) -> timedelta:
    """Creation to Ready as measured on the pods that are ready.

    A pod that took longer than the start budget has turned NotReady in between and says nothing.
    """
    measured = [time for pod in fleet.ready if (time := _start(pod)) is not None]
    return median_low(measured) if measured else UNMEASURED_START


def _start(pod: FleetPod) -> timedelta | None:
    if pod.ready_changed is None:
        return None
    taken = pod.ready_changed - pod.created
    return taken if timedelta(0) <= taken <= START_BUDGET else None


def _usable(demand: CallDemand) -> bool:
    figures = (demand.arrivals_per_second, demand.mean_participants)
    return all(math.isfinite(figure) and figure >= 0 for figure in figures)


def _span(low: Fraction, high: Fraction) -> str:
    return f"{float(low):.2f}" if low == high else f"{float(low):.2f} to {float(high):.2f}"
