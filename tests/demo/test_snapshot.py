from __future__ import annotations

from typing import Any

import pytest

from tests.demo.snapshot import snapshot


def resource(kind: str, name: str, **status: Any) -> dict[str, Any]:  # noqa: ANN401
    return {"kind": kind, "metadata": {"name": name}, "status": status}


def pod(name: str, *, ready: str = "True", **metadata: Any) -> dict[str, Any]:  # noqa: ANN401
    labels = {"callfleet.dev/cluster": "demo", **metadata.pop("labels", {})}
    return {
        "kind": "Pod",
        "metadata": {"name": name, "uid": f"uid-{name}", "labels": labels, **metadata},
        "status": {"conditions": [{"type": "Ready", "status": ready}]},
    }


def test_only_ready_open_pods_that_stay_count() -> None:
    seen = snapshot(
        [
            resource("CallCluster", "demo", replicas={"desired": 2}),
            resource("TurnPool", "relays"),
            pod("demo-engine-0"),
            pod("demo-engine-1", ready="False"),
            pod("demo-engine-2", labels={"callfleet.dev/admission": "Cordoned"}),
            pod("demo-engine-3", deletionTimestamp="2026-01-01T00:00:00Z"),
            pod("other-engine-0", labels={"callfleet.dev/cluster": "other"}),
        ],
        "demo",
        "relays",
    )

    assert len(seen.engines.pods) == 4
    assert seen.engines.ready_and_open == 1
    assert seen.engines.desired == 2
    assert seen.relays.condition("Ready") == "Unknown"


def test_a_missing_resource_is_named() -> None:
    with pytest.raises(ValueError, match="TurnPool relays"):
        snapshot([resource("CallCluster", "demo")], "demo", "relays")
