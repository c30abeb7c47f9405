"""Fleets to draw."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from callfleet_operator.cli.views.fleet import ConditionView, FleetView, PodView
from callfleet_operator.plan import engines
from callfleet_operator.plan.decision import Memory
from callfleet_operator.status.history import Recorded, recorded
from tests.callfleet_operator.plan.samples import NOW, cluster, loaded, observed


def ago(**span: float) -> datetime:
    return NOW - timedelta(**span)


def decision(number: int, used: tuple[float, ...], *, dry_run: bool = False) -> Recorded:
    made, _ = engines.plan(cluster(), observed(*loaded(*used)), Memory())
    return recorded(
        made,
        number=number,
        at=ago(minutes=7),
        before=made.present_open,
        after=made.would_scale_to,
        dry_run=dry_run,
    )


def pod(ordinal: int, state: str, used: int | None, **more: object) -> PodView:
    made = PodView(
        name=f"calls-engine-{ordinal}",
        state=state,
        used=used,
        calls=None if used is None else used // 3,
        percent=None if used is None else float(used),
        node=f"node-{ordinal % 2}",
        created=ago(hours=5, minutes=ordinal),
        detail="",
    )
    return replace(made, **more)  # type: ignore[arg-type]  # fields of it


ENGINES = FleetView(
    kind="CallCluster",
    namespace="media",
    name="calls",
    mode="Active",
    note="",
    hold_until="",
    desired=3,
    open=3,
    draining=1,
    minimum=2,
    maximum=10,
    would_scale_to=None,
    used=190,
    percent=55,
    failure_percent=None,
    attempts=None,
    capacity=100,
    pods=(
        pod(0, "Open", 78),
        pod(1, "Open", 88),
        pod(2, "Open", 0),
        pod(
            3,
            "Draining",
            4,
            calls=1,
            detail="Surplus",
            draining_since=ago(minutes=12),
        ),
        pod(4, "Starting", None, node=""),
    ),
    conditions=(),
    decisions=(decision(17, (100.0, 95.0)), decision(16, (90.0, 40.0))),
    unknown=(),
)
TROUBLED = replace(
    ENGINES,
    mode="ScaleOutOnly",
    hold_until="2026-01-01T18:00:00Z",
    note="held by alice at 2026-01-01T11:00:00Z: launch at nine",
    used=None,
    percent=None,
    pods=(
        pod(0, "Open", None),
        pod(1, "Failing", None, detail="ImagePullBackOff: Back-off pulling image engine:9"),
        pod(
            2,
            "Draining",
            None,
            detail="asked for by bob at 2026-01-01T11:50:00Z: noisy node",
            draining_since=ago(minutes=9),
        ),
        pod(3, "Sealed", 0),
    ),
    conditions=(
        ConditionView(
            "MetricsAvailable",
            "False",
            "PrometheusUnreachable",
            "Prometheus has not answered since 2026-01-01T11:56:00Z (connection refused). Check "
            "the operator's --prometheus-url and that Prometheus runs.",
            ago(minutes=4),
            warning=True,
        ),
        ConditionView(
            "ScalingActive",
            "False",
            "HeldByAnnotation",
            "Held at 3 until 2026-01-01T18:00:00Z; without it 4. Remove the annotation to scale "
            "again.",
            ago(hours=1),
            warning=False,
        ),
    ),
    decisions=(),
    unknown=("What single pods carry is unknown: you may not get pods/proxy in this namespace.",),
)
RELAYS = replace(
    ENGINES,
    kind="TurnPool",
    name="relays",
    mode="DryRun",
    would_scale_to=4,
    used=240,
    percent=5,
    failure_percent=12,
    attempts=140,
    capacity=2000,
    draining=0,
    pods=(pod(0, "Open", 240, name="relays-relay-0", percent=12.0, calls=None),),
    decisions=(decision(3, (90.0, 90.0), dry_run=True),),
)
NEW = replace(ENGINES, desired=None, open=None, draining=None, pods=(), decisions=())
