"""Every field has an effect: another value of it, and of nothing else, makes another difference to
what is made, decided, done, told or said.

What an environment variable or a file of a pod does in there is tested with the engine and the
relay.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from callfleet_operator.api.v1alpha1 import (
    CallCluster,
    CallClusterSpec,
    CallClusterStatus,
    TurnPool,
    TurnPoolSpec,
    TurnPoolStatus,
)
from callfleet_operator.api.v1alpha1.turnpool import Endpoint
from callfleet_operator.observation import Admission, CallDemand, ConnectionFailures, Outlook
from callfleet_operator.plan.decision import (
    FailureStep,
    Memory,
    Proposal,
    Recommendation,
    ScaleEvent,
)
from callfleet_operator.plan.reasons import Reason
from callfleet_operator.status.summary import cluster_status, pool_status
from tests.callfleet_operator.api.effects import (
    View,
    admitted,
    asks_pods,
    counted_from,
    decided,
    done,
    explained,
    judged,
    made,
    named,
    priced,
    said,
    told,
)
from tests.callfleet_operator.api.fields import leaves, set_leaves, with_field
from tests.callfleet_operator.plan.samples import (
    CAPACITY,
    NOW,
    OLDER,
    known,
    loaded,
    observed,
    pod,
    pool,
    seconds,
)
from tests.callfleet_operator.render.samples import call_cluster, turn_pool
from tests.callfleet_operator.status import scenarios


@dataclass(frozen=True)
class Change:
    """Two values of a field, and where it is seen that they differ."""

    path: str
    before: object
    after: object
    seen: View = made
    beside: Mapping[str, Any] = field(default_factory=dict)
    """What else is set."""

    def specs(self, base: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        """With the one value and with the other."""
        spec = {**base, **self.beside}
        for name in base.keys() & self.beside.keys():
            spec[name] = {**base[name], **self.beside[name]}
        return with_field(spec, self.path, self.before), with_field(spec, self.path, self.after)


ARM = {"key": "kubernetes.io/arch", "operator": "In", "values": ["arm64"]}
AFFINITY = {
    "nodeAffinity": {
        "requiredDuringSchedulingIgnoredDuringExecution": {
            "nodeSelectorTerms": [{"matchExpressions": [ARM]}]
        }
    }
}
SPREAD = {
    "maxSkew": 2,
    "topologyKey": "topology.kubernetes.io/zone",
    "whenUnsatisfiable": "DoNotSchedule",
}
NOBODY_REFUSED = ConnectionFailures(tried=100, refused_for_capacity=0)
CROWDED = observed(*loaded(95, 95))
EMPTY = observed(*loaded(0, 0, 0), failures=NOBODY_REFUSED)
OVERDUE = observed(
    *loaded(10),
    pod(
        1,
        load=known(5),
        admission=Admission.CORDONED,
        drain_reason=Reason.SURPLUS,
        draining_for=600,
    ),
)
OUTDATED = observed(*(pod(ordinal, load=known(60), revision=OLDER) for ordinal in range(3)))


def remembered(*pods_ago: tuple[int, float]) -> Memory:
    """So many pods were asked for so many seconds ago, oldest first."""
    asked = [Recommendation(NOW - seconds(ago), Proposal.exactly(pods)) for pods, ago in pods_ago]
    return Memory(desired_open=len(EMPTY.pods), recommendations=tuple(asked))


def scaled(change: int, ago: float, desired: int) -> Memory:
    """The number was changed by so much so many seconds ago, and no more was asked for since."""
    long_ago = Recommendation(NOW - seconds(4000), Proposal.exactly(1))
    return Memory(
        desired_open=desired,
        recommendations=(long_ago,),
        scale_events=(ScaleEvent(NOW - seconds(ago), change),),
    )


OF_BOTH = (
    Change("mode", "Active", "DryRun", decided(CROWDED)),
    Change("image", "", "registry.example.org/other:1"),
    Change("imagePullPolicy", "IfNotPresent", "Always"),
    Change("imagePullSecrets", [], [{"name": "registry"}]),
    Change("scheduling.nodeSelector", {}, {"example.org/media": "true"}),
    Change("scheduling.tolerations", [], [{"key": "example.org/media", "operator": "Exists"}]),
    Change("scheduling.affinity", {}, AFFINITY),
    Change("scheduling.topologySpreadConstraints", [], [SPREAD]),
    Change("scheduling.priorityClassName", "", "media"),
    Change("podMetadata.labels", {}, {"example.org/team": "calls"}),
    Change("podMetadata.annotations", {}, {"example.org/owner": "on-call"}),
    Change("env", [], [{"name": "TZ", "value": "UTC"}]),
    Change("resources", {}, {"limits": {"memory": "4Gi"}}),
    Change("drain.deadlineSeconds", 60, 3600, said(OVERDUE)),
    Change("drain.terminationGracePeriodSeconds", 3600, 7200),
    Change("rollout.strategy", "Drain", "OnDelete", done(OUTDATED)),
    Change("rollout.maxSurge", 1, 2, done(OUTDATED, Memory(desired_open=3))),
    Change("cost.podMonthly", "100", "200", priced),
    Change("cost.egressPerGB", "0.05", "0.09", priced),
    Change("scaling.minReplicas", 1, 4, decided(EMPTY)),
    Change("scaling.maxReplicas", 2, 5, decided(CROWDED)),
    Change("scaling.maxTotalReplicas", 20, 21, done(observed(*loaded(*[95] * 19)))),
    Change(
        "scaling.scaleOut.stabilizationWindowSeconds",
        0,
        60,
        decided(CROWDED, Memory(2, (Recommendation(NOW - seconds(30), Proposal.exactly(2)),))),
    ),
    Change("scaling.scaleOut.maxPods", 1, 2, decided(observed(*loaded(100, 100, 100, 100)))),
    Change("scaling.scaleOut.periodSeconds", 15, 60, decided(CROWDED, scaled(4, 30, 2))),
    Change(
        "scaling.scaleIn.stabilizationWindowSeconds",
        300,
        60,
        decided(EMPTY, remembered((3, 400), (3, 100), (1, 90))),
    ),
    Change("scaling.scaleIn.maxPods", 1, 2, decided(EMPTY, scaled(-1, 4000, 3))),
    Change("scaling.scaleIn.periodSeconds", 60, 15, decided(EMPTY, scaled(-1, 30, 3))),
)
"""In both kinds."""

DATABASE = {"store": {"type": "PostgreSQL", "postgresql": {"uriSecretRef": {"name": "calls-db"}}}}
DEMAND = CallDemand(
    arrivals_per_second=0.05,
    mean_duration_seconds=600,
    mean_participants=3,
    hourly_arrivals_per_second=0.05,
)
DAY = {
    "name": "day",
    "timeZone": "UTC",
    "cron": "0 11 * * *",
    "durationSeconds": 7200,
    "minReplicas": 5,
}
SCHEDULED = {"scaling": {"schedules": [DAY]}}
RISING = observed(*loaded(60, 60), outlook=Outlook(900, "day", 1, 2, 10))
DIRECT = {"exposure": {"type": "HostPort"}}
STATIC = {"exposure": {"type": "HostPort", "address": {"source": "Static"}}}
SOON = {"drain": {"deadlineSeconds": 60}}

OF_CLUSTER = (
    Change("cost.currency", "USD", "EUR", priced),
    Change("drain.onDeadline", "Wait", "Reconnect", done(OVERDUE), SOON),
    Change("capacity.participantsPerPod", 150, 200),
    Change("scaling.targetUtilizationPercent", 70, 40, decided(observed(*loaded(60, 60)))),
    Change(
        "scaling.newCallLimitPercent",
        72,
        100,
        decided(observed(*loaded(68, 68), demand=DEMAND)),
    ),
    Change(
        "scaling.maxBlockingPerMillion",
        0,
        1,
        decided(observed(*loaded(60, 60), demand=DEMAND)),
    ),
    Change("scaling.tolerancePercent", 0, 50, decided(observed(*loaded(75, 75, 75, 75)))),
    Change("scaling.schedules.name", "day", "night", explained(EMPTY), SCHEDULED),
    Change("scaling.schedules.timeZone", "UTC", "Asia/Tokyo", decided(EMPTY), SCHEDULED),
    Change("scaling.schedules.cron", "0 11 * * *", "0 14 * * *", decided(EMPTY), SCHEDULED),
    Change("scaling.schedules.durationSeconds", 7200, 600, decided(EMPTY), SCHEDULED),
    Change("scaling.schedules.minReplicas", 5, 6, decided(EMPTY), SCHEDULED),
    Change("scaling.forecast.mode", "Observe", "Floor", decided(RISING)),
    Change(
        "scaling.forecast.horizonSeconds",
        600,
        900,
        explained(RISING),
        {"scaling": {"forecast": {"mode": "Floor"}}},
    ),
    Change("metrics.staleAfterSeconds", 60, 180, judged),
    Change("metrics.fallback", "PodStatus", "Hold", asks_pods),
    Change("exposure.type", "TurnOnly", "HostPort"),
    Change("exposure.address.source", "Auto", "NodeInternalIP", made, DIRECT),
    Change("exposure.address.value", "203.0.113.1", "203.0.113.2", made, STATIC),
    Change("exposure.hostPortRange.min", 20000, 20100, made, DIRECT),
    Change("exposure.hostPortRange.max", 20999, 21999, made, DIRECT),
    Change("signalling.serviceType", "ClusterIP", "LoadBalancer"),
    Change("signalling.annotations", {}, {"example.org/pool": "public"}),
    Change("signalling.tlsSecretRef.name", "", "calls-tls"),
    Change("signalling.allowedOrigins", [], ["https://calls.example.org"]),
    Change("turn.poolRefs.name", "relays", "others", named, {"turn": {"poolRefs": [{}]}}),
    Change(
        "turn.poolRefs.namespace", "", "turn", named, {"turn": {"poolRefs": [{"name": "relays"}]}}
    ),
    Change("turn.credentialLifetimeSeconds", 43200, 3600),
    Change("store.type", "SQLite", "PostgreSQL"),
    Change("store.postgresql.uriSecretRef.name", "calls-db", "other-db", made, DATABASE),
    Change("store.postgresql.uriSecretRef.key", "uri", "dsn", made, DATABASE),
    Change("store.postgresql.maxConnectionsPerPod", 10, 20, made, DATABASE),
    Change("store.retentionDays", 30, 90),
    Change("auth.mode", "Token", "Open"),
    Change("auth.keysSecretRef.name", "join-keys", "other-keys"),
    Change("quality.presetsConfigMapRef.name", "", "frugal"),
)
"""In a CallCluster only."""

ONE_OPEN = observed(*loaded(10))
TLS = {"protocol": "TLS", "port": 5349, "certificateSecretRef": {"name": "turn-tls"}}


def refused(part: int, tried: int) -> ConnectionFailures:
    return ConnectionFailures(tried, part, since=NOW - seconds(300))


REFUSED = observed(*loaded(10), failures=refused(10, 100))

OF_POOL = (
    Change("cost.currency", "USD", "EUR", priced, {"cost": {"podMonthly": "100"}}),
    Change("drain.onDeadline", "Wait", "Reconnect", told(OVERDUE), SOON),
    Change(
        "scaling.maxFailurePercent",
        2,
        20,
        decided(REFUSED),
    ),
    Change("scaling.minAttempts", 50, 200, decided(REFUSED)),
    Change("scaling.windowSeconds", 300, 600, counted_from(ONE_OPEN)),
    Change("scaling.targetSaturationPercent", 70, 40, decided(observed(*loaded(60, 60)))),
    Change(
        "scaling.maxIneffectiveSteps",
        1,
        3,
        decided(
            REFUSED,
            Memory(
                desired_open=1,
                failure_step=FailureStep(NOW - seconds(600), 0.1),
            ),
        ),
    ),
    Change("exposure.type", "HostPort", "HostNetwork"),
    Change("exposure.relaysPerNode", 1, 4),
    Change("exposure.address.source", "Auto", "NodeInternalIP", told(ONE_OPEN)),
    Change("exposure.address.value", "203.0.113.1", "203.0.113.2", told(ONE_OPEN), STATIC),
    Change("listeners.protocol", "UDP", "TCP", made, {"listeners": [{"port": 3478}]}),
    Change("listeners.port", 3478, 443, made, {"listeners": [{"protocol": "UDP"}]}),
    Change(
        "listeners.certificateSecretRef.name",
        "turn-tls",
        "other-tls",
        made,
        {"listeners": [TLS]},
    ),
    Change("realm", "", "turn.example.org"),
    Change("peers.policy", "EnginesOnly", "CIDRs", made, {"peers": {"cidrs": ["10.0.0.0/8"]}}),
    Change("peers.cidrs", ["10.0.0.0/8"], ["10.1.0.0/16"], made, {"peers": {"policy": "CIDRs"}}),
    Change("credentials.secretRef.name", "", "turn-masters"),
    Change("credentials.maxLifetimeSeconds", 86400, 7200),
    Change("quota.allocationsPerUser", 10, 4),
    Change("quota.allocationsPerPod", 2000, 500),
    Change("quota.bitsPerSecondPerAllocation", 0, 5_000_000),
    Change("region", "", "eu-central", told(ONE_OPEN)),
    Change("allowedNamespaces.from", "Same", "All", admitted),
    Change(
        "allowedNamespaces.selector",
        {"matchLabels": {"example.org/calls": "true"}},
        {"matchLabels": {"example.org/calls": "false"}},
        admitted,
        {"allowedNamespaces": {"from": "Selector"}},
    ),
)
"""In a TurnPool only."""

MANY_PODS = {"maxReplicas": 40}


@dataclass(frozen=True)
class Kind:
    """One kind, and what is set of it in all changes: room for many pods, each of the samples'
    capacity."""

    spec: type[CallClusterSpec | TurnPoolSpec]
    make: Callable[..., CallCluster | TurnPool]
    base: Mapping[str, Any]
    changes: tuple[Change, ...]


KINDS = {
    "CallCluster": Kind(
        CallClusterSpec,
        call_cluster,
        {"scaling": MANY_PODS, "capacity": {"participantsPerPod": CAPACITY}, **DATABASE},
        (*OF_BOTH, *OF_CLUSTER),
    ),
    "TurnPool": Kind(TurnPoolSpec, turn_pool, {"scaling": MANY_PODS}, (*OF_BOTH, *OF_POOL)),
}


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_each_field_is_here_once(kind: Kind) -> None:
    assert sorted(change.path for change in kind.changes) == sorted(leaves(kind.spec))


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        pytest.param(kind, change, id=f"{name}-{change.path}")
        for name, kind in KINDS.items()
        for change in kind.changes
    ],
)
def test_another_value_makes_a_difference(kind: Kind, change: Change) -> None:
    before, after = change.specs(kind.base)

    assert change.seen(kind.make(**before)) == change.seen(kind.make(**before))
    assert change.seen(kind.make(**before)) != change.seen(kind.make(**after))


def test_each_field_of_a_call_clusters_status_says_something() -> None:
    shown: set[str] = set()
    fewer = scenarios.cluster_case(EMPTY, memory=remembered((1, 400), (1, 100)))
    for case in (fewer, *(case for _, case in scenarios.clusters())):
        shown |= set(set_leaves(cluster_status(case, CallClusterStatus(), 1).to_api()))
    assert shown == set(leaves(CallClusterStatus)) | {"lastScaleTime"}


def test_each_field_of_a_turn_pools_status_says_something() -> None:
    shown: set[str] = set()
    endpoint = Endpoint(pod="relays-relay-0", region="eu", urls=("turn:203.0.113.7:3478",))
    fewer = scenarios.pool_case(EMPTY, memory=remembered((1, 400), (1, 100)))
    dry = scenarios.pool_case(CROWDED, spec=pool(mode="DryRun"))
    for case in (fewer, dry, *(case for _, case in scenarios.pools())):
        shown |= set(set_leaves(pool_status(case, TurnPoolStatus(), 1, (endpoint,)).to_api()))
    assert shown == set(leaves(TurnPoolStatus)) | {"lastScaleTime"}
