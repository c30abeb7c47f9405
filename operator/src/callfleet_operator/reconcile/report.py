"""Writes what has been found: the status when it is worth a write, events on change."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

from callfleet_operator.api.v1alpha1.common import Condition, FleetStatus
from callfleet_operator.gateway.errors import ForbiddenError, InvalidError
from callfleet_operator.plan.decision import Decision
from callfleet_operator.reconcile.keys import Key
from callfleet_operator.reconcile.resource_directory import Resource
from callfleet_operator.reconcile.services import Services
from callfleet_operator.status.changes import Event, events, worth_writing
from callfleet_operator.status.table import documented

REPORTER = "callfleet.dev/operator"

log = logging.getLogger(__name__)


async def report(
    services: Services, key: Key, resource: Resource, found: FleetStatus, decision: Decision
) -> None:
    """`resource` is the custom resource as this round has read it, `found` what its status should
    be."""
    services.metrics.desired(key, decision.desired_open)
    services.metrics.problems(key, _problems(found.conditions))
    if found == resource.status:
        return  # as nearly always, and told sooner of the models than of their JSON
    memory, now = services.memory(key, resource.metadata.uid), services.now()
    previous, status = _body(resource.status), _body(found)
    if not worth_writing(previous, status, last_written=memory.status_written, now=now):
        return
    written = await services.kube.apply_status(_reference(resource), status)
    services.resources.note(key, written)
    memory.status_written = now
    await _post(services, resource, events(resource.status.conditions, found.conditions, decision))


def _body(status: FleetStatus) -> dict[str, Any]:
    # Server-side apply drops a list whose last item is taken away: empty is the same as absent.
    return {name: value for name, value in status.to_api().items() if value != []}


def _reference(resource: Resource) -> dict[str, Any]:
    """What says which object is meant, and which version of it was looked at."""
    metadata = resource.metadata
    return {
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "metadata": {
            "name": metadata.name,
            "namespace": metadata.namespace,
            "uid": metadata.uid,
            "resourceVersion": metadata.resource_version,
        },
    }


def _problems(conditions: Iterable[Condition]) -> Iterable[tuple[str, str]]:
    return [
        (one.type, one.reason) for one in conditions if documented(one.type, one.reason).warning
    ]


async def _post(services: Services, resource: Resource, happened: Iterable[Event]) -> None:
    """Events are a courtesy: without the right to make them the round goes on."""
    reference = _reference(resource)
    regarding = {**reference.pop("metadata"), **reference}
    time = services.now().strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    for event in happened:
        try:
            await services.kube.create(
                {
                    "apiVersion": "events.k8s.io/v1",
                    "kind": "Event",
                    "metadata": {
                        "name": f"{resource.metadata.name}.{services.new_id()}",
                        "namespace": resource.metadata.namespace,
                    },
                    "eventTime": time,
                    "reportingController": REPORTER,
                    "reportingInstance": services.instance,
                    "action": "Reconcile",
                    "reason": event.reason,
                    "type": event.type,
                    "note": event.message,
                    "regarding": regarding,
                }
            )
        except (ForbiddenError, InvalidError) as refusal:
            log.warning("event not posted: %s", refusal, extra={"event": "event-refused"})
