"""What is drawn of a fleet and of a decision."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callfleet_operator.api.v1alpha1.common import Condition
from callfleet_operator.cli.target import Target
from callfleet_operator.cli.views.explain import explanation, listing
from callfleet_operator.cli.views.fleet import notable
from callfleet_operator.cli.views.live import Live, live
from callfleet_operator.cli.views.status import screen
from callfleet_operator.cli.views.words import UNKNOWN, age, bar, duration, number, percent
from callfleet_operator.render.fleet import Component
from tests.callfleet_operator.cli.golden import check
from tests.callfleet_operator.cli.samples import ENGINES, NEW, RELAYS, TROUBLED, decision
from tests.callfleet_operator.plan.samples import NOW


def test_a_screen_in_a_terminal() -> None:
    check("status", screen([ENGINES, RELAYS], NOW, bars=True))


def test_a_screen_that_is_piped() -> None:
    check("status-plain", screen([ENGINES, RELAYS, NEW], NOW, bars=False))


def test_a_screen_of_trouble() -> None:
    check("status-trouble", screen([TROUBLED], NOW, bars=True))


def test_a_decision() -> None:
    check("explain", explanation("CallCluster media/calls", ENGINES.decisions[0], NOW))


def test_a_decision_of_dry_run() -> None:
    check(
        "explain-dry-run",
        explanation("CallCluster media/calls", decision(4, (99,), dry_run=True), NOW),
    )


def test_all_decisions() -> None:
    check("explain-list", listing(ENGINES.decisions, NOW))


def condition(type_: str, status: str, reason: str) -> Condition:
    return Condition.model_validate(
        {
            "type": type_,
            "status": status,
            "reason": reason,
            "message": "m",
            "lastTransitionTime": NOW,
        }
    )


@pytest.mark.parametrize(
    ("one", "shown"),
    [
        (condition("Ready", "True", "MinimumReplicasAvailable"), None),
        (condition("Ready", "False", "MinimumReplicasUnavailable"), True),
        (condition("Accepted", "True", "OpenAccess"), True),
        (condition("ScalingActive", "False", "Paused"), False),
        (condition("ScalingLimited", "True", "ScaleUpLimit"), False),
        (condition("Draining", "True", "PodsDraining"), None),
        (condition("Draining", "True", "Reconnecting"), False),
        (condition("HeadroomExhausted", "Unknown", "LoadUnknown"), False),
        (condition("Ready", "False", "OfALaterRelease"), True),
        (condition("OfALaterRelease", "False", "Whatever"), None),
    ],
)
def test_which_conditions_are_shown(one: Condition, shown: bool | None) -> None:
    found = [view.warning for view in notable([one])]
    assert found == ([] if shown is None else [shown])


def test_warnings_come_first() -> None:
    found = notable(
        [
            condition("ScalingActive", "False", "Paused"),
            condition("Ready", "False", "NameConflict"),
        ]
    )
    assert [view.type for view in found] == ["Ready", "ScalingActive"]


def test_figures_of_a_relay() -> None:
    text = (
        "callfleet_relay_allocations 12\n"
        'callfleet_relay_stress_ratio{resource="cpu"} 0.5\n'
        'callfleet_relay_stress_ratio{resource="loop"} 0.7\n'
    )
    assert live(text, Component.RELAY) == Live(12, None, 0.7)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "callfleet_engine_participants 3\n",
        "callfleet_engine_participants NaN\ncallfleet_engine_pending_joins 0\n",
        "callfleet_engine_participants -1\ncallfleet_engine_pending_joins 0\n",
    ],
)
def test_what_a_pod_does_not_say_is_unknown(text: str) -> None:
    assert live(text, Component.ENGINE).used is None


def test_another_text_is_refused() -> None:
    with pytest.raises(ValueError, match="html"):
        live("<html>\n", Component.ENGINE)


def test_unknown_is_never_zero() -> None:
    assert (number(None), percent(None)) == (UNKNOWN, UNKNOWN)
    assert set(bar(None)) == {"?"}


@given(st.floats(0, 1000))
def test_what_is_not_nothing_is_not_drawn_as_nothing(value: float) -> None:
    drawn = bar(value)
    assert len(drawn) == 20
    assert ("█" in drawn) == (value > 0)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-5, "0s"), (59, "59s"), (60, "1m"), (3599, "59m"), (7500, "2h05m"), (90000, "1d01h")],
)
def test_ages(seconds: int, text: str) -> None:
    assert age(NOW - timedelta(seconds=seconds), NOW) == text


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("30m", 1800), ("1h30m", 5400), ("1d", 86400)]
)
def test_durations(text: str, seconds: int) -> None:
    assert duration(text) == timedelta(seconds=seconds)


@given(st.text(max_size=8))
def test_no_duration_is_misread(text: str) -> None:
    try:
        assert duration(text) > timedelta(0)
    except ValueError as problem:
        assert "such as 90s" in str(problem)  # noqa: PT017  # either is fine


@pytest.mark.parametrize("text", ["0s", "", "h", "5", "-5m", "5 m", "1w"])
def test_other_durations_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="such as 90s"):
        duration(text)


@pytest.mark.parametrize(
    ("text", "kind", "name"),
    [
        ("calls", "", "calls"),
        ("cc/calls", "CallCluster", "calls"),
        ("TurnPool/a", "TurnPool", "a"),
        ("turnpools.callfleet.dev/a", "TurnPool", "a"),
    ],
)
def test_names(text: str, kind: str, name: str) -> None:
    target = Target.parse(text)
    assert (target.resource.kind if target.resource else "", target.name) == (kind, name)
