"""Keeps the decisions that changed a number: one log line each, and the last ones in a ConfigMap.

Written before the steps that follow from a decision are taken, so that what an operator does and
dies of is explained. Nothing waits for it: what cannot be written now is written in a later round.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

from callfleet_operator.gateway.errors import KubeError
from callfleet_operator.gateway.resources import CONFIG_MAPS
from callfleet_operator.plan.decision import Decision, Steering
from callfleet_operator.reconcile.keys import Key, Kind
from callfleet_operator.reconcile.objects import is_owned
from callfleet_operator.reconcile.services import FleetMemory, Services
from callfleet_operator.render.decisions import (
    DECISIONS_KEY,
    decisions_config_map,
    decisions_name,
)
from callfleet_operator.render.fleet import Fleet
from callfleet_operator.status.history import (
    KEPT,
    HistoryError,
    Recorded,
    decode,
    encode,
    following,
    recorded,
)

log = logging.getLogger(__name__)


async def keep(services: Services, fleet: Fleet, memory: FleetMemory, decision: Decision) -> None:
    """Log and keep a decision if it changes a number; write what earlier rounds could not."""
    change = _change(decision, memory.would_scale_to)
    dry_run = decision.steering is Steering.DRAINS_ONLY
    memory.would_scale_to = decision.would_scale_to if dry_run else None
    if change is not None:
        before, after = change
        new = recorded(
            decision, number=1, at=services.now(), before=before, after=after, dry_run=dry_run
        )
        memory.unwritten = (*memory.unwritten, new)[-KEPT:]
    if memory.unwritten:
        await _write(services, fleet, memory)
    if change is not None:
        _log(fleet, memory, decision, new)
        if not dry_run:
            services.metrics.decided(
                Key(Kind(fleet.kind), fleet.namespace, fleet.name), decision.decisive
            )


def _change(decision: Decision, would_before: int | None) -> tuple[int, int] | None:
    """The numbers before and after, or None if nothing changes."""
    if decision.steering is Steering.FULL:
        before, after = decision.present_open, decision.desired_open
    elif decision.steering is Steering.DRAINS_ONLY:
        present = decision.present_open
        before = present if would_before is None else would_before
        after = decision.would_scale_to
    else:
        return None
    return None if before == after else (before, after)


async def _write(services: Services, fleet: Fleet, memory: FleetMemory) -> None:
    name = decisions_name(fleet.component, fleet.name)
    try:
        live = await services.kube.get(CONFIG_MAPS, fleet.namespace, name)
        if live is not None and not is_owned(live, fleet.uid):
            _warn(fleet, memory, f"ConfigMap {name} belongs to somebody else: rename or delete it")
            return
        past = _past(fleet, name, ((live or {}).get("data") or {}).get(DECISIONS_KEY))
        first = following(past)
        new = tuple(
            replace(one, number=first + place) for place, one in enumerate(memory.unwritten)
        )
        body = decisions_config_map(fleet, encode((*past, *new)))
        await services.kube.apply(body, live)
    except KubeError as refusal:
        # Whatever it is, scaling does not wait for it; the next round tries again.
        _warn(fleet, memory, str(refusal))
        return
    memory.unwritten = ()
    memory.last_number = new[-1].number
    memory.is_news("", "decisions", "")


def _past(fleet: Fleet, name: str, text: str | None) -> tuple[Recorded, ...]:
    if text is None:
        return ()
    try:
        return decode(text)
    except HistoryError as unreadable:
        log.warning(
            "ConfigMap %s held no decisions that can be read, it is begun anew: %s",
            name,
            unreadable,
            extra={"event": "decisions-unreadable", "object": _object(fleet)},
        )
        return ()


def _warn(fleet: Fleet, memory: FleetMemory, trouble: str) -> None:
    if memory.is_news("", "decisions", trouble):
        log.warning(
            "decisions are not kept: %s",
            trouble,
            extra={"event": "decisions-not-kept", "object": _object(fleet)},
        )


def _log(fleet: Fleet, memory: FleetMemory, decision: Decision, one: Recorded) -> None:
    would = "would go from " if one.dry_run else ""
    fields: dict[str, Any] = {
        "event": "decision",
        "object": _object(fleet),
        # Not known while the ConfigMap with the former ones cannot be read or written.
        "decision": None if memory.unwritten else memory.last_number,
        "dryRun": one.dry_run,
        "from": one.before,
        "to": one.after,
        "stage": one.stage,
        "reason": one.reason,
        "trace": [
            {
                "stage": record.stage,
                "before": str(record.before),
                "after": str(record.after),
                "reason": str(record.reason),
                "message": record.message,
            }
            for record in decision.trace
        ],
    }
    text = f"{_object(fleet)}: {would}{one.before} to {one.after} open pods: {one.message}"
    log.info("%s", text, extra=fields)


def _object(fleet: Fleet) -> str:
    return f"{fleet.kind} {fleet.consumer}"
