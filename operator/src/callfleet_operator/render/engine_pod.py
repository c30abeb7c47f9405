"""The pod template of engines. contracts.md, "What the operator gives a pod"."""

from __future__ import annotations

from typing import Any, Final

from callfleet_operator.api.v1alpha1 import CallClusterSpec
from callfleet_operator.api.v1alpha1.callcluster import AuthMode, EngineExposureType, StoreType
from callfleet_operator.render.fleet import Fleet
from callfleet_operator.render.template import common_environment, pod_template, variable

SIGNALLING_PORT: Final = 8080

_PREFIX: Final = "CALLFLEET_ENGINE"
_CONFIG: Final = "/etc/callfleet/engine"
_JOIN_KEYS: Final = "/etc/callfleet/join-keys"
_TURN: Final = "/etc/callfleet/turn"
_DATA: Final = "/var/lib/callfleet"


def engine_template(fleet: Fleet, spec: CallClusterSpec) -> dict[str, Any]:
    """The template that every engine pod of one revision is made from."""
    return pod_template(
        fleet,
        spec,
        resources=spec.resources,
        environment=_environment(fleet, spec),
        ports=[{"name": "signalling", "containerPort": SIGNALLING_PORT, "protocol": "TCP"}],
        volumes=_volumes(fleet, spec),
        annotations={},
    )


def _environment(fleet: Fleet, spec: CallClusterSpec) -> list[dict[str, Any]]:
    made = [
        *common_environment(_PREFIX, _CONFIG, spec),
        variable(f"{_PREFIX}_LISTEN", f"0.0.0.0:{SIGNALLING_PORT}"),
        variable(f"{_PREFIX}_MEDIA_ADDRESS", f"$({_PREFIX}_POD_ADDRESS)"),
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
    if spec.exposure.type is EngineExposureType.TURN_ONLY:
        made.append(variable(f"{_PREFIX}_REQUIRE_RELAY", "true"))
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
    if spec.auth.mode is AuthMode.TOKEN:
        keys = {"secretName": spec.auth.keys_secret_ref.name}
        made["join-keys"] = (_JOIN_KEYS, {"secret": keys})
    if spec.store.type is StoreType.SQLITE:
        made["data"] = (_DATA, {"emptyDir": {}})
    return made
