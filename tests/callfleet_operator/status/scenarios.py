"""Situations an on-call engineer meets: each makes one status, and together they make every reason
of every condition."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from callfleet_operator.api.v1alpha1 import CallClusterSpec, TurnPoolSpec
from callfleet_operator.api.v1alpha1.callcluster import Schedule
from callfleet_operator.observation import (
    Admission,
    ConnectionFailures,
    Connections,
    FleetPod,
    Freshness,
    MetricsHealth,
    MetricsProblem,
    NoOutlook,
    Observation,
    Outlook,
    Process,
)
from callfleet_operator.plan import engines, relays
from callfleet_operator.plan.decision import Memory
from callfleet_operator.plan.reasons import Reason
from callfleet_operator.plan.rollout import rollout
from callfleet_operator.plan.schedules import unreadable
from callfleet_operator.status import engines as engine_status
from callfleet_operator.status import relays as relay_status
from callfleet_operator.status.case import Case, Finding
from callfleet_operator.status.facts import Facts
from tests.callfleet_operator.plan.samples import (
    AWAY,
    CAPACITY,
    NOW,
    OLDER,
    REVISION,
    cluster,
    from_itself,
    known,
    loaded,
    observed,
    pod,
    pool,
    seconds,
    starting,
    unknown,
)

BROKEN_SCHEDULE = unreadable(
    [
        Schedule(
            name="weekdays",
            time_zone="Europe/Berlinn",
            cron="0 8 * * 1-5",
            duration_seconds=36000,
            min_replicas=6,
        )
    ]
)
WELL = Facts(update_revision=REVISION)
START = NOW - seconds(300)
SILENT = (1, 4)
CORDONED = Admission.CORDONED
IMAGE = 'ImagePullBackOff: Back-off pulling image "registry.example.org/engine:1.1"'


def cluster_case(
    seen: Observation,
    facts: Facts = WELL,
    spec: CallClusterSpec | None = None,
    memory: Memory | None = None,
) -> Case[CallClusterSpec]:
    spec = spec or cluster()
    decision, _ = engines.plan(spec, seen, memory or Memory())
    return Case.of(spec, seen, decision, replace(facts, rollout=rollout(spec, seen)))


def pool_case(
    seen: Observation,
    facts: Facts = WELL,
    spec: TurnPoolSpec | None = None,
    memory: Memory | None = None,
) -> Case[TurnPoolSpec]:
    spec = spec or pool()
    decision, _ = relays.plan(spec, seen, memory or Memory())
    return Case.of(spec, seen, decision, replace(facts, rollout=rollout(spec, seen)))


def sqlite() -> CallClusterSpec:
    return CallClusterSpec.model_validate({"auth": {"mode": "Open"}})


def clusters() -> Iterator[tuple[str, Case[CallClusterSpec]]]:
    """CallClusters by what has happened."""
    steady = observed(*loaded(60, 60, 60))
    yield "everything in order", cluster_case(steady)
    six = [
        pod(ordinal, load=unknown() if ordinal in SILENT else from_itself(50))
        for ordinal in range(6)
    ]
    yield (
        "Prometheus does not answer, 4 of 6 pods do",
        cluster_case(observed(*six, metrics=AWAY)),
    )
    silent = [pod(ordinal, load=unknown()) for ordinal in range(3)]
    yield "nothing answers", cluster_case(observed(*silent, metrics=AWAY))
    full = [pod(ordinal, load=from_itself(100)) for ordinal in range(3)]
    yield "Prometheus is away and the pods are full", cluster_case(observed(*full, metrics=AWAY))
    yield (
        "Prometheus refuses the credentials, fallback Hold",
        cluster_case(
            observed(
                *full,
                metrics=MetricsHealth(MetricsProblem.UNAUTHORIZED, "HTTP 401", START),
            ),
            spec=cluster(fallback="Hold"),
        ),
    )
    yield (
        "Prometheus answers with errors",
        cluster_case(
            observed(*six, metrics=MetricsHealth(MetricsProblem.ERROR, "HTTP 503", START))
        ),
    )
    yield (
        "Prometheus scrapes nothing",
        cluster_case(observed(*silent, metrics=MetricsHealth(MetricsProblem.NO_DATA, "", START))),
    )
    partial = (*loaded(50, 50), pod(2, load=unknown(Freshness.STALE)), pod(3, load=unknown()))
    yield "two pods are not scraped", cluster_case(observed(*partial))
    yield (
        "the first pods start",
        cluster_case(observed(starting(0), starting(1)), spec=cluster(min_replicas=2)),
    )
    broken = pod(
        0, load=unknown(), ready=False, failure=IMAGE, process=Process.NEVER_STARTED, age=900
    )
    yield (
        "the image does not exist",
        cluster_case(
            observed(broken), spec=cluster(max_replicas=1, max_total_replicas=1), facts=WELL
        ),
    )
    yield (
        "a Secret is missing and a quota is reached",
        cluster_case(
            observed(),
            Facts(
                missing_secrets=("Secret join-keys has no key keys.json",),
                apply_errors=("Pod demo-engine-0: exceeded quota: pods, limited: 10",),
                update_revision=REVISION,
            ),
        ),
    )
    yield (
        "a Service of the name belongs to somebody else",
        cluster_case(steady, Facts(name_conflicts=("Service demo-engine",))),
    )
    yield (
        "the spec names what is not there",
        cluster_case(
            steady,
            Facts(
                missing_pools=("media/relays",),
                refused_pools=("edge/relays",),
                invalid_schedules=BROKEN_SCHEDULE,
                invalid_hold_until="tomorrow",
                update_revision=REVISION,
            ),
        ),
    )
    yield "only a pool is missing", cluster_case(steady, Facts(missing_pools=("media/relays",)))
    yield "only a pool refuses", cluster_case(steady, Facts(refused_pools=("edge/relays",)))
    yield (
        "only a schedule is wrong",
        cluster_case(steady, Facts(invalid_schedules=BROKEN_SCHEDULE)),
    )
    yield (
        "a forecast is observed",
        cluster_case(
            replace(steady, outlook=Outlook(281, "week", 12.34, 45.6, 1008)),
            spec=cluster(forecast={"mode": "Observe"}),
        ),
    )
    yield (
        "a forecast has no history yet",
        cluster_case(
            replace(steady, outlook=NoOutlook("Prometheus has no history of the participants")),
            spec=cluster(forecast={"mode": "Floor"}),
        ),
    )
    yield "only the hold is wrong", cluster_case(steady, Facts(invalid_hold_until="tomorrow"))
    yield (
        "presets that engines cannot use",
        cluster_case(steady, Facts(unusable_presets=("ConfigMap frugal does not exist",))),
    )
    yield "open and with SQLite", cluster_case(observed(*loaded(5)), spec=sqlite())
    yield (
        "at maxReplicas and full",
        cluster_case(observed(*loaded(90, 95, 100)), spec=cluster(max_replicas=3)),
    )
    yield (
        "full as far as is known",
        cluster_case(observed(*loaded(90, 95), pod(2, load=unknown()))),
    )
    yield (
        "draining pods hold the room",
        cluster_case(
            observed(
                pod(0, load=known(100)),
                pod(1, load=known(60), admission=Admission.CORDONED),
                pod(2, load=known(0), admission=Admission.SEALED),
                pod(3, load=known(4), terminating=True),
            ),
            spec=cluster(max_replicas=3, max_total_replicas=4),
        ),
    )
    yield "faster than scaleOut", cluster_case(observed(*loaded(*[CAPACITY] * 10)))
    yield from rollouts()
    yield (
        "a drain takes too long",
        cluster_case(
            observed(
                pod(0, load=known(60)),
                pod(
                    1,
                    load=replace(known(5), calls=2),
                    admission=Admission.CORDONED,
                    draining_for=7200,
                ),
                pod(2, load=unknown(), admission=Admission.CORDONED, draining_for=3600),
                pod(3, load=known(9), admission=Admission.CORDONED),
            )
        ),
    )
    no_room = "No other open engine pod has room for a call of this pod; its calls stay."
    moving, stuck = (pod(n, load=known(5), admission=CORDONED, draining_for=7200) for n in (1, 2))
    moves = replace(WELL, moves={moving.uid: "", stuck.uid: no_room})
    reconnect = cluster(drain={"onDeadline": "Reconnect"})
    yield "calls move after the deadline", cluster_case(observed(pod(0), moving), moves, reconnect)
    both = observed(pod(0), moving, stuck)
    yield "calls move from one pod and not from another", cluster_case(both, moves, reconnect)
    yield (
        "no address for clients",
        cluster_case(
            steady, Facts(unaddressed_pods=("demo-engine-0 on node a has no ExternalIP",))
        ),
    )
    yield (
        "no relay to hand out",
        cluster_case(steady, Facts(no_relays="turn.poolRefs names no TurnPool")),
    )
    yield "dry run", cluster_case(observed(*loaded(90)), spec=cluster(mode="DryRun"))
    yield "paused", cluster_case(observed(*loaded(90)), spec=cluster(mode="Paused"))
    yield "scale out only", cluster_case(steady, spec=cluster(mode="ScaleOutOnly"))
    yield (
        "held by annotation",
        cluster_case(observed(*loaded(90), hold_until=NOW + seconds(3600))),
    )


def rollouts() -> Iterator[tuple[str, Case[CallClusterSpec]]]:
    """CallClusters whose pod template has changed."""

    def old(ordinal: int, used: float = 60) -> FleetPod:
        return pod(ordinal, load=known(used), revision=OLDER)

    def replaced(ordinal: int, used: float) -> FleetPod:
        draining = pod(ordinal, load=known(used), revision=OLDER, admission=Admission.CORDONED)
        return replace(draining, drain_reason=Reason.OUTDATED)

    on_delete = cluster(rollout={"strategy": "OnDelete"})
    yield (
        "pods of an earlier revision are kept",
        cluster_case(observed(old(0), pod(1, load=known(60))), spec=on_delete),
    )
    new = [pod(ordinal, load=known(40)) for ordinal in range(3)]
    yield (
        "a rollout is under way",
        cluster_case(
            observed(*new, old(3), old(4), starting(5), replaced(6, 9), replaced(7, 5)),
            spec=cluster(rollout={"maxSurge": 3}),
        ),
    )
    held = observed(old(0), old(1), hold_until=NOW + seconds(3600))
    yield "a rollout is held by annotation", cluster_case(held)
    yield (
        "a rollout waits for Prometheus",
        cluster_case(observed(old(0), old(1), metrics=AWAY)),
    )
    yield (
        "a rollout has no room",
        cluster_case(
            observed(old(0, 70), old(1, 70), pod(2, load=known(70))),
            spec=cluster(max_replicas=3, max_total_replicas=3),
        ),
    )
    failing = pod(
        2, load=unknown(), ready=False, failure=IMAGE, process=Process.NEVER_STARTED, age=900
    )
    yield "pods of a new revision do not start", cluster_case(observed(old(0), old(1), failing))
    hanging = replace(failing, failed=False, failure="")
    yield "pods of a new revision hang", cluster_case(observed(old(0), hanging))
    counted = {"uid-0": Connections(300, 4), "uid-1": Connections(120, 54)}
    yield (
        "calls on a new revision fail",
        cluster_case(observed(old(0), pod(1, load=known(30)), connections=counted)),
    )
    yield (
        "calls on a new revision had failed",
        cluster_case(observed(old(0), pod(1, load=known(30)), calls_failed=True)),
    )


def pools() -> Iterator[tuple[str, Case[TurnPoolSpec]]]:
    """TurnPools by what has happened."""
    relays_ = loaded(40, 40)

    def failing(
        tried: int, refused: int = 0, memory: Memory | None = None, **causes: int
    ) -> Case[TurnPoolSpec]:
        counted = ConnectionFailures(tried, refused, causes, START)
        return pool_case(observed(*relays_, failures=counted), memory=memory)

    yield "nobody is refused", failing(200)
    yield (
        "a rollout is under way and a drain late",
        pool_case(
            observed(
                pod(0, load=known(40), revision=OLDER),
                pod(1, load=known(1)),
                pod(2, load=known(1), revision=OLDER, admission=Admission.CORDONED),
                failures=ConnectionFailures(200, 0, {}, START),
            ),
            spec=pool(drain={"deadlineSeconds": 30}),
        ),
    )
    late = pod(2, load=known(7), admission=CORDONED, draining_for=7200)
    moves = replace(WELL, moves={late.uid: ""})
    reconnect = pool(drain={"onDeadline": "Reconnect"})
    yield "clients leave a relay", pool_case(observed(pod(0), late), moves, reconnect)
    yield "few users", failing(20, 20)
    yield "users are refused", failing(200, 60)
    yield "users are refused, relays do not help", failing(200, 60, Memory(ineffective_steps=3))
    yield "credentials of another key", failing(0, unauthorized=120)
    yield "expired credentials and some refusals", failing(100, 5, expired=50)
    yield "TCP is asked for", failing(100, unsupported=9)
    yield "a client leaks allocations", failing(100, quota=30)
    yield "requests that make no sense", failing(100, bad_request=20, mismatch=20)
    yield (
        "nothing is known",
        pool_case(observed(*[pod(0, load=unknown()), pod(1, load=unknown())], metrics=AWAY)),
    )
    yield (
        "no master secret",
        pool_case(
            observed(*relays_),
            Facts(credentials_missing="Secret relay-keys has no key secrets"),
        ),
    )
    yield (
        "a short master secret",
        pool_case(
            observed(*relays_),
            Facts(credentials_malformed="Line 2 of Secret relay-keys has fewer than 32 characters"),
        ),
    )
    yield (
        "no address for clients",
        pool_case(
            observed(*relays_),
            Facts(unaddressed_pods=("demo-relay-0: node a has no ExternalIP and no annotation",)),
        ),
    )


def every() -> Iterator[tuple[str, tuple[Finding, ...]]]:
    """Every situation with its conditions."""
    for name, case in clusters():
        yield f"CallCluster: {name}", engine_status.findings(case)
    for name, one in pools():
        yield f"TurnPool: {name}", relay_status.findings(one)
