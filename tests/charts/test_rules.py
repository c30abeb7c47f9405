"""The alerts: what they watch, what they say, and when they fire and resolve."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from callfleet_operator.status import alerts
from callfleet_operator.status.table import REASONS
from tests.charts.rule_cases import CASES, CONDITIONS, DAYS, MEDIA, OPERATOR, promtool_test
from tests.charts.rules import CHART, FILES, all_rules, promtool
from tests.docs.test_links import CHECKOUT, anchors

ALERTS = [rule for rule in all_rules() if "alert" in rule]


def test_the_alerts_of_conditions_are_those_of_the_status() -> None:
    made = (CHART / "files/rules/conditions.yaml").read_text("utf-8")
    assert made == alerts.page(), "run `make generate`"


def test_there_is_an_alert_for_each_reason_that_asks_for_somebody_and_no_other() -> None:
    asking = {(one.type, one.reason) for one in REASONS if one.warning}
    assert set(alerts.ALERTS) == asking


def test_names_are_unique() -> None:
    names = [rule["alert"] for rule in ALERTS]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])
def test_an_alert_says_what_to_do(rule: dict[str, dict[str, str]]) -> None:
    assert set(rule["annotations"]) == {"summary", "description", "runbook"}
    assert rule["labels"]["severity"] in {"critical", "warning", "info"}
    page, _, anchor = rule["annotations"]["runbook"].partition("#")
    assert anchor in anchors(CHECKOUT / page)


@pytest.mark.peer
def test_promtool_takes_the_files() -> None:
    done = promtool("check", "rules", *map(str, FILES))
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_has_a_case() -> None:
    assert sorted(case.alert for case in CASES) == sorted(rule["alert"] for rule in ALERTS)


def judged(directory: Path, every: str, tests: list[dict[str, Any]]) -> None:
    file = directory / "rules_test.yaml"
    content = {
        "rule_files": list(map(str, FILES)),
        "evaluation_interval": every,
        "tests": tests,
    }
    file.write_text(yaml.safe_dump(content))
    done = promtool("test", "rules", str(file))
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.peer
def test_alerts_fire_and_resolve(tmp_path: Path) -> None:
    apart = [promtool_test([case]) for case in (*OPERATOR, *MEDIA)]
    judged(tmp_path, "1m", [promtool_test(CONDITIONS), *apart])


@pytest.mark.peer
def test_alerts_of_days_fire_and_resolve(tmp_path: Path) -> None:
    """Their group has an interval of its own; the others are looked at seldom meanwhile."""
    judged(tmp_path, "1h", [promtool_test([case]) for case in DAYS])


@pytest.mark.peer
def test_a_message_is_filled_in(tmp_path: Path) -> None:
    problem = (
        'callfleet_operator_problem{kind="CallCluster",namespace="media",name="calls",'
        'condition="HeadroomExhausted",reason="NoOpenPod"}'
    )
    told = {
        "exp_labels": {
            "severity": "critical",
            "kind": "CallCluster",
            "namespace": "media",
            "name": "calls",
            "condition": "HeadroomExhausted",
            "reason": "NoOpenPod",
        },
        "exp_annotations": {
            "summary": "CallCluster media/calls: HeadroomExhausted NoOpenPod",
            "description": "No open pod is ready: new calls are refused. See Ready. The whole "
            "message: kubectl -n media describe callcluster calls",
            "runbook": "docs/troubleshooting.md#new-calls-are-refused",
        },
    }
    test = {
        "interval": "1m",
        "input_series": [{"series": problem, "values": "1x10"}],
        "alert_rule_test": [
            {"eval_time": "5m", "alertname": "CallfleetNoOpenPod", "exp_alerts": [told]}
        ],
    }
    judged(tmp_path, "1m", [test])
