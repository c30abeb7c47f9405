"""The reasons of the conditions that only one kind has, value by value."""

from __future__ import annotations

from typing import Final

from callfleet_operator.status.documented import ConditionType, Documented

_C = ConditionType

KIND_REASONS: Final[tuple[Documented, ...]] = (
    Documented(
        _C.HEADROOM_EXHAUSTED,
        "RoomForNewCalls",
        "False",
        "At least one open pod takes new calls.",
    ),
    Documented(
        _C.HEADROOM_EXHAUSTED,
        "NoRoomForNewCalls",
        "True",
        "Every open pod has reached newCallLimitPercent: new calls are refused.",
        "Raise maxReplicas if it is reached; ScalingActive and ScalingLimited say what else keeps "
        "pods from being added.",
        warning=True,
    ),
    Documented(
        _C.HEADROOM_EXHAUSTED,
        "NoOpenPod",
        "True",
        "No open pod is ready: new calls are refused.",
        "See Ready.",
        warning=True,
    ),
    Documented(
        _C.HEADROOM_EXHAUSTED,
        "LoadUnknown",
        "Unknown",
        "The pods whose load is known have no room, that of the others is not known.",
        "See MetricsAvailable.",
    ),
    Documented(
        _C.CONNECTIONS_FAILING,
        "ConnectionsSucceed",
        "False",
        "No cause of failure is above maxFailurePercent.",
    ),
    Documented(
        _C.CONNECTIONS_FAILING,
        "TooFewAttempts",
        "False",
        "Fewer than minAttempts users tried: failures say nothing yet.",
    ),
    Documented(
        _C.CONNECTIONS_FAILING,
        "FailuresUnknown",
        "Unknown",
        "How many users were refused is not known.",
        "See MetricsAvailable.",
    ),
    Documented(
        _C.CONNECTIONS_FAILING,
        "RelayCapacity",
        "True",
        "Users are refused for want of relay capacity.",
        "Relays are added, unless ScalingLimited, ScalingActive or ScaleOutIneffective says "
        "otherwise.",
        warning=True,
    ),
    Documented(
        _C.CONNECTIONS_FAILING,
        "CredentialsRejected",
        "True",
        "Users come with credentials that no key of the pool has signed. Relays do not help.",
        "Compare the consumers' Secret with the pool's; a rotation has to keep the former key "
        "until its credentials have expired.",
        warning=True,
    ),
    Documented(
        _C.CONNECTIONS_FAILING,
        "CredentialsExpired",
        "True",
        "Users come with expired credentials. Relays do not help.",
        "Check the clocks of the nodes and turn.credentialLifetimeSeconds.",
        warning=True,
    ),
    Documented(
        _C.CONNECTIONS_FAILING,
        "TransportUnsupported",
        "True",
        "Users ask for a transport that the relays do not offer. Relays do not help.",
        "Check the TURN URLs that clients use against spec.listeners.",
        warning=True,
    ),
    Documented(
        _C.CONNECTIONS_FAILING,
        "QuotaReached",
        "True",
        "Users have reached quota.allocationsPerUser. Relays do not help.",
        "Raise quota.allocationsPerUser, or look for a client that leaks allocations.",
        warning=True,
    ),
    Documented(
        _C.CONNECTIONS_FAILING,
        "OtherFailures",
        "True",
        "Users fail for other causes, named in the message. Relays do not help.",
        "See callfleet_relay_allocate_requests_total by outcome and the relays' logs.",
        warning=True,
    ),
    Documented(
        _C.SCALE_OUT_INEFFECTIVE,
        "ScaleOutHelps",
        "False",
        "No scale-out because of failures was in vain.",
    ),
    Documented(
        _C.SCALE_OUT_INEFFECTIVE,
        "FailuresPersist",
        "True",
        "maxIneffectiveSteps scale-outs in a row did not lower the failures, so relays are added "
        "by saturation only until the failures end.",
        "Look for a limit outside the relays: a firewall, the nodes' network, open files.",
        warning=True,
    ),
    Documented(
        _C.CREDENTIALS_CURRENT,
        "SecretsRead",
        "True",
        "The pool's master secrets are readable and well formed.",
    ),
    Documented(
        _C.CREDENTIALS_CURRENT,
        "SecretMissing",
        "False",
        "The Secret in credentials.secretRef, or its key `secrets`, does not exist.",
        "Create it: one master secret of at least 32 characters a line, newest first.",
        warning=True,
    ),
    Documented(
        _C.CREDENTIALS_CURRENT,
        "SecretMalformed",
        "False",
        "The pool's Secret cannot be used as it stands.",
        "Write one master secret of at least 32 characters a line, newest first.",
        warning=True,
    ),
)
