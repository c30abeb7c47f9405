"""Writes what has been found: the status when it is worth a write, events on change."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import Any

from callfleet_operator.api.v1alpha1.common import Condition, FleetStatus
from callfleet_operator.gateway.errors import ForbiddenError, InvalidError
from callfleet_operator.gateway.kube import Body
from callfleet_operator.plan.decision import Decision
from callfleet_operator.reconcile.keys import Key
from callfleet_operator.reconcile.services import Services
from callfleet_operator.status.changes import Event, events, worth_writing
from callfleet_operator.status.table import documented

REPORTER = "callfleet.dev/operator"

log = logging.getLogger(__name__)


async def report(
    services: Services, key: Key, live: Body, status: dict[str, Any], decision: Decision
) -> None:
    """`live` is the custom resource as this round has read it, `status` what it is found to be."""
    # Server-side apply drops a list whose last item is taken away: empty is the same as absent.
    status = {name: value for name, value in status.items() if value != []}
    previous: dict[str, Any] = live.get("status") or {}
    memory = services.memory(key, live["metadata"]["uid"])
    now = services.now()
    services.metrics.desired(key, decision.desired_open)
    services.metrics.problems(key, _problems(status.get("conditions") or ()))
    if not worth_writing(previous, status, last_written=memory.status_written, now=now):
        return
    services.resources.note(key, await services.kube.apply_status(live, status))
    memory.status_written = now
    happened = events(_conditions(previous), _conditions(status), decision)
    await _post(services, live, happened)


def _problems(conditions: Iterable[Mapping[str, str]]) -> Iterable[tuple[str, str]]:
    named = [(one["type"], one["reason"]) for one in conditions]
    return [(kind, reason) for kind, reason in named if documented(kind, reason).warning]


def _conditions(status: dict[str, Any]) -> tuple[Condition, ...]:
    return FleetStatus.model_validate({"conditions": status.get("conditions") or ()}).conditions


async def _post(services: Services, live: Body, happened: Iterable[Event]) -> None:
    """Events are a courtesy: without the right to make them the round goes on."""
    metadata = live["metadata"]
    time = services.now().strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    for event in happened:
        try:
            await services.kube.create(
                {
                    "apiVersion": "events.k8s.io/v1",
                    "kind": "Event",
                    "metadata": {
                        "name": f"{metadata['name']}.{services.new_id()}",
                        "namespace": metadata["namespace"],
                    },
                    "eventTime": time,
                    "reportingController": REPORTER,
                    "reportingInstance": services.instance,
                    "action": "Reconcile",
                    "reason": event.reason,
                    "type": event.type,
                    "note": event.message,
                    "regarding": {
                        "apiVersion": live["apiVersion"],
                        "kind": live["kind"],
                        "name": metadata["name"],
                        "namespace": metadata["namespace"],
                        "uid": metadata["uid"],
                        "resourceVersion": metadata["resourceVersion"],
                    },
                }
            )
        except (ForbiddenError, InvalidError) as refusal:
            log.warning("event not posted: %s", refusal, extra={"event": "event-refused"})
