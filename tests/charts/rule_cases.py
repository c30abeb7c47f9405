"""When each alert has to fire, and when not: series a minute apart, and times to look at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from callfleet_operator.status.alerts import ALERTS, alert_name
from callfleet_operator.status.table import REASONS

Labels = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Case:
    """One alert over time. Times are in minutes from the first sample."""

    alert: str
    severity: str
    series: Mapping[str, str]
    """In promtool's notation, by series."""
    quiet: int
    """Before it fires: the state holds, but not yet for long enough, or does not hold yet."""
    fires: int
    resolved: int
    labels: Labels
    """Those it fires with, besides its name and severity."""
    interval_minutes: int = 1

    def looks(self) -> list[dict[str, Any]]:
        """What `promtool test rules` has to see at the three times."""
        labels = {
            "__name__": "ALERTS",
            "alertname": self.alert,
            "alertstate": "firing",
            "severity": self.severity,
            **self.labels,
        }
        shown = ",".join(f'{name}="{value}"' for name, value in labels.items() if name[0] != "_")
        firing = [{"labels": f"ALERTS{{{shown}}}", "value": 1}]
        expression = f'ALERTS{{alertname="{self.alert}",alertstate="firing"}}'
        return [
            {"expr": expression, "eval_time": f"{minute}m", "exp_samples": samples}
            for minute, samples in ((self.quiet, []), (self.fires, firing), (self.resolved, []))
        ]


def promtool_test(cases: Sequence[Case]) -> dict[str, Any]:
    """A test of `promtool test rules`, of cases whose series do not touch one another."""
    return {
        "name": cases[0].alert,
        "interval": f"{cases[0].interval_minutes}m",
        "input_series": [
            {"series": series, "values": values}
            for case in cases
            for series, values in case.series.items()
        ],
        "promql_expr_test": [look for case in cases for look in case.looks()],
    }


_OPERATOR: Final = 'job="operator",namespace="callfleet-system"'
_ENGINE: Final = 'namespace="media",pod="calls-engine-0",callfleet_cluster="calls"'
_RELAY: Final = 'namespace="media",pod="relays-relay-0",callfleet_pool="relays"'
_OF_OPERATOR: Final = {"job": "operator", "namespace": "callfleet-system"}
_OF_CLUSTER: Final = {"namespace": "media", "callfleet_cluster": "calls"}
_OF_POOL: Final = {"namespace": "media", "callfleet_pool": "relays"}
_OF_KIND: Final = {"job": "operator", "kind": "TurnPool"}
_O: Final = "callfleet_operator_"
_E: Final = "callfleet_engine_"
_R: Final = "callfleet_relay_"


def _conditions() -> list[Case]:
    """Scraped with and without a label `namespace` of the target, the object's is told."""
    cases = []
    for number, one in enumerate(one for one in REASONS if one.warning):
        alert = ALERTS[one.type, one.reason]
        of_target = ',namespace="callfleet-system"' if number % 2 else ""
        label = "exported_namespace" if of_target else "namespace"
        of_object = f'kind="TurnPool",{label}="media",name="relays"'
        of_condition = f'condition="{one.type}",reason="{one.reason}"'
        lasts = alert.minutes + 5
        cases.append(
            Case(
                alert_name(one),
                alert.severity,
                # Meanwhile another replica takes over.
                {
                    f'{_O}problem{{pod="a",{of_object},{of_condition}{of_target}}}': "1 1 stale",
                    f'{_O}problem{{pod="b",{of_object},{of_condition}{of_target}}}': (
                        f"_ _ _ 1x{lasts} stale"
                    ),
                },
                quiet=alert.minutes - 1,
                fires=alert.minutes + 2,
                resolved=lasts + 8,
                labels={
                    "kind": "TurnPool",
                    "namespace": "media",
                    "name": "relays",
                    "condition": one.type,
                    "reason": one.reason,
                },
            )
        )
    return cases


def _two(
    names: tuple[str, str], series: Mapping[str, str], labels: Labels, **times: tuple[int, int, int]
) -> list[Case]:
    """A warning, and a critical alert of the same measure, each with its own times."""
    return [
        Case(name, severity, series, *times[severity], labels=labels)
        for name, severity in zip(names, ("warning", "critical"), strict=True)
    ]


OPERATOR: Final = [
    Case(
        "CallfleetOperatorMissing",
        "critical",
        {f"{_O}leader{{{_OPERATOR}}}": "1 stale _x20 1x20"},
        quiet=4,
        fires=8,
        resolved=25,
        labels={},
    ),
    Case(
        "CallfleetOperatorNoLeader",
        "critical",
        {
            f'{_O}leader{{{_OPERATOR},pod="a"}}': "1x2 0x30",
            f'{_O}leader{{{_OPERATOR},pod="b"}}': "0x14 1x20",
        },
        quiet=4,
        fires=6,
        resolved=16,
        labels=_OF_OPERATOR,
    ),
    Case(
        "CallfleetOperatorTwoLeaders",
        "critical",
        {
            f'{_O}leader{{{_OPERATOR},pod="a"}}': "1x30",
            f'{_O}leader{{{_OPERATOR},pod="b"}}': "0x4 1x10 0x20",
        },
        quiet=6,
        fires=9,
        resolved=18,
        labels=_OF_OPERATOR,
    ),
    Case(
        "CallfleetOperatorReconcileOld",
        "critical",
        # In Unix seconds from 0: a round at each minute up to the third, and then from the 20th.
        {
            f'{_O}last_reconcile_timestamp_seconds{{{_OPERATOR},kind="TurnPool"}}': (
                "0+60x3 180x15 1200+60x10"
            ),
            f'{_O}desired_open{{{_OPERATOR},kind="TurnPool",name="relays"}}': "1x30",
            f'{_O}last_reconcile_timestamp_seconds{{{_OPERATOR},kind="CallCluster"}}': "0x30",
        },
        quiet=8,
        fires=11,
        resolved=22,
        labels=_OF_KIND,
    ),
    Case(
        "CallfleetOperatorBug",
        "warning",
        {f'{_O}reconcile_errors_total{{{_OPERATOR},kind="TurnPool",cause="bug"}}': "0x5 1x40"},
        quiet=4,
        fires=8,
        resolved=30,
        labels=_OF_KIND,
    ),
    Case(
        "CallfleetOperatorReconcileErrors",
        "warning",
        {
            f'{_O}reconcile_errors_total{{{_OPERATOR},kind="TurnPool",cause="timeout"}}': (
                "0+1x30 30x30"
            ),
            f'{_O}reconcile_seconds_count{{{_OPERATOR},kind="TurnPool"}}': "0+4x60",
        },
        quiet=9,
        fires=14,
        resolved=50,
        labels=_OF_KIND,
    ),
    Case(
        "CallfleetOperatorApiErrors",
        "warning",
        {
            f'{_O}api_requests_total{{{_OPERATOR},verb="get",code="200"}}': "0+9x60",
            f'{_O}api_requests_total{{{_OPERATOR},verb="get",code="404"}}': "0+9x60",
            f'{_O}api_requests_total{{{_OPERATOR},verb="get",code="503"}}': ("0+2x30 60x30"),
        },
        quiet=9,
        fires=14,
        resolved=50,
        labels={"job": "operator"},
    ),
]

MEDIA: Final = [
    *_two(
        ("CallfleetCpuHigh", "CallfleetCpuExhausted"),
        {f'{_E}stress_ratio{{{_ENGINE},resource="cpu"}}': "0.5x4 0.8x20 0.95x20 0.6x20"},
        {"namespace": "media", "pod": "calls-engine-0"},
        warning=(18, 22, 50),
        critical=(28, 32, 50),
    ),
    *_two(
        ("CallfleetPacketLossHigh", "CallfleetPacketLossSevere"),
        {
            f'{_E}lost_packets_total{{{_ENGINE},direction="in"}}': "0x10 0+40x20 800+80x20 2400x20",
            f"{_E}received_packets_total{{{_ENGINE}}}": "0+960x80",
        },
        {**_OF_CLUSTER, "direction": "in"},
        warning=(12, 25, 68),
        critical=(29, 45, 68),
    ),
    *_two(
        ("CallfleetCallDropsHigh", "CallfleetCallDropsSevere"),
        {
            f'{_E}call_drops_total{{{_ENGINE},cause="media_lost"}}': "0x10 0+0.4x10 4+2x20 44x60",
            f"{_E}join_seconds_count{{{_ENGINE}}}": "0+2x100",
        },
        _OF_CLUSTER,
        warning=(10, 24, 90),
        critical=(20, 35, 90),
    ),
    *_two(
        ("CallfleetTurnSuccessLow", "CallfleetTurnSuccessSevere"),
        {
            f'{_R}users_total{{{_RELAY},result="served"}}': "0+9x80",
            f'{_R}users_total{{{_RELAY},result="other"}}': "0x10 0+0.7x20 14+3x20 74x40",
        },
        _OF_POOL,
        warning=(10, 25, 68),
        critical=(30, 45, 68),
    ),
    Case(
        "CallfleetIceFailures",
        "warning",
        {
            f'{_E}ice_attempts_total{{{_ENGINE},path="relayed"}}': "0+10x80",
            f'{_E}ice_failures_total{{{_ENGINE},path="relayed",cause="no_route"}}': (
                "0x10 0+1x20 20x40"
            ),
        },
        quiet=13,
        fires=28,
        resolved=50,
        labels=_OF_CLUSTER,
    ),
    *_two(
        ("CallfleetStoreSlow", "CallfleetStoreVerySlow"),
        {
            f'{_E}store_seconds_bucket{{{_ENGINE},operation="start",le="0.05"}}': (
                "0+10x20 200x40 200+10x40"
            ),
            f'{_E}store_seconds_bucket{{{_ENGINE},operation="start",le="0.1"}}': (
                "0+10x40 400x20 400+10x40"
            ),
            f'{_E}store_seconds_bucket{{{_ENGINE},operation="start",le="0.25"}}': "0+10x102",
            f'{_E}store_seconds_bucket{{{_ENGINE},operation="start",le="+Inf"}}': "0+10x102",
        },
        _OF_CLUSTER,
        warning=(20, 42, 85),
        critical=(40, 58, 85),
    ),
    Case(
        "CallfleetFileUnusable",
        "warning",
        {f'{_R}file_usable{{{_RELAY},file="secrets"}}': "1x4 0x10 1x10"},
        quiet=8,
        fires=12,
        resolved=18,
        labels={"namespace": "media", "pod": "relays-relay-0", "file": "secrets"},
    ),
    Case(
        "CallfleetCertificateExpires",
        "warning",
        # In Unix seconds from 0: 6 days from now, renewed after three hours.
        {f"{_R}certificate_expiry_timestamp_seconds{{{_RELAY}}}": "518400x180 9000000x60"},
        quiet=50,
        fires=70,
        resolved=200,
        labels={"namespace": "media", "pod": "relays-relay-0", "callfleet_pool": "relays"},
    ),
]

DAYS: Final = [
    Case(
        name,
        severity,
        # Even for three days, then a day with 2 MB, and one with 6 MB an hour more.
        {
            f"process_resident_memory_bytes{{{_ENGINE}}}": (
                "100000000x431 100000000+333333x143 148000000+1000000x143 292000000x400"
            )
        },
        quiet=60 * quiet,
        fires=60 * fires,
        resolved=60 * 200,
        labels={
            "namespace": "media",
            "pod": "calls-engine-0",
            "callfleet_cluster": "calls",
        },
        interval_minutes=10,
    )
    for name, severity, quiet, fires in (
        ("CallfleetMemoryGrows", "warning", 100, 118),
        ("CallfleetMemoryGrowsFast", "critical", 130, 143),
    )
]
"""Those of days, apart from the others: they are looked at every ten minutes only."""

CONDITIONS: Final = _conditions()
CASES: Final = [*CONDITIONS, *OPERATOR, *MEDIA, *DAYS]
