"""Conditions as people read them. `messages.txt` has them all:

CALLFLEET_REFRESH_GOLDEN=1 pytest tests/callfleet_operator/status
"""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given

from callfleet_operator.api.v1alpha1 import CallClusterSpec
from callfleet_operator.observation import Observation
from callfleet_operator.plan import engines, relays
from callfleet_operator.plan.decision import Memory
from callfleet_operator.plan.rollout import rollout
from callfleet_operator.status import engines as engine_status
from callfleet_operator.status import relays as relay_status
from callfleet_operator.status.case import Case, Finding
from callfleet_operator.status.documented import ConditionType
from callfleet_operator.status.table import REASONS, documented
from tests.callfleet_operator.plan import strategies as any_
from tests.callfleet_operator.plan.samples import (
    AWAY,
    NOW,
    loaded,
    observed,
    pod,
    pool,
    seconds,
    unknown,
)
from tests.callfleet_operator.status import scenarios

GOLDEN = Path(__file__).with_name("messages.txt")


def messages() -> str:
    """Every situation; conditions as in the first of its kind, where all is well, are left out."""
    ordinary: dict[str, set[Finding]] = {}
    lines = []
    for title, findings in scenarios.every():
        lines.append(f"# {title}")
        usual = ordinary.get(title.split(":")[0], set())
        shown = [one for one in findings if one not in usual]
        ordinary.setdefault(title.split(":")[0], set(findings))
        lines += [f"{one.type} {one.status} {one.reason}\n    {one.message}" for one in shown]
        lines.append("")
    return "\n".join(lines)


def test_every_message_is_as_it_was_read_by_a_person() -> None:
    if os.environ.get("CALLFLEET_REFRESH_GOLDEN"):
        GOLDEN.write_text(messages())
    assert GOLDEN.is_file(), f"no {GOLDEN}: run with CALLFLEET_REFRESH_GOLDEN=1 and read it"
    assert messages() == GOLDEN.read_text(), (
        f"{GOLDEN.name} differs: if it should, run with CALLFLEET_REFRESH_GOLDEN=1"
    )


def test_every_documented_reason_occurs() -> None:
    met = {(one.type, one.reason) for _, findings in scenarios.every() for one in findings}

    assert met == {(one.type, one.reason) for one in REASONS}


def test_reasons_are_documented_once_and_a_warning_says_what_to_do() -> None:
    keys = [(one.type, one.reason) for one in REASONS]

    assert len(keys) == len(set(keys))
    for one in REASONS:
        assert re.fullmatch(r"[A-Z][A-Za-z]+", one.reason)
        assert one.meaning.endswith(".")
        assert one.remedy.endswith(".") or not (one.remedy or one.warning)


def test_the_holding_message_says_what_why_since_when_and_what_to_do() -> None:
    findings = dict(scenarios.every())["CallCluster: Prometheus does not answer, 4 of 6 pods do"]
    scaling = next(one for one in findings if one.type is ConditionType.SCALING_ACTIVE)

    assert scaling.message == (
        "Holding at 6: Prometheus has not answered since 2026-01-01T11:55:50Z (connection "
        "refused) and 2 of 6 pods do not answer (demo-engine-1, demo-engine-4). No pod will be "
        "removed; pods are added if those that answer ask for it. Check the operator's "
        "--prometheus-url and that Prometheus runs."
    )


@any_.modest
@given(any_.clusters(), any_.observations, any_.memories)
def test_any_cluster_has_every_condition_with_a_documented_reason(
    spec: CallClusterSpec, seen: Observation, memory: Memory
) -> None:
    decision, _ = engines.plan(spec, seen, memory)
    facts = replace(scenarios.WELL, rollout=rollout(spec, seen))
    findings = engine_status.findings(Case.of(spec, seen, decision, facts))

    check(findings)


@any_.modest
@given(any_.observations, any_.memories)
def test_any_pool_has_every_condition_with_a_documented_reason(
    seen: Observation, memory: Memory
) -> None:
    spec = pool()
    decision, _ = relays.plan(spec, seen, memory)
    facts = replace(scenarios.WELL, rollout=rollout(spec, seen))
    findings = relay_status.findings(Case.of(spec, seen, decision, facts))

    check(findings)


def check(findings: tuple[Finding, ...]) -> None:
    types = [one.type for one in findings]
    order = list(ConditionType)
    assert types == sorted(types, key=order.index)
    for one in findings:
        assert documented(one.type, one.reason).status == one.status
        assert one.message.endswith(".")
        assert len(one.message) < 4000


@pytest.mark.parametrize(("ready_for", "reason"), [(20, "PrometheusAnswers"), (90, "PartialData")])
def test_a_pod_that_has_just_become_ready_is_not_yet_missed(ready_for: float, reason: str) -> None:
    newcomer = pod(2, load=unknown(), age=ready_for + 10, ready_for=ready_for)

    findings = engine_status.findings(scenarios.cluster_case(observed(*loaded(10, 10), newcomer)))

    assert reason_of(findings, ConditionType.METRICS_AVAILABLE) == reason


def test_ready_does_not_flip_for_a_metrics_gap_or_a_scale_out() -> None:
    for name in ("nothing answers", "faster than scaleOut", "two pods are not scraped"):
        findings = dict(scenarios.every())[f"CallCluster: {name}"]
        assert reason_of(findings, ConditionType.READY) == "MinimumReplicasAvailable"


def test_messages_do_not_change_as_time_goes_by() -> None:
    pods = [pod(ordinal, load=unknown()) for ordinal in range(3)]
    now = observed(*pods, metrics=AWAY)
    later = observed(*pods, metrics=AWAY, now=NOW + seconds(15))

    assert engine_status.findings(scenarios.cluster_case(now)) == engine_status.findings(
        scenarios.cluster_case(later)
    )


def reason_of(findings: tuple[Finding, ...], type_: ConditionType) -> str:
    return next(one.reason for one in findings if one.type is type_)
