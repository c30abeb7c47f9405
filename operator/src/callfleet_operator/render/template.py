"""What the pod templates of engines and relays have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from callfleet_operator.api.v1alpha1.common import FleetSpec
from callfleet_operator.render.fleet import Fleet

METRICS_PORT: Final = 9090
ADMIN_PORT: Final = 9091
GOODBYE_SECONDS: Final = 5
"""What a pod has between the end of its patience with sessions and the kubelet's SIGKILL."""
# cluster-autoscaler removes no node under a pod with calls; lifted once the pod is sealed.
SAFE_TO_EVICT: Final = "cluster-autoscaler.kubernetes.io/safe-to-evict"

CERTIFICATE_KEYS: Final = ("tls.crt", "tls.key")
"""Keys of a Secret of type kubernetes.io/tls."""
CERTIFICATE_PATH: Final = "/etc/callfleet/certificate"
HOST_NETWORK: Final = {"hostNetwork": True, "dnsPolicy": "ClusterFirstWithHostNet"}
"""Of a pod's spec: the network of its node."""

_PRIVILEGED_PORTS_END: Final = 1024


def variable(name: str, value: str | int) -> dict[str, Any]:
    """An environment variable."""
    return {"name": name, "value": str(value)}


def common_environment(prefix: str, config_directory: str, spec: FleetSpec) -> list[dict[str, Any]]:
    """Variables of both components. What later values refer to by `$(NAME)` stands first."""
    grace = spec.drain.termination_grace_period_seconds - GOODBYE_SECONDS
    return [
        from_pod(f"{prefix}_POD_NAME", "metadata.name"),
        from_pod(f"{prefix}_POD_UID", "metadata.uid"),
        from_pod(f"{prefix}_POD_ADDRESS", "status.podIP"),
        variable(f"{prefix}_METRICS", f"0.0.0.0:{METRICS_PORT}"),
        variable(f"{prefix}_ADMIN", f"0.0.0.0:{ADMIN_PORT}"),
        variable(f"{prefix}_ADMIN_KEYS_FILE", f"{config_directory}/admin-keys.json"),
        variable(f"{prefix}_TERMINATION_GRACE", grace),
    ]


def from_pod(name: str, field_path: str) -> dict[str, Any]:
    """An environment variable from the downward API."""
    return {
        "name": name,
        "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": field_path}},
    }


def certificate_volumes(secret: str) -> dict[str, tuple[str, dict[str, Any]]]:
    """Volumes of `pod_template` with the certificate of a Secret, if one is named.

    The whole directory is mounted: a renewed certificate reaches pods that run.
    """
    if not secret:
        return {}
    items = [{"key": key, "path": key} for key in CERTIFICATE_KEYS]
    return {"certificate": (CERTIFICATE_PATH, {"secret": {"secretName": secret, "items": items}})}


def certificate_variables(certificate: str, key: str) -> list[dict[str, Any]]:
    """Variables of these names with the paths of the certificate and its key."""
    names = zip((certificate, key), CERTIFICATE_KEYS, strict=True)
    return [variable(name, f"{CERTIFICATE_PATH}/{file}") for name, file in names]


def pod_template(
    fleet: Fleet,
    spec: FleetSpec,
    *,
    resources: Mapping[str, Any],
    environment: Sequence[Mapping[str, Any]],
    ports: Sequence[Mapping[str, Any]],
    volumes: Mapping[str, tuple[str, Mapping[str, Any]]],
    annotations: Mapping[str, str],
) -> dict[str, Any]:
    """The template of a fleet's pods, within Pod Security's level "restricted" but for the ports
    on the node that relays and engines get later, and the node's network (baseline and restricted
    forbid these).

    `volumes` gives to each name the path and the source. Nothing in here depends on
    `spec.scaling`: a change of the numbers must not change running pods.
    """
    container = {
        "name": str(fleet.component),
        "image": fleet.image,
        "imagePullPolicy": str(spec.image_pull_policy),
        "env": [*environment, *spec.env],
        "ports": [
            *ports,
            {"name": "metrics", "containerPort": METRICS_PORT, "protocol": "TCP"},
            {"name": "admin", "containerPort": ADMIN_PORT, "protocol": "TCP"},
        ],
        "resources": dict(resources),
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        },
        **_probes(),
        "volumeMounts": [
            {
                "name": name,
                "mountPath": path,
                **({} if "emptyDir" in source else {"readOnly": True}),
            }
            for name, (path, source) in volumes.items()
        ],
    }
    pod_spec: dict[str, Any] = {
        "serviceAccountName": fleet.object_name,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "restartPolicy": "Always",
        "terminationGracePeriodSeconds": spec.drain.termination_grace_period_seconds,
        "securityContext": _pod_security(ports),
        "containers": [container],
        "volumes": [{"name": name, **source} for name, (_, source) in volumes.items()],
        **_scheduling(fleet, spec),
    }
    if spec.image_pull_secrets:
        pod_spec["imagePullSecrets"] = [dict(secret) for secret in spec.image_pull_secrets]
    return {
        "metadata": {
            "labels": {**spec.pod_metadata.labels, **fleet.labels},
            "annotations": {
                **spec.pod_metadata.annotations,
                SAFE_TO_EVICT: "false",
                "prometheus.io/scrape": "true",
                "prometheus.io/port": str(METRICS_PORT),
                **annotations,
            },
        },
        "spec": pod_spec,
    }


def _pod_security(ports: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    context: dict[str, Any] = {
        "runAsNonRoot": True,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    if any(port["containerPort"] < _PRIVILEGED_PORTS_END for port in ports):
        # One of the safe sysctls: it takes the place of the capability NET_BIND_SERVICE.
        context["sysctls"] = [{"name": "net.ipv4.ip_unprivileged_port_start", "value": "0"}]
    return context


def _probes() -> dict[str, Any]:
    """A pod that is restarted loses its calls, so liveness is slow to judge."""

    def get(path: str, **timing: int) -> dict[str, Any]:
        return {"httpGet": {"path": path, "port": "metrics"}, "timeoutSeconds": 5, **timing}

    return {
        "startupProbe": get("/healthz", periodSeconds=2, failureThreshold=60),
        "livenessProbe": get("/healthz", periodSeconds=10, failureThreshold=6),
        "readinessProbe": get("/readyz", periodSeconds=5, failureThreshold=3),
    }


def _scheduling(fleet: Fleet, spec: FleetSpec) -> dict[str, Any]:
    scheduling = spec.scheduling
    spread = [dict(constraint) for constraint in scheduling.topology_spread_constraints]
    if not spread:
        spread = [
            {
                "maxSkew": 1,
                "topologyKey": key,
                "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": {"matchLabels": fleet.selector},
            }
            for key in ("topology.kubernetes.io/zone", "kubernetes.io/hostname")
        ]
    made: dict[str, Any] = {"topologySpreadConstraints": spread}
    if scheduling.node_selector:
        made["nodeSelector"] = dict(scheduling.node_selector)
    if scheduling.tolerations:
        made["tolerations"] = [dict(toleration) for toleration in scheduling.tolerations]
    if scheduling.affinity:
        made["affinity"] = dict(scheduling.affinity)
    if scheduling.priority_class_name:
        made["priorityClassName"] = scheduling.priority_class_name
    return made
