"""The questions of `callfleet doctor`. Each ends in lines, whatever happens."""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from pathlib import Path
from typing import Final

from callfleet_operator.api.v1alpha1 import CallCluster, TurnPool
from callfleet_operator.api.v1alpha1.callcluster import AuthMode
from callfleet_operator.api.v1alpha1.crd import KINDS as CRD_KINDS
from callfleet_operator.api.v1alpha1.crd import custom_resource_definition
from callfleet_operator.cli.installation import Installation, find_installations, proxied
from callfleet_operator.cli.rights import command_rights, operator_rights
from callfleet_operator.cli.views.checks import (
    Check,
    condition_checks,
    crd_check,
    ok,
    problem,
    query_check,
    unknown,
)
from callfleet_operator.gateway.errors import ForbiddenError, KubeError
from callfleet_operator.gateway.prometheus import Prometheus, PrometheusError
from callfleet_operator.gateway.resources import CRDS, SECRETS
from callfleet_operator.gateway.stun import NoAnswerError, TurnServer, binding
from callfleet_operator.gateway.user import Access, UserKube
from callfleet_operator.observe.queries import (
    DEMAND_WINDOW,
    engine_queries,
    outcomes_query,
    relay_queries,
    scope_of,
    users_query,
)

Resource = CallCluster | TurnPool
Ask = Callable[[str], Awaitable[int]]
"""A query to the number of its series; raises PrometheusError or KubeError."""
PROMETHEUS_TIMEOUT: Final = 5.0
RELAY_TIMEOUT: Final = 3.0
RELAYS_AT_MOST: Final = 64
_TOGETHER: Final = 8
_OFTEN_EMPTY: Final = frozenset({"arrivals", "hourly_arrivals", "duration", "call_size"})
"""Rates and means that have no series before the first call."""


def inside(installation: Installation | None, namespace: str) -> str:
    """How to look at a namespace again with the operator's eyes."""
    where, name, prometheus = "callfleet-system", "callfleet-operator", ""
    if installation is not None:
        # Its service account may not read its own Deployment, where the address stands.
        where, name = installation.namespace, installation.name
        prometheus = f" --prometheus-url {installation.prometheus_url}"
        if installation.prometheus_token_file:
            prometheus += f" --prometheus-token-file {installation.prometheus_token_file}"
    return (
        f"Look from inside: kubectl -n {where} exec deployment/{name} -- callfleet doctor "
        f"-n {namespace}{prometheus}"
    )


async def check_crds(kube: UserKube) -> AsyncIterator[Check]:
    """Whether the two kinds are installed, with the fields of this release."""
    for kind in CRD_KINDS:
        subject = f"CRD {kind.plural}"
        try:
            live = await kube.get(CRDS, "", f"{kind.plural}.callfleet.dev")
        except ForbiddenError as refusal:
            yield unknown(subject, f"{refusal.message}.", "Ask somebody who may read CRDs.")
            continue
        if live is None:
            yield problem(
                subject,
                "is not installed.",
                "Install the chart with crds.enabled, or kubectl apply --server-side -f crds/",
            )
        else:
            yield crd_check(kind.plural, live, custom_resource_definition(kind))


async def check_operator(kube: UserKube, namespace: str) -> tuple[Installation | None, list[Check]]:
    """Whether the operator runs, and what it was told."""
    subject = "operator"
    try:
        found = await find_installations(kube, namespace)
    except KubeError as refusal:
        remedy = "Ask for the verb list on deployments there, or name --operator-namespace."
        return None, [unknown(subject, f"{refusal.message.rstrip('.')}.", remedy)]
    if not found:
        remedy = "Install the chart, or name the namespace with --operator-namespace."
        return None, [problem(subject, f"There is none in namespace {namespace}.", remedy)]
    one = found[0]
    if one.available < 1:
        text = f"{one.namespace}/{one.name}: {one.available} of {one.wanted} replicas available."
        remedy = f"kubectl -n {one.namespace} describe deployment {one.name}"
        return one, [problem(subject, text, remedy)]
    return one, [ok(subject, f"{one.namespace}/{one.name} runs, image {one.image}.")]


async def check_own_rights(kube: UserKube) -> Check:
    """Which commands one may use."""
    subject = "your rights"
    missing: list[str] = []
    try:
        for command, rights in command_rights(kube.namespace).items():
            denied = [right for right in rights if not await kube.may(right)]
            if denied:
                missing.append(f"{command} (no {', '.join(map(str, denied[:3]))})")
    except KubeError as refusal:
        return unknown(subject, f"{refusal.message.rstrip('.')}.", "Ask your administrator.")
    if not missing:
        return ok(subject, f"Every command may be used in namespace {kube.namespace}.")
    # Not a fault of the installation: many shall only look.
    return ok(subject, f"Every command but: {'; '.join(missing)}.")


async def check_operator_rights(
    kube: UserKube, installation: Installation | None, namespace: str
) -> Check:
    """Whether the operator has the rights that it needs in a namespace."""
    subject = f"operator's rights in {namespace}"
    remedy = inside(installation, namespace)
    try:
        me = await kube.user()
        user = "" if installation is None or installation.user == me else installation.user
        if installation is None and not kube.in_cluster:
            return unknown(subject, "The operator's service account is not known.", remedy)
        groups = installation.groups if installation else ()
        denied = await _denied(kube, tuple(operator_rights(namespace)), user, groups)
    except ForbiddenError:
        return unknown(subject, "You may not ask for others' rights.", remedy)
    except KubeError as refusal:
        return unknown(subject, f"{refusal.message.rstrip('.')}.", remedy)
    if denied:
        shown = ", ".join(map(str, denied[:6]))
        more = f" and {len(denied) - 6} more" if len(denied) > 6 else ""
        return problem(
            subject,
            f"It may not {shown}{more}.",
            "Install the chart's RBAC, and name the namespace in watchNamespaces if that is used.",
        )
    return ok(subject, "It has every right that it needs.")


async def _denied(
    kube: UserKube, rights: tuple[Access, ...], user: str, groups: tuple[str, ...]
) -> list[Access]:
    slots = asyncio.Semaphore(_TOGETHER)

    async def allowed(right: Access) -> bool:
        async with slots:
            return await kube.may(right, user, groups if user else ())

    answers = await asyncio.gather(*(allowed(right) for right in rights))
    return [right for right, granted in zip(rights, answers, strict=True) if not granted]


async def check_prometheus(
    kube: UserKube,
    installation: Installation | None,
    url: str,
    token_file: Path | None,
    resources: Iterable[Resource],
) -> list[Check]:
    """Whether Prometheus answers, and each query of the operator."""
    subject = "Prometheus"
    address = url or (installation.prometheus_url if installation else "")
    resources = tuple(resources)
    if not address:
        remedy = "Name its address with --prometheus-url."
        return [unknown(subject, "Its address is not known.", remedy)]
    client = Prometheus(address, timeout=PROMETHEUS_TIMEOUT, token_file=token_file)

    async def direct(query: str) -> int:
        return round(sum((await client.query(f"count({query})", ())).values.values()))

    async def through_api_server(query: str) -> int:
        return await _proxied_query(kube, proxied(address), query)

    ways: list[tuple[str, Ask]] = [(f"{address} from here", direct)]
    if not url and not kube.in_cluster and proxied(address):
        ways.insert(0, (f"{address} through the API server", through_api_server))
    try:
        return await _ask_prometheus(ways, resources, installation, kube.namespace, given=bool(url))
    finally:
        client.close()


async def _ask_prometheus(
    ways: list[tuple[str, Ask]],
    resources: tuple[Resource, ...],
    installation: Installation | None,
    namespace: str,
    *,
    given: bool,
) -> list[Check]:
    trouble = []
    for way, ask in ways:
        try:
            await ask("vector(1)")
        except (PrometheusError, KubeError, ValueError) as failed:
            trouble.append(f"{way}: {str(failed).rstrip('.')}")
            continue
        return [
            ok("Prometheus", f"{way} answers."),
            *[one async for one in _queries(ask, resources, installation)],
        ]
    text = f"Not reached ({'; '.join(trouble)})."
    if given or not installation:
        return [problem("Prometheus", text, "Check --prometheus-url and that Prometheus runs.")]
    # An address of the cluster means little here: only the operator's own view counts.
    return [unknown("Prometheus", text, inside(installation, namespace))]


async def _queries(
    ask: Ask, resources: tuple[Resource, ...], installation: Installation | None
) -> AsyncIterator[Check]:
    scope = scope_of(installation.namespaces if installation else ())
    clusters = [one for one in resources if isinstance(one, CallCluster)]
    pools = [one for one in resources if isinstance(one, TurnPool)]
    asked: list[tuple[str, str, bool]] = []
    for metric, query in engine_queries(scope, DEMAND_WINDOW).items():
        expected = _serves(clusters) and metric not in _OFTEN_EMPTY
        asked.append((f"engines {metric}", query, expected))
    asked += [
        (f"relays {metric}", query, _serves(pools))
        for metric, query in relay_queries(scope).items()
    ]
    for pool in pools:
        name, namespace = pool.metadata.name, pool.metadata.namespace
        seconds = pool.spec.scaling.window_seconds
        asked.append((f"users of {name}", users_query(namespace, name, seconds), False))
        asked.append((f"outcomes of {name}", outcomes_query(namespace, name, seconds), False))
    for name, query, expected in asked:
        try:
            yield query_check(name, await ask(query), expected=expected)
        except (PrometheusError, KubeError, ValueError) as failed:
            yield problem(f"query {name}", f"{str(failed).rstrip('.')}.", "See Prometheus' log.")


def _serves(resources: Iterable[Resource]) -> bool:
    return any(one.status.replicas.open for one in resources)


async def _proxied_query(kube: UserKube, path: str, query: str) -> int:
    text = await kube.text(
        f"{path}/api/v1/query",
        what="get services/proxy",
        query=[("query", query)],
        most=16 * 1024 * 1024,
        within=PROMETHEUS_TIMEOUT,
    )
    answer = json.loads(text)
    if not isinstance(answer, dict) or answer.get("status") != "success":
        raise ValueError("the answer is not that of a Prometheus API")
    return len(answer["data"]["result"])


async def check_secrets(kube: UserKube, resource: Resource) -> AsyncIterator[Check]:
    """Whether the Secrets that a spec names are there. Their content is not looked at."""
    for name, key in _secrets(resource):
        subject = f"Secret {resource.metadata.namespace}/{name}"
        try:
            secret = await kube.get(SECRETS, resource.metadata.namespace, name)
        except KubeError:
            yield _by_condition(subject, key, resource)
            continue
        if secret is None:
            yield problem(subject, "does not exist.", f"Create it with the key {key}.")
        elif not _filled((secret.get("data") or {}).get(key)):
            yield problem(subject, f"has no key {key}, or it is empty.", "Add it.")
        else:
            yield ok(subject, f"has the key {key}.")


def _secrets(resource: Resource) -> list[tuple[str, str]]:
    if isinstance(resource, TurnPool):
        name = resource.spec.credentials.secret_ref.name or f"{resource.metadata.name}-relay-turn"
        return [(name, "secrets")]
    found = []
    if resource.spec.auth.mode is AuthMode.TOKEN:
        found.append((resource.spec.auth.keys_secret_ref.name, "keys.json"))
    if resource.spec.store.postgresql is not None:
        uri = resource.spec.store.postgresql.uri_secret_ref
        found.append((uri.name, uri.key))
    return found


def _filled(value: object) -> bool:
    try:
        return isinstance(value, str) and bool(base64.b64decode(value, validate=True))
    except (binascii.Error, ValueError):
        return False


def _by_condition(subject: str, key: str, resource: Resource) -> Check:
    reasons = {one.type: one.reason for one in resource.status.conditions}
    if "SecretMissing" in reasons.values():
        return problem(subject, "The operator misses a Secret.", f"It needs the key {key}.")
    if reasons:
        return ok(subject, "You may not read it; the operator does not complain of it.")
    return unknown(subject, "You may not read it.", "Ask somebody who may.")


async def check_relays(resource: TurnPool) -> list[Check]:
    """Whether each relay answers at the address that clients are told, from here."""
    slots = asyncio.Semaphore(_TOGETHER)
    name = resource.metadata.name
    endpoints = resource.status.endpoints[:RELAYS_AT_MOST]
    if not endpoints:
        return [
            problem(
                f"relays of {name}",
                "None is handed out.",
                "See the conditions Ready and AddressKnown.",
            )
        ]

    async def one(pod: str, url: str) -> Check:
        subject = f"relay {pod}"
        server = TurnServer.of(url)
        port = "TCP" if server.transport == "TLS" else server.transport
        async with slots:
            try:
                seconds = await binding(server, RELAY_TIMEOUT)
            except NoAnswerError as silent:
                return problem(
                    subject,
                    f"{url}: {silent}.",
                    f"Clients must reach {port} port {server.port} of {server.host}: see the "
                    "firewall and exposure.address; from here it may be another way than theirs.",
                )
        return ok(subject, f"{url} answered in {seconds * 1000:.0f} ms.")

    return list(
        await asyncio.gather(
            *(one(endpoint.pod, url) for endpoint in endpoints for url in endpoint.urls)
        )
    )


def check_object(resource: Resource) -> Iterable[Check]:
    """What the operator says of an object."""
    metadata = resource.metadata
    return condition_checks(
        f"{resource.kind} {metadata.namespace}/{metadata.name}", resource.status.conditions
    )
