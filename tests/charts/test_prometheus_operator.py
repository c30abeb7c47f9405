"""That Prometheus Operator's own kinds take what the chart makes of them, on a real API server."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.charts.test_chart import URL, rendered, the
from tests.cluster.api_server import ApiServer
from tests.cluster.errors import HarnessError
from tests.cluster.go_modules import pod_monitor_crd, prometheus_rule_crd

pytestmark = pytest.mark.api

GENEROUS_SECONDS = 60
KINDS = ("podmonitors", "prometheusrules")
SETTINGS = (
    URL,
    "--set=prometheusRule.enabled=true",
    "--set=prometheusRule.labels.release=p",
    "--set=prometheusRule.runbookBaseUrl=https://wiki.example.org/docs",
    "--set=podMonitor.operator=true",
    "--set=podMonitor.labels.release=p",
)


@pytest.fixture(scope="module")
def with_its_kinds(api_server: ApiServer) -> Iterator[ApiServer]:
    """The API server with the two kinds, which others expect not to be there."""
    files = [f"--filename={crd()}" for crd in (pod_monitor_crd, prometheus_rule_crd)]
    api_server.kubectl("apply", "--server-side", *files)
    api_server.kubectl("wait", "--for=condition=Established", "--timeout=60s", *files)
    yield api_server
    api_server.kubectl("delete", "--wait=true", *files)
    deadline = time.monotonic() + GENEROUS_SECONDS
    while served := _served(api_server):
        assert time.monotonic() < deadline, f"still served: {served}"


def _served(api: ApiServer) -> list[str]:
    try:
        answer = api.get("/apis/monitoring.coreos.com/v1")
    except HarnessError:  # the last kind of a group takes the group with it
        return []
    return [one["name"] for one in json.loads(answer)["resources"] if one["name"] in KINDS]


def created(api: ApiServer, document: dict[str, Any]) -> dict[str, Any]:
    """The object as the API server would keep it."""
    document["metadata"]["namespace"] = "default"
    answer = api.kubectl(
        "create", "--dry-run=server", "--validate=strict", "--output=json", "--filename=-",
        stdin=json.dumps(document),
    )  # fmt: skip
    kept: dict[str, Any] = json.loads(answer)
    return kept


@pytest.mark.parametrize("kind", ["PrometheusRule", "PodMonitor"])
def test_it_is_taken_as_it_is(with_its_kinds: ApiServer, kind: str) -> None:
    document = the(kind, rendered(*SETTINGS))
    spec = json.loads(json.dumps(document["spec"]))

    assert created(with_its_kinds, document)["spec"] == spec


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("PrometheusRule", {"groups": [{"name": "calls", "rules": [{"alert": "A"}]}]}),
        ("PodMonitor", {"selector": {}, "podMetricsEndpoints": [{"interval": "15 s"}]}),
        ("PodMonitor", {"selector": {}, "podMetricsEndpoints": [{"honourLabels": False}]}),
    ],
)
def test_what_is_wrong_would_be_refused(
    with_its_kinds: ApiServer, kind: str, change: dict[str, Any]
) -> None:
    document = the(kind, rendered(*SETTINGS)) | {"spec": change}

    with pytest.raises(HarnessError):
        created(with_its_kinds, document)
