"""What the chart gives a Prometheus and a Grafana, and that it is the files' own content."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from tests.charts.dashboard import FILE as DASHBOARD
from tests.charts.rules import FILES, promtool
from tests.charts.test_chart import NAMESPACE, URL, operator_container, refusal, rendered, the

pytestmark = pytest.mark.api

ALERTS = "--set=prometheusRule.enabled=true"
ON = (ALERTS, "--set=dashboard.enabled=true", "--set=podMonitor.operator=true")


def test_nothing_that_needs_more_than_kubernetes_unless_asked_for() -> None:
    kinds = [document["kind"] for document in rendered(URL)]
    assert {"PrometheusRule", "PodMonitor", "ConfigMap"}.isdisjoint(kinds)


@pytest.mark.peer
def test_the_rule_is_the_files(tmp_path: Path) -> None:
    rule = the("PrometheusRule", rendered(URL, ALERTS, "--set=prometheusRule.labels.release=p"))
    groups = [
        group for file in FILES for group in yaml.safe_load(file.read_text("utf-8"))["groups"]
    ]
    assert rule["spec"] == {"groups": groups}
    assert rule["metadata"]["labels"]["release"] == "p"
    file = tmp_path / "rule.yaml"
    file.write_text(yaml.safe_dump(rule["spec"]))
    done = promtool("check", "rules", str(file))
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    "base", ["https://wiki.example.org/docs", "https://wiki.example.org/docs/"]
)
def test_runbooks_lead_to_your_own_copy(base: str) -> None:
    rule = the(
        "PrometheusRule", rendered(URL, ALERTS, f"--set=prometheusRule.runbookBaseUrl={base}")
    )
    for group in rule["spec"]["groups"]:
        for alert in (one for one in group["rules"] if "alert" in one):
            address = alert["annotations"]["runbook_url"]
            assert address.startswith("https://wiki.example.org/docs/troubleshooting.md#")
            assert "runbook" not in alert["annotations"]


def test_the_dashboard_is_where_the_sidecar_finds_it() -> None:
    found = the("ConfigMap", rendered(URL, *ON))
    assert found["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert found["metadata"]["namespace"] == NAMESPACE
    assert found["data"] == {"callfleet.json": DASHBOARD.read_text("utf-8").rstrip("\n")}
    elsewhere = the(
        "ConfigMap",
        rendered(
            URL,
            *ON,
            "--set=dashboard.namespace=monitoring",
            "--set=dashboard.labels.for=calls",
            "--set=dashboard.annotations.grafana_folder=Calls",
        ),
    )
    assert elsewhere["metadata"]["namespace"] == "monitoring"
    assert elsewhere["metadata"]["labels"]["for"] == "calls"
    assert elsewhere["metadata"]["annotations"] == {"grafana_folder": "Calls"}


def test_the_operator_is_scraped() -> None:
    documents = rendered(URL, *ON, "--set=podMonitor.labels.release=p")
    pods = the("Deployment", documents)["spec"]["template"]
    monitor = the("PodMonitor", documents)
    (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
    service = the("Service", documents)
    assert monitor["metadata"]["labels"]["release"] == "p"
    for selector in (monitor["spec"]["selector"]["matchLabels"], service["spec"]["selector"]):
        assert selector.items() <= pods["metadata"]["labels"].items()
    ports = [port["name"] for port in pods["spec"]["containers"][0]["ports"]]
    assert {endpoint["port"], service["spec"]["ports"][0]["targetPort"]} == set(ports)


def test_traces_are_sent_where_an_endpoint_is_named() -> None:
    assert "env" not in operator_container()
    container = operator_container(
        "--set=tracing.endpoint=http://collector.tracing:4318", "--set=tracing.percent=5"
    )
    assert {one["name"]: one["value"] for one in container["env"]} == {
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector.tracing:4318",
        "OTEL_TRACES_SAMPLER": "parentbased_traceidratio",
        "OTEL_TRACES_SAMPLER_ARG": "0.05",
    }


@pytest.mark.parametrize(
    ("setting", "named"),
    [
        ("prometheusRule.enable=true", "'enable' not allowed"),
        ("prometheusRule.runbookBaseUrl=wiki", "at '/prometheusRule/runbookBaseUrl'"),
        ("dashboard.namespace=Monitoring", "at '/dashboard/namespace'"),
        ("dashboard.labels.grafana_dashboard=null", "at '/dashboard/labels'"),
        ("tracing.endpoint=collector:4318", "at '/tracing/endpoint'"),
        ("tracing.percent=0", "at '/tracing/percent'"),
        ("tracing.percent=101", "at '/tracing/percent'"),
    ],
)
def test_a_wrong_value_is_named(setting: str, named: str) -> None:
    assert named in refusal(URL, f"--set={setting}")
