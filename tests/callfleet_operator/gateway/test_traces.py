"""Traces: when, where to, and what is said when that cannot be."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from callfleet_operator.gateway.traces import TracesError, traces
from callfleet_operator.tracing import NoTracer, Tracer
from tests.callfleet_operator.gateway.collector import collector

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("OTEL_")]:
        monkeypatch.delenv(name)


def _round(tracer: Tracer) -> None:
    with tracer.span("reconcile", kind="TurnPool", name="r"):
        with tracer.span("plan") as plan:
            plan.set(stage="Utilization", open=3)
        raise LookupError("gone")


async def test_spans_arrive_with_their_parents(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment=test")
    async with collector() as receiver:
        monkeypatch.setenv(ENDPOINT, receiver.url)
        async with traces("pod-a") as tracer:
            with pytest.raises(LookupError):
                _round(tracer)
    plan, whole = sorted(receiver.spans, key=lambda span: span.name)
    assert (plan.name, whole.name) == ("plan", "reconcile")
    assert (whole.parent, plan.parent) == (b"", whole.id)
    assert whole.attributes == {"callfleet.kind": "TurnPool", "callfleet.name": "r"}
    assert plan.attributes == {"callfleet.stage": "Utilization", "callfleet.open": 3}
    assert (whole.failed, plan.failed) == (True, False)
    expected = {
        "service.name": "callfleet-operator",
        "service.instance.id": "pod-a",
        "deployment.environment": "test",
    }
    assert expected.items() <= receiver.resource.items()


async def test_the_environment_names_the_service_and_the_address_of_traces(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OTEL_SERVICE_NAME", "ours")
    async with collector() as receiver:
        monkeypatch.setenv(ENDPOINT, "http://127.0.0.1:1")
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", f"{receiver.url}/v1/traces")
        async with traces("pod-a") as tracer:
            with tracer.span("reconcile"):
                pass
    assert [span.name for span in receiver.spans] == ["reconcile"]
    assert receiver.resource["service.name"] == "ours"


@pytest.mark.parametrize(
    "switch", [{}, {ENDPOINT: ""}, {ENDPOINT: "x", "OTEL_SDK_DISABLED": "true"}]
)
async def test_without_an_endpoint_nothing_is_traced(
    switch: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in switch.items():
        monkeypatch.setenv(name, value)
    async with traces("pod-a") as tracer:
        assert isinstance(tracer, NoTracer)
        with tracer.span("reconcile", kind="TurnPool") as span:
            span.set(stage="Mode")


@pytest.mark.parametrize(
    ("variables", "remedy"),
    [
        ({ENDPOINT: "collector:4318"}, "such as http://collector.tracing:4318"),
        (
            {ENDPOINT: "http://c:4317", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
            "OTEL_EXPORTER_OTLP_PROTOCOL is 'grpc': traces are sent as http/protobuf only",
        ),
        (
            {ENDPOINT: "http://c:4318", "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT": "few"},
            "another variable OTEL_.* OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT .*few",
        ),
    ],
)
async def test_what_cannot_be_is_said(
    variables: dict[str, str], remedy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(TracesError, match=remedy):
        async with traces("pod-a"):
            pytest.fail("it was taken")


def test_the_command_says_what_to_install() -> None:
    without = (
        "import sys; sys.modules['opentelemetry'] = None; "
        "from callfleet_operator.__main__ import main; main()"
    )
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            without,
            "run",
            "--prometheus-url=http://127.0.0.1:1",
            "--engine-image=e:1",
            "--relay-image=r:1",
            "--operator-namespace=calls",
            "--metrics=127.0.0.1:0",
        ],
        env={**os.environ, ENDPOINT: "http://127.0.0.1:4318"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 1
    assert "pip install 'callfleet[operator,otel]'" in done.stderr
    assert "Traceback" not in done.stderr
