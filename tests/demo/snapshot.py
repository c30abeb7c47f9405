"""What the demo sees of the cluster at one moment, as `kubectl get -o json` shows it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

Json = dict[str, Any]


@dataclass(frozen=True)
class Pod:
    """One engine or relay pod."""

    name: str
    uid: str
    admission: str
    ready: bool
    terminating: bool
    node: str = ""
    """Empty: no node has been found for it yet."""
    revision: str = ""

    @property
    def serves(self) -> bool:
        """It takes new calls."""
        return self.ready and self.admission == "Open" and not self.terminating


@dataclass(frozen=True)
class Fleet:
    """One CallCluster or TurnPool with its pods."""

    desired: int
    open: int
    draining: int
    figures: Json
    """utilizationPercent and participants, or failurePercent, saturationPercent, allocations."""
    conditions: dict[str, tuple[str, str, str]]
    """Status, reason and message by type."""
    decision: Json
    pods: tuple[Pod, ...]

    def condition(self, kind: str) -> str:
        """Status of a condition; Unknown if it is not there."""
        return self.conditions.get(kind, ("Unknown", "", ""))[0]

    @property
    def ready_and_open(self) -> int:
        """Pods that take new calls, by their own state rather than by the status."""
        return sum(pod.serves for pod in self.pods)

    def pod(self, uid: str) -> Pod | None:
        """The pod of this uid, as long as it is there."""
        return next((pod for pod in self.pods if pod.uid == uid), None)


@dataclass(frozen=True)
class Snapshot:
    """Both fleets."""

    engines: Fleet
    relays: Fleet

    def as_json(self) -> Json:
        """For the timeline."""
        return asdict(self)


FIGURES = (
    "participants",
    "utilizationPercent",
    "allocations",
    "saturationPercent",
    "failurePercent",
    "attempts",
)


def snapshot(items: list[Json], cluster: str, pool: str) -> Snapshot:
    """Read the objects of `kubectl get callclusters,turnpools,pods -o json`.

    Raises:
        ValueError: one of the two custom resources is not among them.
    """
    return Snapshot(
        _fleet(items, "CallCluster", cluster, "callfleet.dev/cluster"),
        _fleet(items, "TurnPool", pool, "callfleet.dev/pool"),
    )


def _fleet(items: list[Json], kind: str, name: str, label: str) -> Fleet:
    found = [i for i in items if i["kind"] == kind and i["metadata"]["name"] == name]
    if not found:
        raise ValueError(f"no {kind} {name}: was examples/demo.yaml applied?")
    status: Json = found[0].get("status", {})
    replicas = status.get("replicas", {})
    return Fleet(
        desired=replicas.get("desired", 0),
        open=replicas.get("open", 0),
        draining=replicas.get("draining", 0),
        figures={key: status[key] for key in FIGURES if key in status},
        conditions={
            c["type"]: (c["status"], c["reason"], c["message"])
            for c in status.get("conditions", [])
        },
        decision=status.get("lastDecision", {}),
        pods=tuple(
            _pod(item)
            for item in items
            if item["kind"] == "Pod" and item["metadata"].get("labels", {}).get(label) == name
        ),
    )


def _pod(item: Json) -> Pod:
    metadata = item["metadata"]
    conditions = item.get("status", {}).get("conditions", [])
    return Pod(
        name=metadata["name"],
        uid=metadata["uid"],
        admission=metadata["labels"].get("callfleet.dev/admission", "Open"),
        ready=any(c["type"] == "Ready" and c["status"] == "True" for c in conditions),
        terminating="deletionTimestamp" in metadata,
        node=item.get("spec", {}).get("nodeName", ""),
        revision=metadata["labels"].get("callfleet.dev/revision", ""),
    )
