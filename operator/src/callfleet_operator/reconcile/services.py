"""What every round works with."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from callfleet_operator.gateway.kube import Kube
from callfleet_operator.gateway.pod_admin import PodAdmin
from callfleet_operator.metrics import OperatorMetrics
from callfleet_operator.plan.decision import Memory
from callfleet_operator.reconcile.history_source import HistorySource
from callfleet_operator.reconcile.keys import Key
from callfleet_operator.reconcile.metrics_source import MetricsSource
from callfleet_operator.reconcile.nodes import NodeDirectory
from callfleet_operator.reconcile.pace import Pace, Settled
from callfleet_operator.reconcile.pod_directory import PodDirectory
from callfleet_operator.reconcile.pod_monitors import PodMonitorKind
from callfleet_operator.reconcile.pool_users import CompleteUsers
from callfleet_operator.reconcile.resource_directory import Resource, ResourceDirectory
from callfleet_operator.reconcile.revision_lists import RevisionLists
from callfleet_operator.reconcile.shared_objects import SharedObjects
from callfleet_operator.render.fleet import Component, Installation
from callfleet_operator.status.history import Recorded
from callfleet_operator.tracing import Tracer


@dataclass(slots=True)
class Told:
    """What pods have taken."""

    content: object
    is_first: bool
    """Nothing else was told since the start: an earlier operator may have told the same."""
    pods: dict[str, tuple[datetime | None, float]] = field(default_factory=dict)
    """By uid when the pod got ready, which it does anew when its process has forgotten, and when
    it was told, by the clock of `Pace`."""


@dataclass(slots=True)
class FleetMemory:
    """What one round leaves to the next. Lost with the process, on purpose."""

    plan: Memory = field(default_factory=Memory)
    trouble_since: datetime | None = None
    """When Prometheus first had nothing of this fleet."""
    status_written: datetime | None = None
    would_scale_to: int | None = None
    """With mode DryRun the number that was told last."""
    unwritten: tuple[Recorded, ...] = ()
    """Decisions that are not in their ConfigMap yet; as many as it holds at most."""
    last_number: int = 0
    """Number of the decision that was kept last."""
    troubles: dict[tuple[str, str], str] = field(default_factory=dict)
    """By pod uid and subject what was last wrong there, so that it is logged once. Without a uid
    it is wrong with the object."""

    settled: Settled | None = None
    """How the objects besides the pods stand, while nothing is known to be wrong with them."""
    told: dict[str, Told] = field(default_factory=dict)
    """What the pods were told last, by its name."""
    superseded: dict[str, str] = field(default_factory=dict)
    """By pod uid the resource version that a write of ours has replaced."""

    def is_news(self, pod_uid: str, subject: str, trouble: str) -> bool:
        """Whether a pod's trouble is another one than last time; empty: there is none."""
        before = self.troubles.pop((pod_uid, subject), "")
        if trouble:
            self.troubles[pod_uid, subject] = trouble
        return bool(trouble) and trouble != before

    def keep_only(self, pod_uids: frozenset[str]) -> None:
        """Forget pods that are no more."""
        gone = [key for key in self.troubles if key[0] and key[0] not in pod_uids]
        for key in gone:
            del self.troubles[key]
        for told in self.told.values():
            for uid in told.pods.keys() - pod_uids:
                del told.pods[uid]
        self.superseded = {
            uid: version for uid, version in self.superseded.items() if uid in pod_uids
        }


@dataclass(slots=True)
class Services:
    """The gateways and settings of one operator process."""

    kube: Kube
    metrics_source: MetricsSource
    history_source: HistorySource
    admin: PodAdmin
    admin_keys: str
    """JWK Set with the operator's public key, as pods get it."""
    secrets: SharedObjects
    config_maps: SharedObjects
    namespace_objects: SharedObjects
    nodes: NodeDirectory
    pods: Mapping[Component, PodDirectory]
    resources: ResourceDirectory
    pool_users: CompleteUsers
    revisions: RevisionLists
    pod_monitors: PodMonitorKind
    installation: Installation
    metrics: OperatorMetrics
    tracer: Tracer
    namespaces: tuple[str, ...]
    """Namespaces that are served; empty: all."""
    tick: float
    """Seconds until an object is looked at again."""
    instance: str
    """Name of this operator, for events."""
    now: Callable[[], datetime]
    new_id: Callable[[], str]
    randomness: Callable[[int], bytes]
    comparisons: Pace
    """Of objects with what they should be, while nothing says that they differ."""
    first_tellings: Pace
    """Of pods that an earlier operator may have told the same."""
    tellings_again: Pace
    """Of pods that this operator has told the same."""
    tell_again: float
    """Seconds after which a pod is told again what it was told already."""
    started: datetime
    media_ports: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held while a pod is given a port of the nodes: one choice at a time."""
    memories: dict[Key, tuple[str, FleetMemory]] = field(default_factory=dict)
    """With the uid of the object they belong to: its successor starts without."""

    async def resource(self, key: Key) -> Resource | None:
        """A custom resource as events have told it, else as the API server has it; None: there is
        none. Raises what `Kube.get` raises, and ValidationError."""
        known = self.resources.of(key)
        if known is not None:
            return known
        body = await self.kube.get(key.kind.resource, key.namespace, key.name)
        return None if body is None else self.resources.answered(key, body)

    def memory(self, key: Key, uid: str) -> FleetMemory:
        """The memory of one object, empty at first."""
        known = self.memories.get(key)
        if known is None or known[0] != uid:
            known = self.memories[key] = uid, FleetMemory()
        return known[1]

    def forget(self, key: Key) -> None:
        """An object does not exist any more."""
        self.memories.pop(key, None)
        self.resources.gone(key)
        self.pool_users.known.gone(key)
        self.metrics.gone(key)
