"""From a key to the round of its kind, and from what goes wrong to what the queue understands."""

from __future__ import annotations

from pydantic import ValidationError

from callfleet_operator.api.v1alpha1 import CallCluster
from callfleet_operator.gateway.errors import KubeError
from callfleet_operator.reconcile.call_cluster import reconcile_cluster
from callfleet_operator.reconcile.errors import RoundError
from callfleet_operator.reconcile.keys import Key
from callfleet_operator.reconcile.services import Services
from callfleet_operator.reconcile.turn_pool import reconcile_pool
from callfleet_operator.tracing import Span


async def reconcile(services: Services, key: Key) -> float | None:
    """One round; returns the seconds until the next, None when the object is gone.

    Raises RoundError for trouble outside of the operator.
    """
    names = {"kind": key.kind, "namespace": key.namespace, "name": key.name}
    with services.tracer.span("reconcile", **names) as span:
        return await _round(services, key, span)


async def _round(services: Services, key: Key, span: Span) -> float | None:
    try:
        resource = await services.resource(key)
        if resource is None:
            services.forget(key)
            return None
        if resource.metadata.deletion_timestamp is None:
            if isinstance(resource, CallCluster):
                decided = await reconcile_cluster(services, key, resource)
            else:
                decided = await reconcile_pool(services, key, resource)
            span.set(**decided.attributes)
    except KubeError as refusal:
        services.resources.doubt(key)  # it may be why
        raise RoundError(refusal.cause, str(refusal), refusal.retry_after) from refusal
    except ValidationError as unreadable:
        raise RoundError(
            "unreadable-object",
            f"{key} does not have the shape that this release knows; are the CRDs those of this "
            f"release? ({unreadable.error_count()} problems: {unreadable.errors()[0]['msg']})",
        ) from unreadable
    return services.tick
