"""A plan as figures with their arithmetic in words."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Final

from callfleet_operator.cli.views.figures import Figure, Section, percent, plain
from callfleet_operator.cli.views.figures import money as as_money
from callfleet_operator.cli.views.words import count
from callfleet_operator.plan.sizing.bandwidth import DATABASE_KILOBYTES, SIGNALLING_KILOBYTES
from callfleet_operator.plan.sizing.cost import Item
from callfleet_operator.plan.sizing.engines import REACTION, Floor
from callfleet_operator.plan.sizing.inputs import (
    ALLOCATIONS_PER_PERSON,
    AUDIO_PACKETS,
    RECEIVED_COST,
    VIDEO_PACKET_BYTES,
)
from callfleet_operator.plan.sizing.relays import PoolPods
from callfleet_operator.plan.sizing.size import Sizing

FLOORS: Final = {
    Floor.TARGET: "the target",
    Floor.EGRESS: "egress",
    Floor.PACKETS: "packets",
    Floor.FREE_ROOM: "free room",
    Floor.BLOCKING: "the blocking limit",
    Floor.MINIMUM: "minReplicas",
}


def sections(sizing: Sizing) -> tuple[Section, ...]:
    """Everything, in the order in which one figure follows from another."""
    return (
        Section("load", "Load", tuple(_load(sizing))),
        Section("bandwidth", "Bandwidth in the busy hour", tuple(_bandwidth(sizing))),
        Section("engines", "Engine pods", tuple(_engines(sizing))),
        *(
            Section(
                f"relays.{pool.terms.name}",
                f"Relays of TurnPool {pool.terms.name}",
                tuple(_pool(sizing, pool)),
            )
            for pool in sizing.pools
        ),
        Section("cost", "Cost of a month", tuple(_cost(sizing))),
    )


def _load(sizing: Sizing) -> Iterator[Figure]:
    usage, load = sizing.inputs.usage, sizing.load
    users, concurrent = plain(load.users), plain(load.concurrent)
    habits = f"{plain(usage.hours_per_month)} h"
    share = f"{plain(usage.busy_hour_percent)} %"
    days = count(usage.busy_days, "day")
    yield Figure(
        "users",
        "users",
        load.users,
        "",
        "as given"
        if usage.users is not None
        else f"{concurrent} people at a time x {days} / ({habits} a month x {share})",
    )
    yield Figure(
        "userHours",
        "hours of all users",
        load.user_hours,
        "h a month",
        f"{users} users x {habits} a month",
    )
    yield Figure(
        "concurrent",
        "people in calls at a time",
        load.concurrent,
        "",
        "as given, mean of the busy hour"
        if usage.concurrent is not None
        else f"{users} users x {habits} a month / {days} x {share} in the busiest hour",
    )
    yield Figure(
        "calls",
        "calls at a time",
        load.erlangs,
        "erlang",
        f"{concurrent} people / {plain(usage.people_per_call)} a call",
    )
    yield Figure(
        "callsPerMinute",
        "calls that begin",
        load.calls_per_second * 60,
        "a minute",
        f"{plain(load.erlangs)} calls / {plain(usage.call_minutes)} min each",
    )


def _bandwidth(sizing: Sizing) -> Iterator[Figure]:
    inputs, load, media = sizing.inputs, sizing.load, sizing.bandwidth
    rate = inputs.bitrate
    people = f"{plain(load.concurrent)} people"
    yield Figure(
        "stream",
        "one person sends",
        media.stream,
        "Mbit/s",
        f"({plain(rate.audio_kilobits)} audio + {plain(rate.video_kilobits)} video) kbit/s"
        f" + {plain(inputs.overhead_percent)} % headers",
    )
    yield Figure(
        "received",
        "one person receives",
        media.received,
        "Mbit/s",
        f"{plain(media.stream)} Mbit/s x ({plain(inputs.usage.people_per_call)} - 1) of the call",
    )
    yield Figure(
        "streamPackets",
        "in packets",
        rate.packets,
        "a second",
        f"{AUDIO_PACKETS if rate.audio_kilobits else 0} audio + {plain(rate.video_kilobits)} "
        f"kbit/s x 1,000 / 8 / {plain(VIDEO_PACKET_BYTES)} bytes",
    )
    yield Figure(
        "enginesIn",
        "engines receive",
        media.engines_in,
        "Mbit/s",
        f"{people} x {plain(media.stream)} Mbit/s",
    )
    yield Figure(
        "enginesOut",
        "engines send",
        media.engines_out,
        "Mbit/s",
        f"{people} x {plain(media.received)} Mbit/s; that much leaves the cluster",
    )
    yield Figure(
        "relaysThrough",
        "through relays",
        media.relays_through,
        "Mbit/s",
        f"{plain(inputs.relayed_percent)} % of {people} x ({plain(media.stream)} + "
        f"{plain(media.received)}) Mbit/s, in and out again",
    )
    for key, label, value, kilobytes in (
        ("signalling", "signalling", media.signalling, SIGNALLING_KILOBYTES),
        ("database", "database", media.database, DATABASE_KILOBYTES),
    ):
        yield Figure(
            key,
            label,
            value,
            "Mbit/s",
            f"{plain(load.erlangs)} calls x {kilobytes} KB an hour x 8 / 3,600 s / 1,000; "
            "not in the egress",
        )


def _engines(sizing: Sizing) -> Iterator[Figure]:
    inputs, load, found = sizing.inputs, sizing.load, sizing.engines
    terms = inputs.engines
    people, erlangs = plain(load.concurrent), plain(load.erlangs)
    target, limit = f"{terms.target_percent} %", plain(terms.max_blocking_per_million)
    places = found.calls_per_pod
    yield Figure(
        "callsPerPod",
        "calls a pod",
        places,
        "",
        f"{terms.participants_per_pod} participants x {terms.new_call_limit_percent} % "
        f"/ {plain(inputs.usage.people_per_call)} a call, whole calls, at least 1",
    )
    yield Figure(
        "byTarget",
        "pods for the target",
        found.by_target,
        "",
        f"{people} people / ({terms.participants_per_pod} x {target}), rounded up",
    )
    yield Figure(
        "byEgress",
        "pods for egress",
        found.by_egress,
        "",
        f"{plain(sizing.bandwidth.engines_out)} Mbit/s / ({plain(terms.pod_megabits)} Mbit/s x "
        f"{target}), rounded up",
    )
    yield Figure(
        "byPackets",
        "pods for packets",
        found.by_packets,
        "",
        f"{people} people x {plain(inputs.bitrate.packets)} packets/s x "
        f"({plain(inputs.usage.people_per_call - 1)} forwarded + {RECEIVED_COST} for the one "
        f"received) / ({plain(terms.packets_per_second)} x {target}), rounded up",
    )
    yield Figure(
        "byFreeRoom",
        "pods for free room",
        found.by_free_room,
        "",
        f"({erlangs} calls, rounded up, + {found.reserve} that may begin in the "
        f"{REACTION.total_seconds():.0f} s until another pod is ready: mean + 3 sigma) / "
        f"{places} calls, rounded up",
    )
    yield Figure(
        "byBlocking",
        "pods for the blocking limit",
        found.by_blocking,
        "",
        f"the fewest x {places} calls that refuse at most {limit} in a million of {erlangs} erlang "
        "(Erlang B)"
        if found.by_blocking is not None
        else "maxBlockingPerMillion is 0: no such floor",
    )
    yield Figure(
        "pods",
        "pods",
        found.pods,
        "",
        f"the largest of {found.by_target}, {found.by_egress}, {found.by_packets}, "
        f"{found.by_free_room}, "
        f"{'' if found.by_blocking is None else f'{found.by_blocking} '}and minReplicas "
        f"{terms.min_pods}: {FLOORS[found.decisive]} decides",
    )
    yield Figure(
        "utilisationPercent",
        "utilisation",
        found.utilisation * 100,
        "%",
        f"{people} people / ({count(found.pods, 'pod')} x {terms.participants_per_pod})",
    )
    yield Figure(
        "blockingPerMillion",
        "new calls refused",
        _per_million(found.blocking),
        "in a million",
        f"Erlang B, {found.pods} x {places} places and {erlangs} erlang; {percent(found.blocking)}",
    )
    yield Figure(
        "blockingByTargetPerMillion",
        f"at a flat {target}",
        _per_million(found.blocking_by_target),
        "in a million",
        f"the same with the {count(found.by_target, 'pod')} of the target alone; "
        f"{percent(found.blocking_by_target)}",
    )
    yield Figure(
        "megabitsPerPod",
        "one pod sends",
        sizing.bandwidth.engines_out / found.pods,
        "Mbit/s",
        f"{plain(sizing.bandwidth.engines_out)} Mbit/s / {count(found.pods, 'pod')}",
    )
    if terms.connections_per_pod is not None:
        yield Figure(
            "databaseConnections",
            "database connections",
            found.pods * terms.connections_per_pod,
            "at most",
            f"{count(found.pods, 'pod')} x {terms.connections_per_pod}",
        )


def _pool(sizing: Sizing, pool: PoolPods) -> Iterator[Figure]:
    terms = pool.terms
    target = f"{terms.target_percent} %"
    people = pool.allocations / ALLOCATIONS_PER_PERSON
    stream, per_call = sizing.inputs.bitrate.packets, sizing.inputs.usage.people_per_call
    yield Figure(
        "allocations",
        "allocations",
        pool.allocations,
        "",
        f"{plain(people)} relayed people x {ALLOCATIONS_PER_PERSON} peer connections",
    )
    yield Figure(
        "byAllocations",
        "relays for allocations",
        pool.by_allocations,
        "",
        f"{plain(pool.allocations)} / ({plain(terms.allocations_per_pod)} a relay x {target}), "
        "rounded up",
    )
    yield Figure(
        "byPackets",
        "relays for packets",
        pool.by_packets,
        "",
        f"{plain(people)} relayed people x {plain(stream)} packets/s x {plain(per_call)} streams / "
        f"({plain(terms.packets_per_second)} x {target}), rounded up",
    )
    yield Figure(
        "pods",
        "relays",
        pool.pods,
        "",
        f"the largest of {pool.by_allocations}, {pool.by_packets} and minReplicas {terms.min_pods}",
    )
    yield Figure(
        "saturationPercent",
        "saturation",
        pool.saturation * 100,
        "%",
        f"{plain(pool.allocations)} allocations / ({count(pool.pods, 'relay')} x "
        f"{plain(terms.allocations_per_pod)})",
    )
    yield Figure(
        "megabitsPerPod",
        "one relay forwards",
        pool.megabits / pool.pods,
        "Mbit/s",
        f"{plain(pool.megabits)} Mbit/s / {count(pool.pods, 'relay')}",
    )


def _cost(sizing: Sizing) -> Iterator[Figure]:
    load, cost = sizing.load, sizing.cost
    received = plain(sizing.bandwidth.received)
    yield Figure(
        "egressGigabytes",
        "egress",
        cost.egress,
        "GB",
        f"{plain(load.user_hours)} h x {received} Mbit/s x 3,600 s / 8 / 1,000",
    )
    for item in cost.items:
        yield Figure(item.key, item.name, item.amount, cost.currency, _product(item), money=True)
    total = cost.total
    known = [as_money(item.amount) for item in cost.items if item.amount is not None]
    yield Figure(
        "total",
        "total",
        total,
        cost.currency,
        " + ".join(known) if total is not None else "a price is missing",
        money=True,
    )
    yield Figure(
        "perUser",
        "a user",
        None if total is None else (total / load.users).quantize(Decimal("0.0001")),
        cost.currency,
        "unknown total" if total is None else f"{as_money(total)} / {plain(load.users)} users",
        money=True,
    )


def _product(item: Item) -> str:
    unit = item.unit if item.quantity != 1 else item.unit.removesuffix("s")
    quantity = f"{plain(item.quantity)} {unit}"
    if item.price is None:
        return f"{quantity} x unknown price: say {item.missing}" if item.quantity else quantity
    return f"{quantity} x {item.price:,f}"


def _per_million(share: float) -> Decimal:
    return Decimal(share) * 1_000_000
