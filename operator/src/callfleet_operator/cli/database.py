"""`callfleet doctor` and the database of a CallCluster."""

from __future__ import annotations

import base64
import binascii
from typing import Final

from callfleet_operator.api.v1alpha1 import CallCluster
from callfleet_operator.api.v1alpha1.callcluster import SecretKeyRef
from callfleet_operator.cli.views.checks import Check, connections_check, problem, unknown
from callfleet_operator.gateway.errors import KubeError
from callfleet_operator.gateway.kube import Body
from callfleet_operator.gateway.postgresql import (
    DatabaseError,
    DatabaseFullError,
    DatabaseRefusedError,
    connections,
)
from callfleet_operator.gateway.resources import SECRETS
from callfleet_operator.gateway.user import UserKube

WITHIN_SECONDS: Final = 5.0


async def check_database(kube: UserKube, cluster: CallCluster, look_inside: str) -> list[Check]:
    """Whether the server answers from here, and has the connections that all pods together take.

    `look_inside` is the remedy where it cannot be reached. Nothing for a CallCluster with SQLite,
    nor where the Secret does not hold a URI: `check_secrets` speaks of that.
    """
    server = cluster.spec.store.postgresql
    if server is None:
        return []
    subject = f"database of {cluster.metadata.name}"
    try:
        secret = await kube.get(SECRETS, cluster.metadata.namespace, server.uri_secret_ref.name)
    except KubeError as refusal:
        text = f"Its address cannot be read: {refusal.message.rstrip('.')}."
        return [unknown(subject, text, look_inside)]
    uri = _uri(secret, server.uri_secret_ref.key)
    if not uri:
        return []
    try:
        found = await connections(uri, WITHIN_SECONDS)
    except DatabaseError as trouble:
        return [_not_asked(subject, trouble, server.uri_secret_ref, kube, look_inside)]
    return [
        connections_check(
            subject,
            pods=cluster.spec.max_total_replicas,
            each=server.max_connections_per_pod,
            maximum=found.maximum,
            usable=found.usable,
        )
    ]


def _uri(secret: Body | None, key: str) -> str:
    encoded = ((secret or {}).get("data") or {}).get(key, "")
    try:
        return base64.b64decode(encoded, validate=True).decode().strip()
    except (binascii.Error, ValueError):
        return ""


def _not_asked(
    subject: str, trouble: DatabaseError, secret: SecretKeyRef, kube: UserKube, look_inside: str
) -> Check:
    if isinstance(trouble, DatabaseRefusedError):
        remedy = (
            f"Correct the key {secret.key} of the Secret {secret.name}, or users and databases of "
            "the server."
        )
        return problem(subject, f"It refused: {trouble}.", remedy)
    if isinstance(trouble, DatabaseFullError):
        remedy = "Raise max_connections, or lower store.postgresql.maxConnectionsPerPod."
        return problem(subject, f"It has no connection left: {trouble}.", remedy)
    text = f"Not reached from here: {trouble}."
    if not kube.in_cluster:
        # An address of the cluster means little here: only a pod's own view counts.
        return unknown(subject, text, look_inside)
    remedy = "See that it runs, the address in the Secret, and NetworkPolicies to it."
    return problem(subject, text, remedy)
