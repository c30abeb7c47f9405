"""The reasons of the conditions that both kinds have, value by value."""

from __future__ import annotations

from typing import Final

from callfleet_operator.status.documented import ConditionType, Documented

_C = ConditionType

SHARED_REASONS: Final[tuple[Documented, ...]] = (
    Documented(
        _C.READY,
        "MinimumReplicasAvailable",
        "True",
        "At least minReplicas pods serve. Missing metrics do not change this.",
    ),
    Documented(
        _C.READY,
        "MinimumReplicasUnavailable",
        "False",
        "Fewer than minReplicas pods serve.",
        "See kubectl describe pod for them.",
        warning=True,
    ),
    Documented(
        _C.READY,
        "NameConflict",
        "False",
        "An object that the operator has to make exists already and belongs to somebody else.",
        "Rename or delete that object, or give this one another name.",
        warning=True,
    ),
    Documented(_C.ACCEPTED, "Accepted", "True", "Every field of the spec has its effect."),
    Documented(
        _C.ACCEPTED,
        "OpenAccess",
        "True",
        "auth.mode is Open: anyone who reaches signalling may join any room.",
        "Set auth.mode to Token unless that is intended.",
        warning=True,
    ),
    Documented(
        _C.ACCEPTED,
        "InvalidSchedule",
        "False",
        "A schedule's cron or time zone cannot be read. It is left out, the others hold.",
        "Correct it in spec.scaling.schedules.",
        warning=True,
    ),
    Documented(
        _C.ACCEPTED,
        "InvalidAnnotation",
        "False",
        "The annotation callfleet.dev/hold-until is no time and is left out.",
        "Write a time such as 2026-01-01T06:00:00Z, or remove the annotation.",
        warning=True,
    ),
    Documented(
        _C.ACCEPTED,
        "SecretMissing",
        "False",
        "A Secret, or a key in it, does not exist, or what it holds cannot be read or used. Pods "
        "that need it cannot start; running ones go on.",
        "Create it in the namespace of this object, or correct it.",
        warning=True,
    ),
    Documented(
        _C.ACCEPTED,
        "PresetsUnusable",
        "False",
        "The ConfigMap in quality.presetsConfigMapRef does not exist, has no key presets.yaml, or "
        "holds what engines refuse. Running pods go on with what they have read, and no change of "
        "their template is rolled out; new pods that need the ConfigMap cannot start.",
        "Create or correct it as docs/reference/contracts.md (Presets of quality) says, or remove "
        "quality.presetsConfigMapRef.",
        warning=True,
    ),
    Documented(
        _C.ACCEPTED,
        "PoolMissing",
        "False",
        "A TurnPool in turn.poolRefs does not exist. Its relays are not handed out.",
        "Create the TurnPool, or remove it from turn.poolRefs.",
        warning=True,
    ),
    Documented(
        _C.ACCEPTED,
        "PoolNotAllowed",
        "False",
        "A TurnPool does not admit this namespace. Its relays are not handed out.",
        "Ask the pool's owner to admit it in allowedNamespaces.",
        warning=True,
    ),
    Documented(
        _C.METRICS_AVAILABLE,
        "PrometheusAnswers",
        "True",
        "Prometheus has fresh data of every pod.",
    ),
    Documented(
        _C.METRICS_AVAILABLE,
        "PrometheusUnreachable",
        "False",
        "Prometheus does not answer.",
        "Check the operator's --prometheus-url and that Prometheus runs.",
        warning=True,
    ),
    Documented(
        _C.METRICS_AVAILABLE,
        "PrometheusUnauthorized",
        "False",
        "Prometheus refuses the operator's credentials.",
        "Renew the credentials that the operator is installed with.",
        warning=True,
    ),
    Documented(
        _C.METRICS_AVAILABLE,
        "PrometheusError",
        "False",
        "Prometheus answers with an error.",
        "See the logs of Prometheus.",
        warning=True,
    ),
    Documented(
        _C.METRICS_AVAILABLE,
        "NoData",
        "False",
        "Prometheus answers and has no usable series of any pod: none at all, old ones, or NaN.",
        "Check that Prometheus scrapes the pods: it has to discover pods by their annotations.",
        warning=True,
    ),
    Documented(
        _C.METRICS_AVAILABLE,
        "PartialData",
        "False",
        "Prometheus has no fresh or no sound data of some pods, or warns that its answers are not "
        "whole.",
        "Look for these pods among the targets of Prometheus, or for what its warning names.",
        warning=True,
    ),
    Documented(
        _C.SCALING_ACTIVE,
        "ValidMetricFound",
        "True",
        "The number of open pods follows the load.",
    ),
    Documented(
        _C.SCALING_ACTIVE,
        "PartialData",
        "True",
        "Pods are added if the known load asks for it; none is drained, as some of the load is "
        "not known.",
        "See MetricsAvailable.",
    ),
    Documented(
        _C.SCALING_ACTIVE,
        "Holding",
        "False",
        "Prometheus is away. No pod is drained; pods are added only where the pods themselves say "
        "that they are full.",
        "See MetricsAvailable.",
        warning=True,
    ),
    Documented(
        _C.SCALING_ACTIVE,
        "ScaleOutOnly",
        "True",
        "Mode ScaleOutOnly: pods are added, none is drained to scale in.",
        "Set mode to Active to scale in again.",
    ),
    Documented(
        _C.SCALING_ACTIVE,
        "HeldByAnnotation",
        "False",
        "The annotation callfleet.dev/hold-until keeps the number of open pods.",
        "Remove the annotation to scale again.",
    ),
    Documented(
        _C.SCALING_ACTIVE,
        "DryRun",
        "False",
        "Mode DryRun: decisions are only reported.",
        "Set mode to Active to let decisions take effect.",
    ),
    Documented(
        _C.SCALING_ACTIVE,
        "Paused",
        "False",
        "Mode Paused: nothing is touched.",
        "Set mode to Active to go on.",
    ),
    Documented(
        _C.SCALING_LIMITED,
        "DesiredWithinRange",
        "False",
        "Nothing keeps the number of open pods from what the load asks for.",
    ),
    Documented(
        _C.SCALING_LIMITED,
        "TooManyReplicas",
        "True",
        "The load asks for more open pods than maxReplicas.",
        "Raise maxReplicas, or accept that new calls are refused at the peak.",
        warning=True,
    ),
    Documented(
        _C.SCALING_LIMITED,
        "MaxTotalReplicas",
        "True",
        "Pods that drain, end, or do not start leave no room under maxTotalReplicas.",
        "Mend those that do not start, wait for those that leave, or raise maxTotalReplicas.",
        warning=True,
    ),
    Documented(
        _C.SCALING_LIMITED,
        "ScaleUpLimit",
        "True",
        "Pods are added as fast as scaleOut allows, and more are needed.",
        "If this lasts, raise scaleOut.maxPods.",
    ),
    Documented(_C.DRAINING, "NoPodsDraining", "False", "No pod is being emptied."),
    Documented(
        _C.DRAINING,
        "PodsDraining",
        "True",
        "Pods take no new calls and are deleted once their last call has ended by itself.",
    ),
    Documented(
        _C.DRAINING,
        "DeadlineExceeded",
        "True",
        "A drain has lasted longer than drain.deadlineSeconds. The operator goes on waiting: no "
        "call is ended. With drain.onDeadline Reconnect there was nowhere to move them to.",
        "Have a moderator end the calls, or delete the pod: its calls end after "
        "drain.terminationGracePeriodSeconds.",
        warning=True,
    ),
    Documented(
        _C.DRAINING,
        "Reconnecting",
        "True",
        "A drain has lasted longer than drain.deadlineSeconds, and drain.onDeadline is Reconnect: "
        "the engine's calls, or the relay's clients, are moved to other pods in batches.",
    ),
    Documented(
        _C.PROGRESSING,
        "UpToDate",
        "False",
        "Everything is as the spec asks, and every pod has the current template.",
    ),
    Documented(
        _C.PROGRESSING,
        "PodsStarting",
        "True",
        "Pods have been made and are not ready yet.",
    ),
    Documented(
        _C.PROGRESSING,
        "RollingOut",
        "True",
        "Pods of the new revision take the place of the others: for each that is ready an old one "
        "is drained.",
    ),
    Documented(
        _C.PROGRESSING,
        "RolloutHeld",
        "False",
        "A rollout waits: for mode or annotation to let it go on, or for Prometheus.",
        "Set mode to Active, remove the annotation callfleet.dev/hold-until, or see "
        "MetricsAvailable.",
    ),
    Documented(
        _C.PROGRESSING,
        "NoRoomToSurge",
        "False",
        "A rollout waits: maxTotalReplicas leaves no room for a pod above the planned number, and "
        "there is never one open pod less.",
        "Raise scaling.maxTotalReplicas above scaling.maxReplicas, or wait until fewer pods are "
        "needed.",
        warning=True,
    ),
    Documented(
        _C.PROGRESSING,
        "ProgressDeadlineExceeded",
        "False",
        "A rollout has stopped: a pod of the new revision has not become ready within 180 s. No "
        "old pod is drained any more; the rollout goes on by itself when that pod becomes ready.",
        "Correct the spec, or set it back: pods that drain are then opened again. To have another "
        "pod try, delete the one that fails.",
        warning=True,
    ),
    Documented(
        _C.PROGRESSING,
        "NewRevisionFailsMore",
        "False",
        "A rollout has stopped: more connections fail through pods of the new revision than "
        "through the others. No old pod is drained any more; the rollout goes on by itself when "
        "enough connections say otherwise.",
        "Set the spec back: pods that drain are then opened again. To have the revision try once "
        "more, delete its pods.",
        warning=True,
    ),
    Documented(
        _C.PROGRESSING,
        "OutdatedPodsKept",
        "False",
        "Pods of an earlier template are left alone, as rollout.strategy is OnDelete.",
        "Drain or delete them one by one, or set rollout.strategy to Drain.",
    ),
    Documented(
        _C.PROGRESSING,
        "PodsFailing",
        "False",
        "Pods do not start or have stopped serving.",
        "See kubectl describe pod for them.",
        warning=True,
    ),
    Documented(
        _C.PROGRESSING,
        "ApplyFailed",
        "False",
        "The API server refused something that the operator wrote. It tries again.",
        "Look at quotas, admission policies and the operator's RBAC.",
        warning=True,
    ),
    Documented(
        _C.ADDRESS_KNOWN,
        "AddressKnown",
        "True",
        "Every ready pod has the address that clients are told.",
    ),
    Documented(
        _C.ADDRESS_KNOWN,
        "AddressUnknown",
        "False",
        "No address for clients is found for some pods; these are not handed out.",
        "Annotate the node with callfleet.dev/external-address, or choose another "
        "exposure.address.source.",
        warning=True,
    ),
    Documented(
        _C.ADDRESS_KNOWN,
        "NoRelays",
        "False",
        "CallCluster with exposure TurnOnly: there is no relay that clients could be given, so "
        "joins are refused.",
        "Name a TurnPool in spec.turn.poolRefs and see its conditions Ready and AddressKnown.",
        warning=True,
    ),
    Documented(_C.RECONCILIATION_PAUSED, "NotPaused", "False", "The operator acts."),
    Documented(
        _C.RECONCILIATION_PAUSED,
        "Paused",
        "True",
        "Mode Paused: the operator changes nothing, not even drains under way.",
        "Set mode to Active to go on.",
    ),
)
