"""CallCluster: a fleet of engine pods that host calls."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Final, Literal

from pydantic import Field

from callfleet_operator.api.v1alpha1.common import (
    API_VERSION,
    Address,
    FleetSpec,
    FleetStatus,
    Metadata,
    ScaleIn,
    ScaleOut,
)
from callfleet_operator.api.v1alpha1.environment import ENGINE_VARIABLES, not_set_by_operator
from callfleet_operator.api.v1alpha1.model import (
    LIST_KEYS,
    Model,
    ObjectName,
    ResourceRequirements,
    SecretKey,
    rule,
    rules,
    validated,
)
from callfleet_operator.api.v1alpha1.signalling import Signalling

KIND: Final = "CallCluster"
DEFAULT_ENGINE_RESOURCES: Final[dict[str, Any]] = {
    "requests": {"cpu": "1", "memory": "512Mi"},
    "limits": {"memory": "1Gi"},
}


class ForecastMode(StrEnum):
    """What becomes of the forecast."""

    DISABLED = "Disabled"
    OBSERVE = "Observe"
    FLOOR = "Floor"


class MetricsFallback(StrEnum):
    """What counts while Prometheus is away."""

    POD_STATUS = "PodStatus"
    HOLD = "Hold"


class EngineExposureType(StrEnum):
    """How media reaches an engine pod."""

    TURN_ONLY = "TurnOnly"
    HOST_PORT = "HostPort"
    HOST_NETWORK = "HostNetwork"


class StoreType(StrEnum):
    """Where calls and their history are kept."""

    SQLITE = "SQLite"
    POSTGRESQL = "PostgreSQL"


class AuthMode(StrEnum):
    """Who may join a room."""

    TOKEN = "Token"  # noqa: S105  # no password, the name of a mode
    OPEN = "Open"


class Capacity(Model):
    """What one engine pod bears."""

    participants_per_pod: int = Field(default=150, ge=1, le=10000)
    """Participants of one pod at full load. Measure your own: it depends on the CPU and on how
    many participants a call has."""


class Schedule(Model):
    """A minimum of open pods at certain times."""

    name: str = Field(min_length=1, max_length=63, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")
    """Name of the schedule, unique in the list."""
    time_zone: str = Field(default="UTC", min_length=1, max_length=64)
    """IANA time zone, such as Europe/Berlin."""
    cron: str = Field(min_length=9, max_length=128)
    """When the minimum begins to hold: minute, hour, day of month, month, day of week. A time that
    the clock skips comes when the skipped time is over, one that it repeats comes once."""
    duration_seconds: int = Field(ge=60, le=604800)
    """How long it holds, in elapsed time."""
    min_replicas: int = Field(ge=1, le=1000)
    """Open pods at least, within maxReplicas. Of several schedules that hold the largest counts."""


class Forecast(Model):
    """Scaling ahead of expected load."""

    mode: ForecastMode = ForecastMode.DISABLED
    """Disabled. Observe: compute, and report in ScalingActive. Floor: never fewer pods than for
    the forecast, as long as it has been nearer than the last value."""
    horizon_seconds: int = Field(default=600, ge=60, le=86400)
    """How far ahead to look: the highest load within it counts."""


class CallClusterScaling(Model):
    """How many pods are open, that is, take new calls."""

    model_config = validated(
        rule(
            "self.minReplicas <= self.maxReplicas",
            "minReplicas must not be above maxReplicas: lower minReplicas or raise maxReplicas",
            field_path=".minReplicas",
        ),
        rule(
            "!has(self.maxTotalReplicas) || self.maxReplicas <= self.maxTotalReplicas",
            "maxTotalReplicas counts draining and surge pods too and must not be below "
            "maxReplicas: raise it, or remove it for maxReplicas plus half of it",
            field_path=".maxTotalReplicas",
        ),
        rule(
            "self.newCallLimitPercent > self.targetUtilizationPercent",
            "newCallLimitPercent must be above targetUtilizationPercent, or pods would refuse new "
            "calls before more pods are asked for",
            field_path=".newCallLimitPercent",
        ),
    )

    min_replicas: int = Field(default=1, ge=1, le=1000)
    """Open pods at least."""
    max_replicas: int = Field(default=1, ge=1, le=1000)
    """Open pods at most. More than one needs a PostgreSQL store."""
    max_total_replicas: int | None = Field(default=None, ge=1, le=2000)
    """Pods at most, with draining and surge ones. Absent: maxReplicas and half of it, rounded up;
    with SQLite 1."""
    target_utilization_percent: int = Field(default=70, ge=10, le=95)
    """Utilisation of all pods together that scaling aims at."""
    new_call_limit_percent: int = Field(default=85, ge=11, le=100)
    """A pod that is this full takes no new call; people may still join the calls it has."""
    max_blocking_per_million: int = Field(default=1000, ge=0, le=1000000)
    """New calls in a million that may find no room (Erlang B); 0: no such floor."""
    tolerance_percent: int = Field(default=10, ge=0, le=50)
    """A utilisation this close to the target changes nothing."""
    scale_out: ScaleOut = ScaleOut()
    """How fast pods are added."""
    scale_in: ScaleIn = ScaleIn()
    """How fast pods are drained."""
    schedules: Annotated[
        tuple[Schedule, ...], Field(max_length=32, json_schema_extra={LIST_KEYS: ["name"]})
    ] = ()
    """Minimums of open pods at certain times."""
    forecast: Forecast = Forecast()
    """Scaling ahead of expected load."""


class Metrics(Model):
    """When data counts as stale, and what then."""

    stale_after_seconds: int = Field(default=60, ge=15, le=600)
    """Data older than this says nothing any more."""
    fallback: MetricsFallback = MetricsFallback.POD_STATUS
    """While Prometheus is away. PodStatus: ask the pods themselves; that may add pods, and never
    starts a drain. Hold: change nothing."""


class HostPortRange(Model):
    """UDP ports of the nodes, one a pod."""

    model_config = validated(
        rule(
            "self.min <= self.max",
            "hostPortRange.min must not be above hostPortRange.max: swap them",
            field_path=".min",
        )
    )

    min: int = Field(default=20000, ge=1024, le=65535)
    """First port."""
    max: int = Field(default=20999, ge=1024, le=65535)
    """Last port."""


class EngineExposure(Model):
    """How media reaches the engine pods."""

    type: EngineExposureType = EngineExposureType.TURN_ONLY
    """TurnOnly: through relays only. HostPort: also through one UDP port of the node.
    HostNetwork: the pod uses the node's network, in a namespace that permits it."""
    host_port_range: HostPortRange = HostPortRange()
    """Ports for HostPort and HostNetwork, one a pod; no two CallClusters share one."""
    address: Address = Address()
    """Where the address that clients are told comes from."""


class PoolRef(Model):
    """A TurnPool whose relays are handed out."""

    name: str = Field(min_length=1, max_length=40, pattern=r"^[a-z]([-a-z0-9]*[a-z0-9])?$")
    """Name of the TurnPool."""
    namespace: str = Field(default="", max_length=63, pattern=r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?)?$")
    """Its namespace; empty: that of this object. The pool's allowedNamespaces must admit it."""


class Turn(Model):
    """The relays that carry the media of clients."""

    pool_refs: Annotated[
        tuple[PoolRef, ...],
        Field(max_length=4, json_schema_extra={LIST_KEYS: ["namespace", "name"]}),
    ] = ()
    """TurnPools whose relays are handed out, at most 4."""
    credential_lifetime_seconds: int = Field(default=43200, ge=60, le=86400)
    """How long TURN credentials are valid. A relayed connection ends with the credential it began
    with: choose longer than the longest call."""


class SecretKeyRef(Model):
    """One key of a Secret in the namespace of this object."""

    name: ObjectName = Field(min_length=1)
    """Name of the Secret."""
    key: SecretKey = "uri"
    """Key in the Secret."""


class PostgreSQL(Model):
    """The PostgreSQL database of the calls."""

    uri_secret_ref: SecretKeyRef
    """Where the postgresql:// URI stands."""
    max_connections_per_pod: int = Field(default=10, ge=1, le=100)
    """Connections of one pod. All pods together should stay under a quarter of what the server
    allows."""


class Store(Model):
    """Where calls and their history are kept."""

    model_config = validated(
        rule(
            "has(self.postgresql) == (self.type == 'PostgreSQL')",
            "store.postgresql and store.type PostgreSQL belong together",
            message_expression=(
                "self.type == 'PostgreSQL' ? "
                "'type PostgreSQL needs a database: set store.postgresql.uriSecretRef.name' : "
                "'type SQLite has no server: remove store.postgresql, or set store.type PostgreSQL'"
            ),
            field_path=".postgresql",
        )
    )

    type: Annotated[
        StoreType,
        Field(
            json_schema_extra=rules(
                rule(
                    "self == oldSelf",
                    "store.type cannot change, the calls would be lost: make a new CallCluster",
                )
            )
        ),
    ] = StoreType.SQLITE
    """SQLite: a file of the one pod, gone with it. PostgreSQL: any number of pods. Immutable."""
    postgresql: PostgreSQL | None = None
    """Only with type PostgreSQL."""
    retention_days: int = Field(default=30, ge=1, le=3650)
    """How long the history of ended calls is kept."""


class KeysSecretRef(Model):
    """The Secret with the keys of join tokens."""

    name: ObjectName = Field(default="join-keys", min_length=1)
    """Name of the Secret; its key keys.json holds a JWK Set. `callfleet token` makes both."""


class Auth(Model):
    """Who may join a room."""

    mode: AuthMode = AuthMode.TOKEN
    """Token: with a join token. Open: anyone who reaches signalling; a condition says so."""
    keys_secret_ref: KeysSecretRef = KeysSecretRef()
    """Keys that join tokens are verified with."""


class ConfigMapRef(Model):
    """A ConfigMap in the namespace of this object."""

    name: ObjectName = ""
    """Name of the ConfigMap, whose key presets.yaml is used; without it the built-in presets."""


class Quality(Model):
    """What participants send at most."""

    presets_config_map_ref: ConfigMapRef = ConfigMapRef()
    """Presets of quality; a change of them reaches pods without a rollout."""


# With SQLite there is one pod; else half of maxReplicas, rounded up, is for draining and surge.
_TOTAL = (
    "(has(self.scaling.maxTotalReplicas) ? self.scaling.maxTotalReplicas : "
    "(self.store.type == 'SQLite' ? 1 : "
    "self.scaling.maxReplicas + (self.scaling.maxReplicas + 1) / 2))"
)
_WIDTH = "(self.exposure.hostPortRange.max - self.exposure.hostPortRange.min + 1)"


class CallClusterSpec(FleetSpec):
    """What a fleet of engine pods shall be."""

    model_config = validated(
        rule(
            "self.store.type != 'SQLite' || (self.scaling.maxReplicas == 1 && "
            "(!has(self.scaling.maxTotalReplicas) || self.scaling.maxTotalReplicas == 1))",
            "a SQLite store serves one pod: set scaling.maxReplicas to 1 and remove "
            "maxTotalReplicas, or choose store.type PostgreSQL",
            field_path=".scaling.maxReplicas",
        ),
        rule(
            f"self.exposure.type == 'TurnOnly' || {_WIDTH} >= {_TOTAL}",
            "exposure.hostPortRange needs a port for each pod: make it at least "
            "scaling.maxTotalReplicas wide",
            field_path=".exposure.hostPortRange",
        ),
        not_set_by_operator("CALLFLEET_ENGINE", ENGINE_VARIABLES),
    )

    resources: ResourceRequirements = DEFAULT_ENGINE_RESOURCES
    """CPU and memory of a pod. What is set here takes the place of the whole default."""
    capacity: Capacity = Capacity()
    """What one pod bears."""
    scaling: CallClusterScaling = CallClusterScaling()
    """How many pods are open."""
    metrics: Metrics = Metrics()
    """When data counts as stale, and what then."""
    exposure: EngineExposure = EngineExposure()
    """How media reaches the pods."""
    signalling: Signalling = Signalling()
    """How clients reach signalling and the call page."""
    turn: Turn = Turn()
    """The relays that carry the media of clients."""
    store: Store = Store()
    """Where calls and their history are kept."""
    auth: Auth = Auth()
    """Who may join a room."""
    quality: Quality = Quality()
    """How video adapts."""

    @property
    def max_total_replicas(self) -> int:
        """Pods at most, with draining and surge ones."""
        if self.scaling.max_total_replicas is not None:
            return self.scaling.max_total_replicas
        if self.store.type is StoreType.SQLITE:
            return 1
        return self.scaling.max_replicas + (self.scaling.max_replicas + 1) // 2


class CallClusterStatus(FleetStatus):
    """What the operator reports of a fleet of engine pods."""

    participants: int | None = Field(default=None, ge=0)
    """Participants on all pods, rounded to five points of utilisation."""
    utilization_percent: int | None = Field(default=None, ge=0)
    """Participants and stress of all open pods together against their capacity."""


class CallCluster(Model):
    """A fleet of engine pods that host calls, and how it scales."""

    api_version: Literal["callfleet.dev/v1alpha1"] = API_VERSION
    kind: Literal["CallCluster"] = KIND
    metadata: Metadata
    spec: CallClusterSpec = CallClusterSpec()
    status: CallClusterStatus = CallClusterStatus()
