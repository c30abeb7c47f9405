"""The API server as a person sees it: with a kubeconfig, a context, and the rights of its user.

Inside a pod without a kubeconfig it is the pod's service account, so that the same commands work
in the operator's own pod.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import aiohttp
import yaml
from kubernetes.aio.client import ApiClient, ApiException, Configuration
from kubernetes.aio.config import ConfigException, load_incluster_config, load_kube_config
from kubernetes.aio.dynamic import DynamicClient

from callfleet_operator.gateway.errors import UnavailableError, from_response
from callfleet_operator.gateway.kube import Body, ConnectError, Kube
from callfleet_operator.gateway.resources import PODS, ResourceType

MANAGER: Final = "callfleet-cli"
METRICS_PORT: Final = 9090
_SERVICE_ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_METRICS_LIMIT: Final = 1024 * 1024
_CONNECTIONS: Final = 16


@dataclass(frozen=True, slots=True)
class Access:
    """One right."""

    verb: str
    resource: str
    group: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""

    def __str__(self) -> str:
        what = "/".join(filter(None, [self.resource, self.subresource]))
        what = f"{what}.{self.group}" if self.group else what
        named = f" {self.name}" if self.name else ""
        return f"{self.verb} {what}{named}"


@dataclass(slots=True)
class UserKube(Kube):
    """A person's connection. Every request ends within `timeout` seconds."""

    namespace: str = "default"
    """Of the context, or of the pod."""
    in_cluster: bool = False

    async def merge(self, resource: ResourceType, namespace: str, name: str, patch: Body) -> Body:
        """JSON merge patch (RFC 7386). With metadata.resourceVersion in it, only of the object
        that was looked at: ConflictError if it has changed since."""
        return await self._request(
            "patch",
            resource,
            namespace,
            name,
            body=patch,
            content_type="application/merge-patch+json",
            query=[("fieldManager", MANAGER), ("fieldValidation", "Strict")],
        )

    async def user(self) -> str:
        """Whom the API server takes this person for."""
        answer = await self.create(
            {
                "apiVersion": "authentication.k8s.io/v1",
                "kind": "SelfSubjectReview",
                "metadata": {},
            }
        )
        return str(answer.get("status", {}).get("userInfo", {}).get("username", ""))

    async def may(self, access: Access, user: str = "", groups: tuple[str, ...] = ()) -> bool:
        """Whether this person, or another user, has a right."""
        spec: dict[str, Any] = {
            "resourceAttributes": {
                key: value
                for key, value in (
                    ("verb", access.verb),
                    ("group", access.group),
                    ("resource", access.resource),
                    ("subresource", access.subresource),
                    ("namespace", access.namespace),
                    ("name", access.name),
                )
                if value
            }
        }
        kind = "SelfSubjectAccessReview"
        if user:
            kind = "SubjectAccessReview"
            spec |= {"user": user, "groups": list(groups)}
        answer = await self.create(
            {"apiVersion": "authorization.k8s.io/v1", "kind": kind, "metadata": {}, "spec": spec}
        )
        return bool(answer.get("status", {}).get("allowed"))

    async def pod_metrics(self, namespace: str, pod: str, within: float) -> str:
        """What a pod of a fleet shows at /metrics now, through the API server."""
        path = PODS.path(namespace, f"{pod}:{METRICS_PORT}", "proxy") + "/metrics"
        return await self.text(path, what=f"get pods/proxy {namespace}/{pod}", within=within)

    async def log(self, namespace: str, pod: str, *, most: int, previous: bool = False) -> str:
        """The end of a pod's log, at most so many octets."""
        query = [("tailLines", "20000"), ("limitBytes", str(most)), ("timestamps", "true")]
        if previous:
            query.append(("previous", "true"))
        path = PODS.path(namespace, pod, "log")
        return await self.text(path, what=f"get pods/log {namespace}/{pod}", query=query, most=most)

    async def text(
        self,
        path: str,
        *,
        what: str,
        query: list[tuple[str, str]] | None = None,
        most: int = _METRICS_LIMIT,
        within: float | None = None,
    ) -> str:
        """An answer that is no object, cut after so many octets; raises KubeError."""
        timeout = min(within or self.timeout, self.timeout)
        try:
            async with asyncio.timeout(timeout):
                response = await self.client.request(
                    "get",
                    path,
                    query_params=query or [],
                    header_params={"Accept": "*/*"},
                    _request_timeout=timeout,
                    serialize=False,
                )
                content = bytearray()
                async for chunk in response.content.iter_chunked(64 * 1024):
                    content += chunk
                    if len(content) >= most:
                        response.close()
                        break
                return bytes(content[:most]).decode(errors="replace")
        except ApiException as refusal:
            raise from_response(
                what, refusal.status or 0, refusal.body, refusal.headers
            ) from refusal
        except TimeoutError as late:
            raise UnavailableError(what, 0, f"no answer within {timeout:g} s") from late
        except (aiohttp.ClientError, OSError) as broken:
            raise UnavailableError(what, 0, f"{type(broken).__name__}: {broken}") from broken


@asynccontextmanager
async def connect_user(
    *, kubeconfig: Path | None, context: str, answer_within: float
) -> AsyncIterator[UserKube]:
    """A connection as kubectl would make it; raises ConnectError, whose message says what to do."""
    configuration = Configuration()
    paths = _kubeconfig_paths(kubeconfig)
    in_cluster = not paths
    if in_cluster:
        namespace = _load_service_account(configuration)
    else:
        namespace = await _load_kubeconfig(configuration, paths, context)
    configuration.connection_pool_maxsize = _CONNECTIONS
    async with ApiClient(configuration) as client:
        client.user_agent = f"callfleet-cli/{version('callfleet')}"
        yield UserKube(
            DynamicClient(client),  # type: ignore[no-untyped-call]  # untyped library
            answer_within,
            namespace=namespace,
            in_cluster=in_cluster,
        )


def _kubeconfig_paths(given: Path | None) -> str:
    """As kubectl finds them; empty inside a pod that has none. Raises ConnectError."""
    named = str(given) if given else os.environ.get("KUBECONFIG", "")
    default = Path.home() / ".kube" / "config"
    if not named and not default.is_file() and (_SERVICE_ACCOUNT / "token").is_file():
        return ""
    paths = named or str(default)
    if not any(Path(path).expanduser().is_file() for path in paths.split(os.pathsep) if path):
        raise ConnectError(
            f"There is no kubeconfig at {paths}: name one with --kubeconfig or in the environment "
            "variable KUBECONFIG."
        )
    return paths


def _load_service_account(configuration: Configuration) -> str:
    try:
        load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
        return (_SERVICE_ACCOUNT / "namespace").read_text("ascii").strip()
    except (ConfigException, OSError) as problem:
        raise ConnectError(f"The pod's service account cannot be used: {problem}.") from problem


async def _load_kubeconfig(configuration: Configuration, paths: str, context: str) -> str:
    try:
        loader = await load_kube_config(  # type: ignore[no-untyped-call]
            config_file=paths,
            context=context or None,
            client_configuration=configuration,
            persist_config=False,
        )
        current = loader.current_context["context"]
        return str(current.get("namespace") or "default")
    except ConfigException as problem:
        remedy = "see `kubectl config get-contexts`, and choose one with --context"
        raise ConnectError(f"The kubeconfig {paths} cannot be used: {problem}; {remedy}.") from (
            problem
        )
    except (yaml.YAMLError, AttributeError, KeyError, TypeError, ValueError, OSError) as broken:
        # What the library does with a file that is no kubeconfig.
        raise ConnectError(
            f"{paths} is no kubeconfig ({type(broken).__name__}): try `kubectl config view`."
        ) from broken
