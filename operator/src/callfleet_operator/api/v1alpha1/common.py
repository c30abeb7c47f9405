"""What CallCluster and TurnPool have in common."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, Final, Literal

from pydantic import Field, computed_field

from callfleet_operator.api.v1alpha1.model import (
    LIST_KEYS,
    NOT_OURS,
    QUALIFIED_KEYS,
    Affinity,
    AnnotationValue,
    EnvVar,
    Image,
    LabelValue,
    LocalObjectReference,
    Model,
    ObjectName,
    Timestamp,
    Toleration,
    TopologySpreadConstraint,
    rule,
    rules,
    validated,
)

GROUP: Final = "callfleet.dev"
VERSION: Final = "v1alpha1"
API_VERSION: Final = "callfleet.dev/v1alpha1"


class Mode(StrEnum):
    """How far the operator may go."""

    ACTIVE = "Active"
    DRY_RUN = "DryRun"
    PAUSED = "Paused"
    SCALE_OUT_ONLY = "ScaleOutOnly"


class ImagePullPolicy(StrEnum):
    """When the kubelet pulls an image."""

    ALWAYS = "Always"
    IF_NOT_PRESENT = "IfNotPresent"
    NEVER = "Never"


class AddressSource(StrEnum):
    """Where the address that clients are told comes from."""

    AUTO = "Auto"
    NODE_INTERNAL_IP = "NodeInternalIP"
    STATIC = "Static"
    STUN = "STUN"


class DeadlineAction(StrEnum):
    """What happens to a pod that is not empty at the end of its drain."""

    WAIT = "Wait"
    RECONNECT = "Reconnect"


class RolloutStrategy(StrEnum):
    """How a change of the spec reaches running pods."""

    DRAIN = "Drain"
    ON_DELETE = "OnDelete"


class Metadata(Model):
    """What the operator reads of an object's metadata."""

    name: str
    namespace: str
    uid: str = ""
    resource_version: str = ""
    generation: int = 0
    labels: dict[str, str] = Field(default={})
    annotations: dict[str, str] = Field(default={})
    creation_timestamp: Timestamp | None = None
    deletion_timestamp: Timestamp | None = None


class Scheduling(Model):
    """Where pods may run. Without topology spread constraints of its own a fleet is spread over
    zones and nodes where that is possible."""

    node_selector: dict[str, LabelValue] = Field(default={}, max_length=32)
    """Labels that a node must have."""
    tolerations: Annotated[tuple[Toleration, ...], Field(max_length=32)] = ()
    """Taints of nodes that do not keep the pods away."""
    affinity: Affinity = Field(default={})
    """Attraction to nodes and to other pods."""
    topology_spread_constraints: Annotated[
        tuple[TopologySpreadConstraint, ...],
        Field(max_length=16, json_schema_extra={LIST_KEYS: ["topologyKey", "whenUnsatisfiable"]}),
    ] = ()
    """Takes the place of the default spread over zones and nodes."""
    priority_class_name: ObjectName = ""
    """PriorityClass of the pods. A pod that is preempted loses its calls."""


class PodMetadata(Model):
    """Labels and annotations added to every pod."""

    labels: dict[str, LabelValue] = Field(
        default={}, max_length=32, json_schema_extra=rules(QUALIFIED_KEYS, NOT_OURS)
    )
    """Labels of your own, at most 32."""
    annotations: dict[str, AnnotationValue] = Field(
        default={}, max_length=32, json_schema_extra=rules(QUALIFIED_KEYS, NOT_OURS)
    )
    """Annotations of your own, at most 32. prometheus.io/ and safe-to-evict remain the
    operator's."""


class ScaleRate(Model):
    """How fast the number of open pods may change in one direction."""

    stabilization_window_seconds: int = Field(default=0, ge=0, le=3600)
    """The most cautious recommendation of this many seconds counts."""
    max_pods: int = Field(default=4, ge=1, le=1000)
    """Pods that may be added or drained within periodSeconds."""
    period_seconds: int = Field(default=15, ge=1, le=1800)
    """Length of the period that maxPods speaks of."""


class ScaleOut(ScaleRate):
    """How fast pods are added."""


class ScaleIn(ScaleRate):
    """How fast pods are drained."""

    stabilization_window_seconds: int = Field(default=300, ge=0, le=3600)
    """The highest recommendation of this many seconds counts."""
    max_pods: int = Field(default=1, ge=1, le=1000)
    """Pods that may begin to drain within periodSeconds."""
    period_seconds: int = Field(default=60, ge=1, le=1800)
    """Length of the period that maxPods speaks of."""


class DrainSpec(Model):
    """How a pod is emptied before it is deleted. Scaling never ends a call."""

    deadline_seconds: int = Field(default=3600, ge=0, le=604800)
    """From here on the drain counts as late, and onDeadline says what happens."""
    on_deadline: DeadlineAction = DeadlineAction.WAIT
    """Wait: go on waiting and say so in the condition Draining. Reconnect: move the clients to
    other pods, in batches. Engines give up whole calls to open pods with room for them; with
    SQLite there is no other pod, so they wait. Clients of a relay get another one from their
    engine."""
    termination_grace_period_seconds: int = Field(default=3600, ge=30, le=604800)
    """What a pod that is deleted by others (a person, a node that shuts down) has to become empty
    before the kubelet kills it."""

    @property
    def reconnect_after(self) -> timedelta | None:
        """How long a drain waits before clients are moved; None: for ever."""
        if self.on_deadline is DeadlineAction.WAIT:
            return None
        return timedelta(seconds=self.deadline_seconds)


class Rollout(Model):
    """How a change of the spec reaches running pods."""

    strategy: RolloutStrategy = RolloutStrategy.DRAIN
    """Drain: add pods of the new revision and drain the old ones. OnDelete: only pods that are
    made anyway have the new revision."""
    max_surge: int = Field(default=1, ge=1, le=100)
    """Pods above the planned number for a rollout: those of the new revision that are not needed
    yet, and those of the old one that drain. maxTotalReplicas bounds it."""


class Address(Model):
    """Where the address that clients are told comes from."""

    model_config = validated(
        rule(
            "(self.source in ['Static', 'STUN']) == (has(self.value) && self.value != '')",
            "address.value and the sources Static and STUN belong together",
            message_expression=(
                "self.source == 'Static' ? 'source Static needs an IP address in address.value' : "
                "self.source == 'STUN' ? 'source STUN needs HOST:PORT of a STUN server in "
                "address.value' : 'only the sources Static and STUN take address.value: remove it'"
            ),
            field_path=".value",
        ),
        rule(
            "self.source != 'Static' || !has(self.value) || self.value == '' || isIP(self.value)",
            "with source Static the value is an IP address, such as 203.0.113.7",
            field_path=".value",
        ),
        rule(
            "self.source != 'STUN' || !has(self.value) || self.value == '' "
            "|| self.value.matches('^[A-Za-z0-9.-]+:[0-9]{1,5}$')",
            "with source STUN the value is HOST:PORT of a STUN server, such as "
            "stun.example.org:3478",
            field_path=".value",
        ),
    )

    source: AddressSource = AddressSource.AUTO
    """Auto: the node's annotation callfleet.dev/external-address, else its ExternalIP.
    NodeInternalIP: the node's InternalIP. Static: value. STUN: what the server in value sees.
    A pod without an address is not handed out, and AddressKnown says why."""
    value: str = Field(default="", max_length=253)
    """Static: an IP address. STUN: HOST:PORT of a STUN server."""


class Cost(Model):
    """Prices, for `callfleet plan`. Decimal numbers as strings."""

    pod_monthly: str = Field(default="", max_length=20, pattern=r"^([0-9]+(\.[0-9]+)?)?$")
    """Price of one pod for a month."""
    egress_per_gb: str = Field(
        default="", alias="egressPerGB", max_length=20, pattern=r"^([0-9]+(\.[0-9]+)?)?$"
    )
    """Price of a gigabyte (1e9 bytes) that leaves the cluster."""
    currency: str = Field(default="USD", min_length=3, max_length=3, pattern=r"^[A-Z]{3}$")
    """ISO 4217 code."""


class SecretRef(Model):
    """A Secret in the namespace of this object."""

    name: ObjectName = ""
    """Name of the Secret."""


class FleetSpec(Model):
    """What a fleet of either kind has."""

    mode: Mode = Mode.ACTIVE
    """Active: scale. ScaleOutOnly: never drain a pod to scale in. DryRun: only say what would be
    done. Paused: change nothing at all."""
    image: Image = ""
    """Image of the pods; empty: the one the operator was installed with. A change of it reaches
    running pods as rollout says."""
    image_pull_policy: ImagePullPolicy = ImagePullPolicy.IF_NOT_PRESENT
    """When the kubelet pulls the image."""
    image_pull_secrets: Annotated[
        tuple[LocalObjectReference, ...],
        Field(max_length=16, json_schema_extra={LIST_KEYS: ["name"]}),
    ] = ()
    """Secrets for the image's registry."""
    scheduling: Scheduling = Scheduling()
    """Where pods may run."""
    pod_metadata: PodMetadata = PodMetadata()
    """Labels and annotations added to every pod."""
    env: Annotated[
        tuple[EnvVar, ...], Field(max_length=64, json_schema_extra={LIST_KEYS: ["name"]})
    ] = ()
    """Environment variables added to the pods' container."""
    drain: DrainSpec = DrainSpec()
    """How a pod is emptied before it is deleted."""
    rollout: Rollout = Rollout()
    """How a change of the spec reaches running pods."""
    cost: Cost = Cost()
    """Prices, for `callfleet plan`."""


class Condition(Model):
    """One aspect of the state, as metav1.Condition."""

    type: str = Field(min_length=1, max_length=316)
    """Name of the condition."""
    status: Literal["True", "False", "Unknown"]
    """Whether it holds."""
    reason: str = Field(
        min_length=1, max_length=1024, pattern=r"^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$"
    )
    """Why, as one CamelCase word that programs may rely on."""
    message: str = Field(max_length=32768)
    """Why, and what to do about it."""
    last_transition_time: Timestamp
    """When status changed last."""
    observed_generation: int = Field(default=0, ge=0)
    """metadata.generation this speaks of."""


class Replicas(Model):
    """Pods by what they do."""

    desired: int = Field(default=0, ge=0)
    """Open pods that are wanted."""
    open: int = Field(default=0, ge=0)
    """Ready pods that take new calls."""
    starting: int = Field(default=0, ge=0)
    """Open pods that are not ready yet."""
    draining: int = Field(default=0, ge=0)
    """Pods that take no new calls and wait to become empty."""
    sealed: int = Field(default=0, ge=0)
    """Empty pods that are about to be deleted."""


class LastDecision(Model):
    """The last decision that changed the number of open pods or the reason for it."""

    time: Timestamp
    """When it was taken."""
    stage: str = Field(default="", max_length=64)
    """Stage of the plan that settled it."""
    reason: str = Field(default="", max_length=128)
    """Why, as one CamelCase word."""
    message: str = Field(default="", max_length=4096)
    """Why, in words."""


class FleetStatus(Model):
    """What the operator reports of a fleet of either kind."""

    observed_generation: int = Field(default=0, ge=0)
    """metadata.generation the operator acted on last."""
    conditions: Annotated[
        tuple[Condition, ...], Field(max_length=32, json_schema_extra={LIST_KEYS: ["type"]})
    ] = ()
    """The state, aspect by aspect."""
    current_revision: str = Field(default="", max_length=63)
    """Hash of the pod template that all pods had last."""
    update_revision: str = Field(default="", max_length=63)
    """Hash of the pod template that new pods have."""
    replicas: Replicas = Replicas()
    """Pods by what they do."""
    would_scale_to: int | None = Field(default=None, ge=0)
    """Only with mode DryRun: the number of open pods that Active would steer to."""
    last_decision: LastDecision | None = None
    """The last decision that changed the number of open pods or the reason for it."""
    last_scale_out_time: Timestamp | None = None
    """When pods were added last."""
    last_scale_in_time: Timestamp | None = None
    """When a drain began last in order to scale in."""

    @computed_field  # type: ignore[prop-decorator]  # mypy cannot see a decorated property
    @property
    def last_scale_time(self) -> Timestamp | None:
        """The later of lastScaleOutTime and lastScaleInTime."""
        times: list[datetime] = [
            time for time in (self.last_scale_out_time, self.last_scale_in_time) if time is not None
        ]
        return max(times, default=None)
