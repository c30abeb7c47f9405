"""The floor of a forecast: only with mode Floor, and only when it has been better."""

from __future__ import annotations

import pytest

from callfleet_operator.api.v1alpha1.callcluster import Forecast, ForecastMode
from callfleet_operator.observation import NoOutlook, Outlook
from callfleet_operator.plan import engines
from callfleet_operator.plan.decision import Memory, Proposal
from callfleet_operator.plan.forecast import forecast_floor
from callfleet_operator.plan.reasons import Reason, Stage
from tests.callfleet_operator.plan.samples import cluster, loaded, observed

BETTER = Outlook(peak=281, season="week", error=12.34, last_value_error=45.6, judged=1008)
WORSE = Outlook(peak=281, season="day", error=12.34, last_value_error=4.56, judged=1008)
EQUAL = Outlook(peak=281, season="day", error=5, last_value_error=5, judged=1008)


def floor(
    outlook: Outlook | NoOutlook, mode: ForecastMode = ForecastMode.FLOOR, low: int = 2
) -> tuple[Proposal, str, str]:
    after, record = forecast_floor(
        Proposal(low, 9),
        outlook,
        Forecast(mode=mode, horizon_seconds=1800),
        capacity=100,
        target_percent=70,
    )
    assert record.stage == Stage.FORECAST
    return after, record.reason, record.message


def test_a_better_forecast_is_a_floor_and_says_both_errors() -> None:
    after, reason, message = floor(BETTER)

    assert (after, reason) == (Proposal(5, 9), Reason.FORECAST)
    assert message == (
        "Within 1800 s at most 280 participants are forecast (season: week), 5 open pods at 70 %. "
        "Mean error over 1008 past times: 12, of the last value 46; it sets a floor."
    )


@pytest.mark.parametrize("outlook", [WORSE, EQUAL])
@pytest.mark.parametrize("mode", [ForecastMode.FLOOR, ForecastMode.OBSERVE])
def test_one_that_is_not_better_is_none_and_says_both_errors(
    outlook: Outlook, mode: ForecastMode
) -> None:
    after, reason, message = floor(outlook, mode)

    assert (after, reason) == (Proposal(2, 9), Reason.FORECAST_NO_BETTER)
    assert "of the last value" in message
    assert message.endswith("; the forecast is not better, so it sets no floor.")


def test_observe_says_what_it_would_have_done() -> None:
    after, reason, message = floor(BETTER, ForecastMode.OBSERVE)

    assert (after, reason) == (Proposal(2, 9), Reason.FORECAST_OBSERVED)
    assert "5 open pods at 70 %" in message
    assert message.endswith("; with mode Floor this would be a floor.")


def test_without_a_forecast_the_reason_is_passed_on() -> None:
    after, reason, message = floor(NoOutlook("the history is too short"))

    assert (after, reason) == (Proposal(2, 9), Reason.FORECAST_UNKNOWN)
    assert message == "No forecast, so no floor: the history is too short."


def test_disabled() -> None:
    assert floor(BETTER, ForecastMode.DISABLED)[:2] == (Proposal(2, 9), Reason.FORECAST_DISABLED)


def test_it_is_never_a_ceiling() -> None:
    assert floor(BETTER, low=7)[0] == Proposal(7, 9)


@pytest.mark.parametrize(("peak", "pods"), [(0, 1), (70, 1), (71, 2), (1e30, 1000)])
def test_pods_for_a_peak(peak: float, pods: int) -> None:
    after, _, _ = floor(Outlook(peak, "day", 1, 2, 200), low=1)

    assert after.low == pods


def test_the_plan_follows_it_out_at_its_rate() -> None:
    seen = observed(*loaded(30), outlook=BETTER)
    decision, _ = engines.plan(cluster(forecast={"mode": "Floor"}), seen, Memory())

    assert decision.desired_open == 5
    assert decision.decisive.reason == Reason.FORECAST
