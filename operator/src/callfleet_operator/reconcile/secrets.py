"""Secrets that a spec names: whether they are there, and the master secrets of a pool."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass

from callfleet_operator.api.v1alpha1 import CallCluster, TurnPool
from callfleet_operator.api.v1alpha1.callcluster import AuthMode
from callfleet_operator.gateway.errors import AlreadyExistsError, ForbiddenError
from callfleet_operator.gateway.kube import Body
from callfleet_operator.gateway.resources import SECRETS
from callfleet_operator.observe.certificates import certificate_problem
from callfleet_operator.reconcile.objects import Troubles, is_owned
from callfleet_operator.reconcile.services import Services
from callfleet_operator.render.fleet import Fleet
from callfleet_operator.render.relay_pod import MASTER_SECRETS_KEY
from callfleet_operator.render.template import CERTIFICATE_KEYS
from callfleet_operator.render.turn_keys import parse_masters
from callfleet_operator.render.turn_secret import master_secret, new_master

JOIN_KEYS = "keys.json"


@dataclass(frozen=True, slots=True)
class Masters:
    """The master secrets of a pool, newest first, or why there are none."""

    secrets: Sequence[bytes] = ()
    missing: str = ""
    malformed: str = ""

    @property
    def trouble(self) -> str:
        """Why they cannot be used; empty if they can."""
        return self.missing or self.malformed


async def missing_secrets(services: Services, cluster: CallCluster) -> tuple[str, ...]:
    """Secrets, or keys in them, that a CallCluster's pods need and that are not there."""
    wanted: list[tuple[str, str]] = []
    if cluster.spec.auth.mode is AuthMode.TOKEN:
        wanted.append((cluster.spec.auth.keys_secret_ref.name, JOIN_KEYS))
    if cluster.spec.store.postgresql is not None:
        reference = cluster.spec.store.postgresql.uri_secret_ref
        wanted.append((reference.name, reference.key))
    namespace = cluster.metadata.namespace
    found = [await _value(services, namespace, name, key) for name, key in wanted]
    certificate = cluster.spec.signalling.tls_secret_ref.name
    return (
        *(value for value in found if isinstance(value, str)),
        *await certificate_troubles(services, namespace, certificate),
    )


async def certificate_troubles(services: Services, namespace: str, name: str) -> tuple[str, ...]:
    """What is wrong with the certificate of a Secret, if one is named."""
    if not name:
        return ()
    values = [await _value(services, namespace, name, key) for key in CERTIFICATE_KEYS]
    missing = tuple(value for value in values if isinstance(value, str))
    if missing:
        return tuple(dict.fromkeys(missing))
    certificate, key = (value for value in values if isinstance(value, bytes))
    problem = certificate_problem(certificate, key, services.now())
    return (f"Secret {name}: {problem}",) if problem else ()


async def pool_masters(services: Services, pool: TurnPool) -> Masters:
    """The master secrets of a pool as they stand; reads only."""
    name = pool.spec.credentials.secret_ref.name or _fleet(services, pool).turn_secret_name
    value = await _value(services, pool.metadata.namespace, name, MASTER_SECRETS_KEY)
    if isinstance(value, str):
        return Masters(missing=value)
    try:
        return Masters(parse_masters(value))
    except ValueError as malformed:
        return Masters(malformed=f"Secret {name}: {malformed}")


async def ensure_masters(services: Services, pool: TurnPool, troubles: Troubles) -> Masters:
    """As `pool_masters`; where the owner has named no Secret, one is made first.

    It is made once and never written again: replacing it would end every credential at once.
    """
    fleet = _fleet(services, pool)
    if pool.spec.credentials.secret_ref.name:
        return await pool_masters(services, pool)
    live = await services.kube.get(SECRETS, fleet.namespace, fleet.turn_secret_name)
    if live is None:
        body = master_secret(fleet, [new_master(services.randomness(32))])
        try:
            await services.kube.create(body)
        except AlreadyExistsError:
            live = await services.kube.get(SECRETS, fleet.namespace, fleet.turn_secret_name)
        except ForbiddenError as refusal:
            troubles.refused("Secret", fleet.turn_secret_name, refusal)
    if live is not None and not is_owned(live, fleet.uid):
        troubles.name_conflicts.append(f"Secret {fleet.turn_secret_name}")
    return await pool_masters(services, pool)


async def _value(services: Services, namespace: str, name: str, key: str) -> bytes | str:
    """A value of a Secret, or what is wrong."""
    try:
        secret: Body | None = await services.secrets.get(namespace, name)
    except ForbiddenError as refusal:
        return f"Secret {name} cannot be read: {refusal.message}"
    if secret is None:
        return f"Secret {name} does not exist"
    value = (secret.get("data") or {}).get(key)
    if not value:
        return f"Secret {name} has no key {key}"
    try:
        return base64.b64decode(value, validate=True)
    except binascii.Error:
        return f"Secret {name} has no readable key {key}"


def _fleet(services: Services, pool: TurnPool) -> Fleet:
    return Fleet.of(pool, services.installation)
