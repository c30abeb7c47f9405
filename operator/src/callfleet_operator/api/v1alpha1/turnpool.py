"""TurnPool: a fleet of TURN relays."""

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
    SecretRef,
)
from callfleet_operator.api.v1alpha1.environment import RELAY_VARIABLES, not_set_by_operator
from callfleet_operator.api.v1alpha1.model import (
    LIST_KEYS,
    LabelSelector,
    Model,
    ResourceRequirements,
    rule,
    rules,
    validated,
)

KIND: Final = "TurnPool"
DEFAULT_RELAY_RESOURCES: Final[dict[str, Any]] = {
    "requests": {"cpu": "1", "memory": "256Mi"},
    "limits": {"memory": "512Mi"},
}


class RelayExposureType(StrEnum):
    """How clients reach a relay."""

    HOST_PORT = "HostPort"
    HOST_NETWORK = "HostNetwork"
    LOAD_BALANCER = "LoadBalancer"


class Protocol(StrEnum):
    """How clients speak TURN."""

    UDP = "UDP"
    TCP = "TCP"
    TLS = "TLS"


class PeerPolicy(StrEnum):
    """Whom relays may exchange media with."""

    ENGINES_ONLY = "EnginesOnly"
    CIDRS = "CIDRs"


class NamespacesFrom(StrEnum):
    """Whose CallClusters may use a pool."""

    SAME = "Same"
    ALL = "All"
    SELECTOR = "Selector"


class TurnPoolScaling(Model):
    """How many relays are open, that is, handed out."""

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
    )

    min_replicas: int = Field(default=1, ge=1, le=256)
    """Open relays at least."""
    max_replicas: int = Field(default=3, ge=1, le=256)
    """Open relays at most."""
    max_total_replicas: int | None = Field(default=None, ge=1, le=512)
    """Relays at most, with draining and surge ones. Absent: maxReplicas and half of it, rounded
    up."""
    max_failure_percent: int = Field(default=2, ge=1, le=100)
    """More users than this who were refused for want of relay capacity, of those who tried within
    windowSeconds, add relays."""
    min_attempts: int = Field(default=50, ge=1, le=1000000)
    """With fewer users who tried, failures say nothing yet."""
    window_seconds: int = Field(default=300, ge=60, le=3600)
    """Over how long users are counted."""
    target_saturation_percent: int = Field(default=70, ge=10, le=95)
    """Part of the allocations of all relays that scaling aims at."""
    max_ineffective_steps: int = Field(default=3, ge=1, le=20)
    """After this many scale-outs in a row that helped nothing no more relays are added
    (ScaleOutIneffective)."""
    scale_out: ScaleOut = ScaleOut()
    """How fast relays are added."""
    scale_in: ScaleIn = ScaleIn()
    """How fast relays are drained."""


class RelayExposure(Model):
    """How clients reach the relays."""

    model_config = validated(
        rule(
            "self.type == 'HostPort' || self.relaysPerNode == 1",
            "relaysPerNode belongs to HostPort: with HostNetwork a relay has the ports of its node "
            "for itself, with LoadBalancer it needs none. Remove relaysPerNode",
            field_path=".relaysPerNode",
        ),
        rule(
            "self.type != 'LoadBalancer' || self.address.source == 'Auto'",
            "with LoadBalancer the address is the load balancer's: remove address.source",
            field_path=".address",
        ),
    )

    type: RelayExposureType = RelayExposureType.HOST_PORT
    """HostPort: through ports of the node. HostNetwork: the pod uses the node's network; engines
    then get media from the address of the node, which a NetworkPolicy that admits pods does not
    cover. Both need a namespace whose Pod Security level permits them (privileged). LoadBalancer:
    each relay through a Service of its own; it must carry the protocols of all listeners."""
    relays_per_node: int = Field(default=1, ge=1, le=64)
    """Relays on one node at most. A relay's port on the node is the listener's plus its ordinal
    modulo this."""
    address: Address = Address()
    """Where the address that clients are told comes from."""


class Listener(Model):
    """A port on which relays speak TURN."""

    model_config = validated(
        rule(
            "(self.protocol == 'TLS') == (has(self.certificateSecretRef) && "
            "has(self.certificateSecretRef.name) && self.certificateSecretRef.name != '')",
            "certificateSecretRef and protocol TLS belong together",
            message_expression=(
                "self.protocol == 'TLS' ? "
                "'protocol TLS needs certificateSecretRef: name a Secret of type "
                "kubernetes.io/tls' : "
                "'only protocol TLS takes a certificate: remove certificateSecretRef'"
            ),
            field_path=".certificateSecretRef",
        ),
        rule(
            "self.protocol == 'UDP' || !(self.port in [9090, 9091])",
            "9090 and 9091 over TCP are the pod's own, for metrics and admin: choose another port",
            field_path=".port",
        ),
    )

    protocol: Protocol
    """UDP, TCP, or TLS over TCP."""
    port: int = Field(ge=1, le=65535)
    """Port of the relay, and of the node for its first relay."""
    certificate_secret_ref: SecretRef = SecretRef()
    """Secret of type kubernetes.io/tls, with protocol TLS."""


class Peers(Model):
    """Whom relays may exchange media with. Everybody else is refused."""

    model_config = validated(
        rule(
            "(self.policy == 'CIDRs') == (has(self.cidrs) && self.cidrs.size() > 0)",
            "peers.cidrs and policy CIDRs belong together",
            message_expression=(
                "self.policy == 'CIDRs' ? "
                "'policy CIDRs needs at least one address range in peers.cidrs' : "
                "'policy EnginesOnly takes no address ranges: remove peers.cidrs, "
                "or set policy CIDRs'"
            ),
            field_path=".cidrs",
        )
    )

    policy: PeerPolicy = PeerPolicy.ENGINES_ONLY
    """EnginesOnly: the engine pods of the CallClusters that use this pool. CIDRs: also cidrs."""
    cidrs: Annotated[
        tuple[
            Annotated[
                str,
                Field(
                    max_length=43,
                    json_schema_extra=rules(
                        rule("isCIDR(self)", "write an address range such as 10.0.0.0/8")
                    ),
                ),
            ],
            ...,
        ],
        Field(max_length=64, json_schema_extra={"x-kubernetes-list-type": "set"}),
    ] = ()
    """Address ranges, at most 64."""


class Credentials(Model):
    """The master secrets that TURN credentials are derived from."""

    secret_ref: SecretRef = SecretRef()
    """Secret whose key `secrets` holds one master secret a line, newest first; without a name the
    operator makes one and rotates it."""
    max_lifetime_seconds: int = Field(default=86400, ge=60, le=604800)
    """Credentials that are valid for longer than this are refused."""


class Quota(Model):
    """What users and relays may have at most."""

    allocations_per_user: int = Field(default=10, ge=1, le=1000)
    """Allocations of one user name on one relay."""
    allocations_per_pod: int = Field(default=2000, ge=1, le=16384)
    """Allocations of one relay: its capacity."""
    bits_per_second_per_allocation: int = Field(default=0, ge=0, le=10_000_000_000)
    """Bits a second of one allocation in each direction; 0: no limit."""


class AllowedNamespaces(Model):
    """Whose CallClusters may use this pool."""

    model_config = validated(
        rule(
            "(self.from == 'Selector') == has(self.selector)",
            "allowedNamespaces.selector and from: Selector belong together",
            message_expression=(
                "self.from == 'Selector' ? "
                "'from: Selector needs the labels of the namespaces in allowedNamespaces.selector' "
                ": 'only from: Selector takes a selector: remove allowedNamespaces.selector'"
            ),
            field_path=".selector",
        )
    )

    from_: NamespacesFrom = Field(default=NamespacesFrom.SAME, alias="from")
    """Same: only the pool's own namespace. All: every namespace. Selector: namespaces whose
    labels match."""
    selector: LabelSelector | None = None
    """Labels of the namespaces."""


class TurnPoolSpec(FleetSpec):
    """What a fleet of relays shall be."""

    model_config = validated(
        rule(
            "self.listeners.all(a, self.listeners.all(b, "
            "(a.protocol == b.protocol && a.port == b.port) || "
            "(a.protocol == 'UDP') != (b.protocol == 'UDP') || "
            "a.port - b.port >= self.exposure.relaysPerNode || "
            "b.port - a.port >= self.exposure.relaysPerNode))",
            "each listener takes exposure.relaysPerNode ports of a node from its own on: listeners "
            "that share UDP or TCP (TLS is TCP) must stand at least that far apart",
            field_path=".listeners",
        ),
        rule(
            "self.listeners.all(a, a.port + self.exposure.relaysPerNode <= 65536)",
            "each listener takes exposure.relaysPerNode ports of a node from its own on, and "
            "65535 is the last: choose a lower port",
            field_path=".listeners",
        ),
        rule(
            "self.listeners.all(a, self.listeners.all(b, "
            "!has(a.certificateSecretRef) || !has(b.certificateSecretRef) || "
            "a.protocol != 'TLS' || b.protocol != 'TLS' || "
            "a.certificateSecretRef == b.certificateSecretRef))",
            "a relay has one certificate: name the same Secret in all listeners with protocol TLS",
            field_path=".listeners",
        ),
        rule(
            "self.exposure.type != 'HostNetwork' || self.listeners.all(a, a.port >= 1024)",
            "in the node's network a relay that is not root cannot listen below port 1024: choose "
            "a higher port, or exposure HostPort",
            field_path=".listeners",
        ),
        not_set_by_operator("CALLFLEET_RELAY", RELAY_VARIABLES),
    )

    resources: ResourceRequirements = DEFAULT_RELAY_RESOURCES
    """CPU and memory of a relay. What is set here takes the place of the whole default."""
    scaling: TurnPoolScaling = TurnPoolScaling()
    """How many relays are open."""
    exposure: RelayExposure = RelayExposure()
    """How clients reach the relays."""
    listeners: Annotated[
        tuple[Listener, ...],
        Field(min_length=1, max_length=8, json_schema_extra={LIST_KEYS: ["protocol", "port"]}),
    ] = (Listener(protocol=Protocol.UDP, port=3478),)
    """Ports on which relays speak TURN."""
    realm: str = Field(default="", max_length=127, pattern=r'^[^"\\\s]*$')
    """TURN realm; empty: NAME.NAMESPACE."""
    peers: Peers = Peers()
    """Whom relays may exchange media with."""
    credentials: Credentials = Credentials()
    """The master secrets that TURN credentials are derived from."""
    quota: Quota = Quota()
    """What users and relays may have at most."""
    region: str = Field(
        default="", max_length=63, pattern=r"^([A-Za-z0-9]([-_.A-Za-z0-9]*[A-Za-z0-9])?)?$"
    )
    """Where the relays stand, as nodes say it in their label topology.kubernetes.io/region. Clients
    of engines on nodes of this region are sent here first."""
    allowed_namespaces: AllowedNamespaces = AllowedNamespaces()
    """Whose CallClusters may use this pool."""

    @property
    def max_total_replicas(self) -> int:
        """Relays at most, with draining and surge ones."""
        if self.scaling.max_total_replicas is not None:
            return self.scaling.max_total_replicas
        return self.scaling.max_replicas + (self.scaling.max_replicas + 1) // 2

    @property
    def certificate_secret(self) -> str:
        """Secret with the certificate of the TLS listeners; empty without any."""
        names = (each.certificate_secret_ref.name for each in self.listeners)
        return next(filter(None, names), "")


class Endpoint(Model):
    """How clients reach one relay."""

    pod: str = Field(max_length=63)
    """Name of the pod."""
    region: str = Field(default="", max_length=63)
    """Where it stands."""
    urls: Annotated[tuple[Annotated[str, Field(max_length=512)], ...], Field(max_length=8)] = ()
    """TURN URLs (RFC 7065)."""


class TurnPoolStatus(FleetStatus):
    """What the operator reports of a fleet of relays."""

    allocations: int | None = Field(default=None, ge=0)
    """Allocations on all relays, rounded to five points of saturation."""
    saturation_percent: int | None = Field(default=None, ge=0)
    """Allocations and stress of all open relays together against their capacity."""
    failure_percent: int | None = Field(default=None, ge=0, le=100)
    """Users who were refused for want of relay capacity, of those who tried within the window."""
    attempts: int | None = Field(default=None, ge=0)
    """Users who tried within the window."""
    endpoints: Annotated[
        tuple[Endpoint, ...], Field(max_length=256, json_schema_extra={LIST_KEYS: ["pod"]})
    ] = ()
    """Relays that are handed out."""


class TurnPool(Model):
    """A fleet of TURN relays, and how it scales."""

    api_version: Literal["callfleet.dev/v1alpha1"] = API_VERSION
    kind: Literal["TurnPool"] = KIND
    metadata: Metadata
    spec: TurnPoolSpec = TurnPoolSpec()
    status: TurnPoolStatus = TurnPoolStatus()
