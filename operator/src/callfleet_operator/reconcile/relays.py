"""What engines and relays are told of one another."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from callfleet_operator.api.v1alpha1 import TurnPool
from callfleet_operator.api.v1alpha1.common import Mode
from callfleet_operator.api.v1alpha1.turnpool import Endpoint
from callfleet_operator.gateway.pod_admin import Outcome, Pod, Refused, Unreachable
from callfleet_operator.observation import Admission, FleetPod, Process
from callfleet_operator.observe.addresses import UnknownAddress, turn_urls
from callfleet_operator.plan.fleet import overdue
from callfleet_operator.reconcile.pods import Listed
from callfleet_operator.reconcile.relay_addresses import Addresses, ready_relays
from callfleet_operator.reconcile.services import FleetMemory, Services, Told
from callfleet_operator.reconcile.together import all_of

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class HandedOut:
    """The relays of a pool that clients are sent to."""

    relays: tuple[tuple[FleetPod, Endpoint], ...]
    unaddressed: tuple[str, ...]
    """Ready relays that clients cannot be sent to, and why."""

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        """For the pool's status."""
        return tuple(endpoint for _, endpoint in self.relays)


def handed_out(pool: TurnPool, listed: Listed, addresses: Addresses) -> HandedOut:
    """Open and ready relays with an address."""
    relays, unaddressed = [], []
    for pod in ready_relays(listed):
        address = addresses[pod.uid]
        if isinstance(address, UnknownAddress):
            unaddressed.append(f"{pod.name}: {address.why}")
            continue
        urls = turn_urls(address, pool.spec, pod.ordinal)
        relays.append((pod, Endpoint(pod=pod.name, region=pool.spec.region, urls=urls)))
    return HandedOut(tuple(relays), tuple(unaddressed))


def relay_list(pool: TurnPool, found: HandedOut) -> list[dict[str, Any]]:
    """A pool's part of the body of `PUT /admin/v1/relays`."""
    return [
        {
            "pool": f"{pool.metadata.namespace}/{pool.metadata.name}",
            "pod": pod.name,
            "region": endpoint.region,
            "urls": list(endpoint.urls),
            "freeAllocations": _free(pod),
        }
        for pod, endpoint in found.relays
    ]


def by_region(listed: Listed) -> dict[str, list[FleetPod]]:
    """Pods by the region of their node; an empty one where that is not known."""
    found: dict[str, list[FleetPod]] = {}
    for pod in listed.pods:
        node = (listed.nodes or {}).get(pod.node)
        found.setdefault(node.region if node is not None else "", []).append(pod)
    return found


def seen_from(region: str, relays: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """A list of relays for the engines of a region: those that stand there too are near."""
    return [{**relay, "near": bool(region) and relay["region"] == region} for relay in relays]


def ending_relays(pool: TurnPool, listed: Listed, now: datetime) -> tuple[FleetPod, ...]:
    """Draining relays that clients are to leave now: their deadline has passed."""
    if pool.spec.mode is Mode.PAUSED:
        return ()
    draining = [
        pod
        for pod in listed.pods
        if pod.admission is Admission.CORDONED and not pod.terminating and pod.address
    ]
    return overdue(draining, now, pool.spec.drain.reconnect_after)


def ending_list(pool: TurnPool, listed: Listed, now: datetime) -> list[dict[str, Any]]:
    """A pool's part of the body of `POST /admin/v1/leave-relays`."""
    name = f"{pool.metadata.namespace}/{pool.metadata.name}"
    return [{"pool": name, "pod": pod.name} for pod in ending_relays(pool, listed, now)]


def _free(pod: FleetPod) -> int:
    """Room on a relay. One of unknown load is not taken for full: it comes after those with
    known room."""
    used = pod.load.used
    return max(0 if used.low == used.high else 1, int(pod.load.capacity - used.high))


def peer_list(engines: Iterable[FleetPod]) -> list[dict[str, Any]]:
    """Body of `PUT /admin/v1/peers`: every engine pod that may carry a call, draining ones too.

    A pod with a media port is reached there only.
    """
    peers = {
        (pod.address, pod.media_port)
        for pod in engines
        if pod.address and pod.process is not Process.ENDED
    }
    return [
        {"address": address} if port is None else {"address": address, "port": port}
        for address, port in sorted(peers, key=lambda peer: (peer[0], peer[1] or 0))
    ]


async def push(
    pods: Iterable[FleetPod],
    put: Callable[[Pod], Awaitable[Outcome]],
    telling: tuple[str, object],
    memory: FleetMemory,
    services: Services,
) -> None:
    """Tell every pod that runs and does not know; `telling` names and holds what it is told.

    A pod that has not taken it is told again in the next round, and where nothing is held (None)
    every pod is. Only the first thing that is told since the start is told at a pace.
    """
    what, content = telling
    told = memory.told.get(what)
    if told is None or content is None or told.content != content:
        told = memory.told[what] = Told(content, is_first=told is None)
    running = [
        pod
        for pod in pods
        if pod.address
        and pod.ready
        and pod.admission is not Admission.SEALED
        and (content is None or _is_to_be_told(pod, told, services))
    ]

    async def tell(pod: FleetPod) -> None:
        outcome = await put(Pod(pod.address, pod.uid))
        trouble = ""
        if isinstance(outcome, Refused):
            trouble = outcome.message or outcome.code
        elif isinstance(outcome, Unreachable):
            trouble = outcome.detail
        else:
            told.pods[pod.uid] = pod.ready_changed, services.comparisons.clock()
        if memory.is_news(pod.uid, what, trouble if pod.ready else ""):
            log.warning(
                "%s has not taken its %s: %s",
                pod.name,
                what,
                trouble,
                extra={"event": f"{what}-not-taken", "pod": pod.name},
            )

    await all_of(tell(pod) for pod in running)


def _is_to_be_told(pod: FleetPod, told: Told, services: Services) -> bool:
    known = told.pods.get(pod.uid)
    if known is not None:
        ready, at = known
        if ready != pod.ready_changed:
            return True
        pace = services.tellings_again
        return pace.clock() - at >= services.tell_again and pace.take()
    is_new = pod.ready_changed is None or pod.ready_changed >= services.started
    return is_new or not told.is_first or services.first_tellings.take()
