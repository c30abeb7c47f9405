"""The operator's own Deployment, as far as one may see it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from callfleet_operator.gateway.kube import Body
from callfleet_operator.gateway.resources import DEPLOYMENTS
from callfleet_operator.gateway.user import UserKube

SELECTOR: Final = "app.kubernetes.io/name=callfleet-operator"
_IN_CLUSTER: Final = re.compile(
    r"(?P<service>[a-z0-9-]+)\.(?P<namespace>[a-z0-9-]+)(\.svc(\..*)?)?"
)


@dataclass(frozen=True, slots=True)
class Installation:
    """What the Deployment says of the operator."""

    namespace: str
    name: str
    image: str
    service_account: str
    available: int
    wanted: int
    prometheus_url: str
    prometheus_token_file: str
    """In its pod; empty: none."""
    namespaces: tuple[str, ...]
    """That it serves; empty: all."""

    @property
    def user(self) -> str:
        """Whom the API server takes it for."""
        return f"system:serviceaccount:{self.namespace}:{self.service_account}"

    @property
    def groups(self) -> tuple[str, ...]:
        """As of every service account."""
        return (
            "system:serviceaccounts",
            f"system:serviceaccounts:{self.namespace}",
            "system:authenticated",
        )


async def find_installations(kube: UserKube, namespace: str) -> list[Installation]:
    """The operators in a namespace; raises KubeError."""
    found = await kube.list_all(DEPLOYMENTS, namespace, SELECTOR)
    return [installation_of(body) for body in found]


def installation_of(body: Body) -> Installation:
    """Out of the Deployment as the chart makes it."""
    pod = body["spec"]["template"]["spec"]
    container = pod["containers"][0]
    flags: dict[str, list[str]] = {}
    for argument in container.get("args") or []:
        name, _, value = argument.partition("=")
        flags.setdefault(name, []).append(value)
    return Installation(
        namespace=body["metadata"]["namespace"],
        name=body["metadata"]["name"],
        image=container.get("image", ""),
        service_account=pod.get("serviceAccountName", "default"),
        available=(body.get("status") or {}).get("availableReplicas", 0),
        wanted=body["spec"].get("replicas", 1),
        prometheus_url=(flags.get("--prometheus-url") or [""])[0],
        prometheus_token_file=(flags.get("--prometheus-token-file") or [""])[0],
        namespaces=tuple(flags.get("--namespace", ())),
    )


def proxied(url: str) -> str:
    """Where the API server passes on to a Service of the cluster; empty for another address."""
    match = re.fullmatch(r"(https?)://([^/:]+)(?::([0-9]+))?(/.*)?", url)
    host = _IN_CLUSTER.fullmatch(match[2]) if match else None
    if match is None or host is None:
        return ""
    scheme, port = match[1], match[3] or ("443" if match[1] == "https" else "80")
    path = (match[4] or "").rstrip("/")
    prefix = "https:" if scheme == "https" else ""
    return (
        f"/api/v1/namespaces/{host['namespace']}/services/{prefix}{host['service']}:{port}"
        f"/proxy{path}"
    )
