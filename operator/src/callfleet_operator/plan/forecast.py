"""The floor that a forecast sets, where the owner lets it and it has earned it."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Final

from callfleet_operator.api.v1alpha1.callcluster import Forecast, ForecastMode
from callfleet_operator.observation import NoOutlook, Outlook
from callfleet_operator.plan.decision import Proposal, StageRecord
from callfleet_operator.plan.reasons import Reason, Stage

_MOST_PODS: Final = 1000
"""No spec allows more (`maxReplicas`), so none are asked for."""


def forecast_floor(
    before: Proposal,
    outlook: Outlook | NoOutlook,
    forecast: Forecast,
    *,
    capacity: int,
    target_percent: int,
) -> tuple[Proposal, StageRecord]:
    """Never ask for fewer pods than carry the highest load expected within the horizon at the
    target, with mode Floor and a forecast that has been nearer than the last value."""
    if forecast.mode is ForecastMode.DISABLED:
        message = "forecast.mode is Disabled."
        return before, _record(before, before, Reason.FORECAST_DISABLED, message)
    if isinstance(outlook, NoOutlook):
        message = f"No forecast, so no floor: {outlook.reason}."
        return before, _record(before, before, Reason.FORECAST_UNKNOWN, message)
    needed = _pods(outlook.peak, capacity, target_percent)
    said = (
        f"Within {forecast.horizon_seconds} s at most {_figure(outlook.peak)} participants are "
        f"forecast (season: {outlook.season}), {needed} open pods at {target_percent} %. Mean "
        f"error over {outlook.judged} past times: {_figure(outlook.error)}, of the last value "
        f"{_figure(outlook.last_value_error)}"
    )
    if not outlook.beats_last_value:
        message = f"{said}; the forecast is not better, so it sets no floor."
        return before, _record(before, before, Reason.FORECAST_NO_BETTER, message)
    if forecast.mode is ForecastMode.OBSERVE:
        message = f"{said}; with mode Floor this would be a floor."
        return before, _record(before, before, Reason.FORECAST_OBSERVED, message)
    after = before.at_least(needed)
    return after, _record(before, after, Reason.FORECAST, f"{said}; it sets a floor.")


def _pods(participants: float, capacity: int, target_percent: int) -> int:
    if not math.isfinite(participants) or participants <= 0:
        return 1
    needed = Fraction(participants) * 100 / (capacity * target_percent)
    return min(_MOST_PODS, max(1, math.ceil(needed)))


def _figure(participants: float) -> str:
    """Two digits: a third would only change the text."""
    if participants < 100:
        return f"{participants:.2g}"
    scale = 10 ** (math.floor(math.log10(participants)) - 1)
    return str(round(participants / scale) * scale)


def _record(before: Proposal, after: Proposal, reason: Reason, message: str) -> StageRecord:
    return StageRecord(Stage.FORECAST, before, after, reason, message)
