"""The pod template of engines. contracts.md, "What the operator gives a pod"."""

from __future__ import annotations

from typing import Any, Final

from callfleet_operator.api.v1alpha1 import CallClusterSpec
from callfleet_operator.api.v1alpha1.callcluster import AuthMode, EngineExposureType, StoreType
from callfleet_operator.api.v1alpha1.common import Address, AddressSource
from callfleet_operator.observe.nodes import EXTERNAL_ADDRESS
from callfleet_operator.observe.presets import PRESETS_KEY
from callfleet_operator.render.fleet import Fleet
from callfleet_operator.render.template import (
    HOST_NETWORK,
    certificate_variables,
    certificate_volumes,
    common_environment,
    from_pod,
    pod_template,
    variable,
)

SIGNALLING_PORT: Final = 8080
TLS_PORT: Final = 8443
"""Of signalling over TLS; pods reach each other on the other one."""
MEDIA_PORT: Final = "callfleet.dev/media-port"
"""Annotation of an engine pod: the UDP port of all its media. The pod itself reads it."""
MEDIA_PORT_RANGE: Final = "callfleet.dev/media-port-range"
"""Annotation of a template whose pods each get a port of their own from MIN-MAX."""
OWN_NETWORK_MEDIA_PORT: Final = 10000
"""Of pods that are reached at their own address: the same for all, no pod is in another's way."""

_PREFIX: Final = "CALLFLEET_ENGINE"
_CONFIG: Final = "/etc/callfleet/engine"
_JOIN_KEYS: Final = "/etc/callfleet/join-keys"
_TURN: Final = "/etc/callfleet/turn"
_POD: Final = "/etc/callfleet/pod"
_PRESETS: Final = "/etc/callfleet/presets"
_DATA: Final = "/var/lib/callfleet"


def engine_template(fleet: Fleet, spec: CallClusterSpec) -> dict[str, Any]:
    """The template that every engine pod of one revision is made from."""
    template = pod_template(
        fleet,
        spec,
        resources=spec.resources,
        environment=_environment(fleet, spec),
        ports=[
            {"name": "signalling", "containerPort": SIGNALLING_PORT, "protocol": "TCP"},
            *_tls_port(spec),
            {"name": "media", "containerPort": OWN_NETWORK_MEDIA_PORT, "protocol": "UDP"},
        ],
        volumes=_volumes(fleet, spec),
        annotations=_media_port(spec),
    )
    if spec.exposure.type is EngineExposureType.HOST_NETWORK:
        template["spec"] |= HOST_NETWORK
    return template


def _tls_port(spec: CallClusterSpec) -> list[dict[str, Any]]:
    if not spec.signalling.tls_secret_ref.name:
        return []
    return [{"name": "signalling-tls", "containerPort": TLS_PORT, "protocol": "TCP"}]


def is_direct(spec: CallClusterSpec) -> bool:
    """Whether clients may reach the pods without a relay, on a port of the node."""
    return spec.exposure.type is not EngineExposureType.TURN_ONLY


def _media_port(spec: CallClusterSpec) -> dict[str, str]:
    if not is_direct(spec):
        return {MEDIA_PORT: str(OWN_NETWORK_MEDIA_PORT)}
    ports = spec.exposure.host_port_range
    return {MEDIA_PORT_RANGE: f"{ports.min}-{ports.max}"}


def _exposure(spec: CallClusterSpec) -> list[dict[str, Any]]:
    """Which port and addresses the pod takes and tells clients."""
    port = from_pod(f"{_PREFIX}_MEDIA_PORT", f"metadata.annotations['{MEDIA_PORT}']")
    if not is_direct(spec):
        return [
            variable(f"{_PREFIX}_MEDIA_ADDRESS", f"$({_PREFIX}_POD_ADDRESS)"),
            port,
            variable(f"{_PREFIX}_REQUIRE_RELAY", "true"),
        ]
    # Relays send to the pod's own address, all others to the node's.
    return [
        from_pod(f"{_PREFIX}_MEDIA_ADDRESS", "status.podIPs"),
        port,
        variable(f"{_PREFIX}_ADVERTISE", "both"),
        _external_address(spec.exposure.address),
    ]


def _external_address(address: Address) -> dict[str, Any]:
    name = f"{_PREFIX}_EXTERNAL_ADDRESS"
    if address.source is AddressSource.STATIC:
        return variable(name, address.value)
    if address.source is AddressSource.NODE_INTERNAL_IP:
        return from_pod(name, "status.hostIP")
    if address.source is AddressSource.STUN:
        return variable(f"{name}_FROM", f"stun:{address.value}")
    # What only the operator can read, and only once the pod has a node.
    return variable(f"{name}_FILE", f"{_POD}/external-address")


def _environment(fleet: Fleet, spec: CallClusterSpec) -> list[dict[str, Any]]:
    made = [
        *common_environment(_PREFIX, _CONFIG, spec),
        variable(f"{_PREFIX}_LISTEN", f"0.0.0.0:{SIGNALLING_PORT}"),
        *_exposure(spec),
        variable(f"{_PREFIX}_CONSUMER", fleet.consumer),
        variable(f"{_PREFIX}_LIMITS_FILE", f"{_CONFIG}/limits.json"),
        variable(f"{_PREFIX}_TURN_KEYS_DIRECTORY", _TURN),
        variable(f"{_PREFIX}_TURN_CREDENTIAL_LIFETIME", spec.turn.credential_lifetime_seconds),
        variable(f"{_PREFIX}_RETENTION_DAYS", spec.store.retention_days),
        *_database(spec),
    ]
    if spec.auth.mode is AuthMode.OPEN:
        made.append(variable(f"{_PREFIX}_OPEN", "true"))
    else:
        made.append(variable(f"{_PREFIX}_KEYS_FILE", f"{_JOIN_KEYS}/keys.json"))
    if spec.signalling.tls_secret_ref.name:
        made.append(variable(f"{_PREFIX}_LISTEN_TLS", f"0.0.0.0:{TLS_PORT}"))
        made += certificate_variables(f"{_PREFIX}_TLS_CERT", f"{_PREFIX}_TLS_KEY")
    if spec.quality.presets_config_map_ref.name:
        made.append(variable(f"{_PREFIX}_QUALITY_PRESETS", f"{_PRESETS}/{PRESETS_KEY}"))
    if spec.signalling.allowed_origins:
        origins = " ".join(spec.signalling.allowed_origins)
        made.append(variable(f"{_PREFIX}_ALLOWED_ORIGINS", origins))
    return made


def _database(spec: CallClusterSpec) -> list[dict[str, Any]]:
    database = spec.store.postgresql
    if database is None:
        return [variable(f"{_PREFIX}_DATABASE", f"sqlite:///{_DATA}/calls.db")]
    secret = database.uri_secret_ref
    return [
        {
            "name": f"{_PREFIX}_DATABASE",
            "valueFrom": {"secretKeyRef": {"name": secret.name, "key": secret.key}},
        },
        variable(f"{_PREFIX}_DATABASE_CONNECTIONS", database.max_connections_per_pod),
    ]


def _volumes(fleet: Fleet, spec: CallClusterSpec) -> dict[str, tuple[str, dict[str, Any]]]:
    made: dict[str, tuple[str, dict[str, Any]]] = {
        "config": (_CONFIG, {"configMap": {"name": fleet.object_name}}),
        "turn-keys": (_TURN, {"secret": {"secretName": fleet.turn_secret_name}}),
        "tmp": ("/tmp", {"emptyDir": {"sizeLimit": "256Mi"}}),  # noqa: S108  # the pod's own
    }
    if is_direct(spec) and spec.exposure.address.source is AddressSource.AUTO:
        annotation = {
            "path": "external-address",
            "fieldRef": {
                "apiVersion": "v1",
                "fieldPath": f"metadata.annotations['{EXTERNAL_ADDRESS}']",
            },
        }
        made["pod"] = (_POD, {"downwardAPI": {"items": [annotation]}})
    if spec.auth.mode is AuthMode.TOKEN:
        keys = {"secretName": spec.auth.keys_secret_ref.name}
        made["join-keys"] = (_JOIN_KEYS, {"secret": keys})
    if presets := spec.quality.presets_config_map_ref.name:
        # The whole directory is mounted: a change reaches pods that run.
        made["presets"] = (_PRESETS, {"configMap": {"name": presets}})
    made |= certificate_volumes(spec.signalling.tls_secret_ref.name)
    if spec.store.type is StoreType.SQLITE:
        made["data"] = (_DATA, {"emptyDir": {}})
    return made
