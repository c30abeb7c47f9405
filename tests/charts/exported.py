"""What operator, engine and relay really export."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from callfleet_operator.metrics import OperatorMetrics
from callfleet_operator.plan.decision import Proposal, StageRecord
from callfleet_operator.plan.reasons import Reason, Stage
from callfleet_operator.reconcile.keys import Key, Kind

NAMESPACE = "media"
TARGETS: Mapping[str, Mapping[str, str]] = {
    "operator": {"job": "operator", "namespace": "callfleet-system", "pod": "operator-0"},
    "engine": {
        "job": "pods",
        "namespace": NAMESPACE,
        "pod": "calls-engine-0",
        "pod_uid": "uid-0",
        "callfleet_cluster": "calls",
    },
    "relay": {
        "job": "pods",
        "namespace": NAMESPACE,
        "pod": "relays-relay-0",
        "pod_uid": "uid-1",
        "callfleet_pool": "relays",
    },
}
"""Target labels of docs/reference/contracts.md, "Metrics"."""


@dataclass(frozen=True, slots=True)
class Exported:
    """The page of each part, from its own registry."""

    pages: Mapping[str, str]

    def labels(self) -> dict[str, set[str]]:
        """Labels by series name, those of the target and what Prometheus makes of conflicts among
        them."""
        found: dict[str, set[str]] = {}
        for part, page in self.pages.items():
            for family in text_string_to_metric_families(page):
                for sample in family.samples:
                    of = found.setdefault(sample.name, {"instance", "exported_namespace"})
                    of |= sample.labels.keys() | TARGETS[part].keys()
        return found

    def scraped(self) -> dict[str, str]:
        """The pages with target labels, as Prometheus stores them with honor_labels false."""
        return {part: _labelled(page, TARGETS[part]) for part, page in self.pages.items()}

    def scraped_by_address(self) -> dict[str, str]:
        """As before, but of the operator nothing is known except its address."""
        return {**self.scraped(), "operator": _labelled(self.pages["operator"], {"job": "o"})}


def operator_page() -> str:
    """Of an operator that has seen one of each."""
    metrics = OperatorMetrics(clock=lambda: 50.0, wall=lambda: 1_000_000.0)
    metrics.leader(lambda: True)
    metrics.request("get", "pods", 200)
    metrics.request("get", "pods", 503)
    record = StageRecord(
        Stage.UTILIZATION, Proposal.exactly(2), Proposal.exactly(3), Reason.UTILIZATION, "why"
    )
    for key in (
        Key(Kind.CALL_CLUSTER, NAMESPACE, "calls"),
        Key(Kind.TURN_POOL, NAMESPACE, "relays"),
    ):
        metrics.finished(key, 0.2)
        metrics.failed(key, "api-unavailable")
        metrics.desired(key, 1)
        metrics.target(key, 70)
        metrics.decided(key, record)
        metrics.problems(key, [("Ready", "MinimumReplicasUnavailable")])
    return generate_latest(metrics.registry).decode()


def _labelled(page: str, target: Mapping[str, str]) -> str:
    lines = []
    for line in page.splitlines():
        found = re.fullmatch(r"(\w+)(?:\{(.*)\})? (\S+)", line)
        if found is None:
            continue  # a comment: types do not matter here
        name, own, value = found.groups()
        if own and "namespace" in target:
            own = re.sub(r"(^|,)namespace=", r"\1exported_namespace=", own)
        labels = ",".join([*([own] if own else []), *(f'{n}="{v}"' for n, v in target.items())])
        lines.append(f"{name}{{{labels}}} {value}\n")
    return "".join(lines)
