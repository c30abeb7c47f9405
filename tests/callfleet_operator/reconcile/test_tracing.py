"""What a trace shows of a round, from an operator that runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.callfleet_operator.gateway.collector import Received, collector
from tests.callfleet_operator.gateway.prometheus_server import Server
from tests.callfleet_operator.reconcile.operators import arguments, operator
from tests.callfleet_operator.reconcile.specs import make_pool
from tests.callfleet_operator.reconcile.world import World

pytestmark = [pytest.mark.api, pytest.mark.peer]


async def test_a_round_is_a_trace(
    here: World,
    operator_kubeconfig: Path,
    prometheus_server: Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def decided(spans: list[Received]) -> list[Received]:
        return [s for s in spans if s.name == "reconcile" and "callfleet.reason" in s.attributes]

    await make_pool(here)
    async with collector() as receiver:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url)
        monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "100")
        options = arguments(here, prometheus_server.url)
        async with operator(operator_kubeconfig, tmp_path / "log", *options) as process:
            await process.listening()
            await receiver.until(lambda spans: bool(decided(spans)))
            process.process.terminate()
            assert await process.exit_code() == 0
    round_ = decided(receiver.spans)[0]
    decision = {"callfleet.stage", "callfleet.reason", "callfleet.open", "callfleet.open_before"}
    assert round_.attributes.keys() >= decision
    of_object = {
        "callfleet.kind": "TurnPool",
        "callfleet.namespace": here.namespace,
        "callfleet.name": "relays",
    }
    assert of_object.items() <= round_.attributes.items()
    children = [span for span in receiver.spans if span.parent == round_.id]
    assert [span.name for span in children] == ["apply", "observe", "plan", "apply", "report"]
    (plan,) = [span for span in children if span.name == "plan"]
    assert plan.attributes.keys() == decision
