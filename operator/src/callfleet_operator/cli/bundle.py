"""`callfleet support-bundle`."""

from __future__ import annotations

import io
import json
import platform
import tarfile
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import click
import yaml

from callfleet_operator.cli.installation import SELECTOR
from callfleet_operator.cli.options import operator_namespace_option
from callfleet_operator.cli.session import Session, with_session
from callfleet_operator.cli.views.redaction import redacted, redacted_text
from callfleet_operator.gateway.errors import ForbiddenError, KubeError
from callfleet_operator.gateway.resources import (
    BUDGETS,
    CALL_CLUSTERS,
    CONFIG_MAPS,
    CRDS,
    DEPLOYMENTS,
    EVENTS,
    NETWORK_POLICIES,
    NODES,
    PODS,
    REVISIONS,
    SERVICES,
    TURN_POOLS,
    ResourceType,
)
from callfleet_operator.gateway.user import UserKube

OURS: Final = "app.kubernetes.io/part-of=callfleet"
LOG_LIMIT: Final = 8 * 1024 * 1024
"""Octets of one operator pod's log."""
PODS_WITH_LOGS: Final = 4
OBJECTS_AT_MOST: Final = 5000
"""Of one kind."""
_FLEET: Final[tuple[tuple[ResourceType, str], ...]] = (
    (CALL_CLUSTERS, ""),
    (TURN_POOLS, ""),
    (PODS, OURS),
    (CONFIG_MAPS, OURS),
    (REVISIONS, OURS),
    (SERVICES, OURS),
    (NETWORK_POLICIES, OURS),
    (BUDGETS, OURS),
    (EVENTS, ""),
)

EXAMPLES: Final = """
\b
Examples:
  callfleet support-bundle                      ./callfleet-NAMESPACE-TIME.tar.gz
  callfleet support-bundle -n media --file bundle.tar.gz
"""


@dataclass(slots=True)
class _Bundle:
    """Files by name, and what could not be had."""

    files: dict[str, str] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)

    def write(self, target: Path) -> None:
        """As a tar file that none but its owner can read."""
        self.add("missing.txt", "\n".join(self.missing) or "Nothing is missing.")
        with target.open("xb") as output:
            target.chmod(0o600)
            with tarfile.open(fileobj=output, mode="w:gz") as archive:
                for name, text in sorted(self.files.items()):
                    content = text.encode()
                    member = tarfile.TarInfo(f"{target.name.removesuffix('.tar.gz')}/{name}")
                    member.size, member.mode, member.mtime = len(content), 0o600, int(time.time())
                    archive.addfile(member, io.BytesIO(content))

    def add(self, name: str, text: str) -> None:
        self.files[name] = text if text.endswith("\n") else f"{text}\n"

    def add_objects(self, name: str, objects: list[dict[str, Any]]) -> None:
        if len(objects) > OBJECTS_AT_MOST:
            self.missing.append(f"{name}: {len(objects) - OBJECTS_AT_MOST} more objects")
        shown = [redacted(one) for one in objects[:OBJECTS_AT_MOST]]
        self.add(name, yaml.safe_dump_all(shown, sort_keys=False, allow_unicode=True))


@click.command("support-bundle", epilog=EXAMPLES)
@click.option(
    "--file",
    "target",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Where to write it; must not exist. Default: callfleet-NAMESPACE-TIME.tar.gz here.",
)
@operator_namespace_option
@with_session
def support_bundle(session: Session, *, target: Path | None, operator_namespace: str) -> None:
    """Everything that helps to find a fault, in one file, without secrets.

    It holds the fleets of a namespace with their pods, events, decisions and ConfigMaps, and the
    operator with its logs. Secrets are not read. Values of environment variables, tokens, keys and
    passwords are taken out of the rest; look at it yourself before you send it.
    """

    async def work(kube: UserKube) -> tuple[Path, _Bundle]:
        bundle = _Bundle()
        bundle.add("versions.json", json.dumps(await _versions(kube), indent=2))
        for resource, selector in _FLEET:
            await _collect(
                kube, bundle, "fleets", resource, namespace=kube.namespace, selector=selector
            )
        for resource in (DEPLOYMENTS, PODS):
            await _collect(
                kube, bundle, "operator", resource, namespace=operator_namespace, selector=SELECTOR
            )
        for resource in (NODES, CRDS):
            await _collect(kube, bundle, "cluster", resource)
        async for name, text in _logs(kube, bundle, operator_namespace):
            bundle.add(name, redacted_text(text))
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        return target or Path(f"callfleet-{kube.namespace}-{stamp}.tar.gz"), bundle

    path, bundle = session.run(work)
    try:
        bundle.write(path)
    except FileExistsError as there:
        raise click.ClickException(f"{path} exists already: name another --file.") from there
    except OSError as refused:
        raise click.ClickException(
            f"{path} cannot be written ({refused.strerror}): name another --file."
        ) from refused
    click.echo(f"{path}: {len(bundle.files)} files. Look at it before you send it.")
    for one in bundle.missing:
        click.echo(f"  without {one}")


async def _collect(
    kube: UserKube,
    bundle: _Bundle,
    folder: str,
    resource: ResourceType,
    *,
    namespace: str = "",
    selector: str = "",
) -> None:
    try:
        found = await kube.list_all(resource, namespace, selector)
    except KubeError as refusal:
        if isinstance(refusal, ForbiddenError) and refusal.status == 401:
            raise  # no credentials at all: an empty bundle would help nobody
        bundle.missing.append(f"{folder}/{resource.plural}: {refusal.message}")
        return
    if resource is CRDS:
        found = [one for one in found if one["spec"]["group"] == "callfleet.dev"]
    bundle.add_objects(f"{folder}/{resource.plural}.yaml", found)


async def _logs(kube: UserKube, bundle: _Bundle, namespace: str) -> AsyncIterator[tuple[str, str]]:
    try:
        pods = await kube.list_all(PODS, namespace, SELECTOR)
    except KubeError:
        return  # noted where the pods were collected
    if not pods:
        bundle.missing.append(f"operator logs: no operator in namespace {namespace}")
    for pod in pods[:PODS_WITH_LOGS]:
        name = pod["metadata"]["name"]
        statuses = (pod.get("status") or {}).get("containerStatuses") or []
        restarted = any(one.get("restartCount") for one in statuses)
        for previous in (False, True) if restarted else (False,):
            file = f"operator/{name}{'-previous' if previous else ''}.log"
            try:
                yield file, await kube.log(namespace, name, most=LOG_LIMIT, previous=previous)
            except KubeError as refusal:
                bundle.missing.append(f"{file}: {refusal.message}")


async def _versions(kube: UserKube) -> dict[str, str]:
    found = {
        "callfleet": version("callfleet"),
        "python": platform.python_version(),
        "namespace": kube.namespace,
        "collected": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    try:
        server = json.loads(await kube.text("/version", what="get /version"))
        found["kubernetes"] = str(server.get("gitVersion", ""))
    except (KubeError, ValueError) as unread:
        found["kubernetes"] = f"unknown: {unread}"
    return found
