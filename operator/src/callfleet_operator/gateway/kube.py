"""The API server: reads, server-side apply, guarded patches and deletes, events."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
import orjson
from kubernetes.aio.client import ApiClient, ApiException, Configuration
from kubernetes.aio.config import ConfigException, load_incluster_config, load_kube_config
from kubernetes.aio.dynamic import DynamicClient

from callfleet_operator.gateway.difference import apply_would_change
from callfleet_operator.gateway.errors import (
    ConflictError,
    GoneError,
    InvalidError,
    KubeError,
    NotFoundError,
    UnavailableError,
    from_response,
)
from callfleet_operator.gateway.gate import Check, guarded
from callfleet_operator.gateway.resources import PODS, ResourceType, resource_of

FIELD_MANAGER = "callfleet-operator"
PAGE = 500
MAX_PAGES = 200
_CONNECTIONS = 32
_REMEMBERED = 100_000

Body = dict[str, Any]
CountRequest = Callable[[str, str, int], None]
"""Called with verb, plural and status (0: no answer) of every request."""


class ConnectError(Exception):
    """No credentials for an API server; the message says where they are looked for."""


@dataclass(slots=True)
class _Applied:
    """What an apply sent and what came of it, to know a value that the server writes otherwise."""

    sent: bytes
    """Its digest: there may be many."""
    resource_version: str


@dataclass(slots=True)
class Kube:
    """One connection to the API server. Every request ends within `timeout` seconds."""

    client: DynamicClient
    timeout: float
    count: CountRequest = lambda _verb, _resource, _code: None
    _applied: dict[str, _Applied] = field(default_factory=dict)

    async def get(self, resource: ResourceType, namespace: str, name: str) -> Body | None:
        """The object, or None if there is none."""
        try:
            return await self._request("get", resource, namespace, name)
        except NotFoundError:
            return None

    async def list_all(
        self, resource: ResourceType, namespace: str = "", label_selector: str = ""
    ) -> list[Body]:
        """All objects that match, page by page. Starts anew once if a page's token has expired."""
        try:
            return await self._all(resource, namespace, label_selector)
        except GoneError:
            return await self._all(resource, namespace, label_selector)

    async def probe(self, resource: ResourceType, namespace: str = "") -> None:
        """List one object; raises what keeps the operator from reading the kind."""
        await self._request("list", resource, namespace, query=[("limit", "1")])

    async def serves(self, resource: ResourceType) -> bool:
        """Whether the API server has the kind at present; needs no rights."""
        try:
            found = await self._request("discover", resource)
        except NotFoundError:
            return False
        return any(one.get("name") == resource.plural for one in found.get("resources", []))

    async def _all(self, resource: ResourceType, namespace: str, label_selector: str) -> list[Body]:
        return [
            # The items of a list do not say themselves what they are.
            {"apiVersion": resource.api_version, "kind": resource.kind, **item}
            async for page in self.pages(resource, namespace, label_selector)
            for item in page.get("items", [])
        ]

    async def pages(
        self, resource: ResourceType, namespace: str = "", label_selector: str = ""
    ) -> AsyncIterator[Body]:
        """Lists of at most PAGE objects each, all of one resource version.

        Raises GoneError if a page's token has expired meanwhile.
        """
        token: str | None = None
        for _ in range(MAX_PAGES):
            page = await self._request(
                "list",
                resource,
                namespace,
                query=[
                    ("limit", str(PAGE)),
                    *([("labelSelector", label_selector)] if label_selector else []),
                    *([("continue", token)] if token else []),
                ],
            )
            yield page
            token = page.get("metadata", {}).get("continue")
            if not token:
                return
        raise KubeError(
            f"list {resource.plural}", 0, f"more than {MAX_PAGES * PAGE} objects match; narrow it"
        )

    async def apply(self, body: Body, live: Body | None = None) -> Body:
        """Server-side apply, unless the live object already is what it would become.

        Conflicting fields are taken over: what the operator renders is the operator's.
        """
        resource = resource_of(body)
        if live is None:
            metadata = body["metadata"]
            live = await self.get(resource, metadata.get("namespace", ""), metadata["name"])
        return await self._apply(resource, body, live)

    async def apply_status(self, live: Body, status: Body) -> Body:
        """Apply the status of a custom resource, unless it already is the live one's."""
        resource = resource_of(live)
        metadata = live["metadata"]
        body = {
            "apiVersion": resource.api_version,
            "kind": resource.kind,
            "metadata": {
                "name": metadata["name"],
                "namespace": metadata["namespace"],
            },
            "status": status,
        }
        return await self._apply(resource, body, live, subresource="status")

    async def _apply(
        self,
        resource: ResourceType,
        body: Body,
        live: Body | None,
        subresource: str = "",
    ) -> Body:
        namespace, name = body["metadata"].get("namespace", ""), body["metadata"]["name"]
        identity = f"{resource.plural}/{namespace}/{name}/{subresource}"
        sent = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).digest()
        if live is not None:
            if self._is_applied(identity, sent, body, live, subresource):
                return live
            # An object that has taken the place of the one looked at is not written to.
            body = {**body, "metadata": {**body["metadata"], "uid": live["metadata"]["uid"]}}
        try:
            result = await self._request(
                "apply",
                resource,
                namespace,
                name,
                subresource=subresource,
                body=body,
                content_type="application/apply-patch+yaml",
                query=[("fieldManager", FIELD_MANAGER), ("force", "true"), _STRICT],
            )
        except InvalidError as refusal:
            if "metadata.uid: " not in refusal.message:
                raise
            raise ConflictError(
                refusal.what, refusal.status, "another object has taken its place"
            ) from refusal
        if len(self._applied) >= _REMEMBERED:
            self._applied.clear()  # only costs one write each
        self._applied[identity] = _Applied(sent, result["metadata"]["resourceVersion"])
        return result

    def _is_applied(
        self, identity: str, sent: bytes, body: Body, live: Body, subresource: str
    ) -> bool:
        last = self._applied.get(identity)
        if (
            last is not None
            and last.sent == sent
            and last.resource_version == live["metadata"]["resourceVersion"]
        ):
            return True
        compared = {key: value for key, value in body.items() if key != "metadata"}
        compared["metadata"] = {
            key: value
            for key, value in body["metadata"].items()
            if key in ("labels", "annotations", "ownerReferences")
        }
        return not apply_would_change(compared, live, FIELD_MANAGER, subresource)

    async def create(self, body: Body) -> Body:
        """Create; raises AlreadyExistsError."""
        resource = resource_of(body)
        return await self._request(
            "create",
            resource,
            body["metadata"].get("namespace", ""),
            body=body,
            query=[("fieldManager", FIELD_MANAGER), _STRICT],
        )

    async def replace(self, body: Body) -> Body:
        """Replace exactly the version that was looked at; raises ConflictError, NotFoundError."""
        metadata = body["metadata"]
        return await self._request(
            "update",
            resource_of(body),
            metadata.get("namespace", ""),
            metadata["name"],
            body=body,
            query=[("fieldManager", FIELD_MANAGER), _STRICT],
        )

    async def patch_pod(
        self, namespace: str, name: str, uid: str, resource_version: str, changes: list[Body]
    ) -> Body:
        """JSON patch of exactly the pod that was looked at.

        Raises ConflictError if it is another or has changed since, NotFoundError if it is gone.
        """
        tests = [
            {"op": "test", "path": "/metadata/uid", "value": uid},
            {"op": "test", "path": "/metadata/resourceVersion", "value": resource_version},
        ]
        try:
            return await self._request(
                "patch",
                PODS,
                namespace,
                name,
                body=[*tests, *changes],
                content_type="application/json-patch+json",
                query=[("fieldManager", FIELD_MANAGER), _STRICT],
            )
        except InvalidError as refusal:
            if _TEST_FAILED not in refusal.message:
                raise
            raise ConflictError(
                refusal.what, refusal.status, "the pod has changed since it was looked at"
            ) from refusal

    async def delete_pod(self, namespace: str, name: str, uid: str, resource_version: str) -> None:
        """Delete exactly the pod that was looked at; one that is gone already is fine.

        Raises ConflictError if it is another or has changed since.
        """
        await self.delete(PODS, namespace, name, uid, resource_version)

    async def delete(
        self, resource: ResourceType, namespace: str, name: str, uid: str, resource_version: str
    ) -> None:
        """As `delete_pod`, any object."""
        try:
            await self._request(
                "delete",
                resource,
                namespace,
                name,
                body={
                    "apiVersion": "v1",
                    "kind": "DeleteOptions",
                    "preconditions": {"uid": uid, "resourceVersion": resource_version},
                },
            )
        except NotFoundError:
            return

    async def _request(
        self,
        verb: str,
        resource: ResourceType,
        namespace: str = "",
        name: str = "",
        *,
        subresource: str = "",
        body: Body | list[Body] | None = None,
        content_type: str = "application/json",
        query: list[tuple[str, str]] | None = None,
    ) -> Body:
        if verb == "discover":
            path = f"/apis/{resource.api_version}"
        else:
            path = resource.path(namespace, name, subresource)
        what = " ".join(
            filter(None, [verb, resource.plural, "/".join(filter(None, [namespace, name]))])
        )
        status = 0
        try:
            async with asyncio.timeout(self.timeout):
                response = await self.client.request(
                    _METHODS[verb],
                    path,
                    body=body,
                    content_type=content_type,
                    query_params=query or [],
                    header_params=_HEADERS,
                    _request_timeout=self.timeout,
                    serialize=False,
                )
                status = response.status
                answer = orjson.loads(await response.read())
        except ApiException as refusal:
            status = refusal.status or 0
            raise from_response(what, status, refusal.body, refusal.headers) from refusal
        except TimeoutError as late:
            raise UnavailableError(what, 0, f"no answer within {self.timeout:g} s") from late
        except (aiohttp.ClientError, OSError) as broken:
            raise UnavailableError(what, 0, f"{type(broken).__name__}: {broken}") from broken
        except ValueError as garbage:
            raise UnavailableError(what, status, f"the answer is no JSON: {garbage}") from garbage
        finally:
            self.count(verb, resource.plural, status)
        if not isinstance(answer, dict):
            raise UnavailableError(what, status, "the answer is no JSON object")
        return answer


_TEST_FAILED = "the server rejected our request due to an error in our request"
"""All that the API server says when a JSON patch cannot be carried out; a broken rule is named."""
_HEADERS = {"Accept": "application/json", "Accept-Encoding": "identity"}
"""To pack and unpack long lists would cost both ends more time than the network has to gain."""
_STRICT = ("fieldValidation", "Strict")
_METHODS = {
    "discover": "get",
    "get": "get",
    "list": "get",
    "create": "post",
    "apply": "patch",
    "patch": "patch",
    "update": "put",
    "delete": "delete",
}


def environment_proxy(server: str) -> str | None:
    """The proxy that HTTPS_PROXY, HTTP_PROXY and NO_PROXY name for an address, if any."""
    address = urlsplit(server)
    if proxy_bypass(address.netloc):
        return None
    return getproxies().get(address.scheme)


@asynccontextmanager
async def connect(
    *,
    answer_within: float,
    count: CountRequest,
    gate: Check,
    in_cluster: bool,
    kubeconfig: Path | None = None,
    connections: int = _CONNECTIONS,
) -> AsyncIterator[Kube]:
    """A connection with the pod's service account, or as a kubeconfig says.

    `gate` is asked before each request that changes something. `kubeconfig`: default KUBECONFIG in
    the environment, then ~/.kube/config.

    Raises ConnectError if neither can be used.
    """
    configuration = Configuration()
    try:
        if in_cluster:
            load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
        else:
            await load_kube_config(  # type: ignore[no-untyped-call]
                config_file=None if kubeconfig is None else str(kubeconfig),
                client_configuration=configuration,
            )
    except ConfigException as problem:
        raise ConnectError(
            f"No way to the API server: {problem}. Run the operator in a pod, or set KUBECONFIG."
        ) from problem
    configuration.connection_pool_maxsize = connections
    configuration.trace_configs = [guarded(gate)]
    # The session would read ~/.netrc and look for a proxy in a thread for each request: twice as
    # much work as the request itself. A proxy is looked for once, and credentials are settled.
    configuration.client_session_kwargs = {"trust_env": False}
    configuration.proxy = configuration.proxy or environment_proxy(configuration.host)
    async with ApiClient(configuration) as client:
        client.user_agent = f"callfleet-operator/{version('callfleet')}"
        yield Kube(DynamicClient(client), answer_within, count)  # type: ignore[no-untyped-call] # untyped library
