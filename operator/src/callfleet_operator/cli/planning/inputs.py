"""From flags and objects to what a plan is made from. Pure."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from callfleet_operator.api.v1alpha1 import CallClusterSpec
from callfleet_operator.api.v1alpha1.callcluster import EngineExposureType, StoreType
from callfleet_operator.api.v1alpha1.common import Cost
from callfleet_operator.cli.planning.asked import Asked
from callfleet_operator.cli.planning.choices import Assumption, Choices
from callfleet_operator.cli.planning.manifest import Planned
from callfleet_operator.cli.planning.pools import money_of, pool_terms, pools_of
from callfleet_operator.plan.sizing.inputs import (
    ANALYSIS,
    BITRATES,
    ENGINE_PACKETS,
    OVERHEAD_PERCENT,
    POD_MEGABITS,
    Bitrate,
    EngineTerms,
    Inputs,
    Prices,
    SizingError,
    Usage,
)

ASSUMED: Final = "assumed: use your own"
HOURS: Final = Decimal(20)
BUSY_DAYS: Final = 22
BUSY_HOUR_PERCENT: Final = Decimal(15)
PEOPLE_PER_CALL: Final = Decimal(4)
CALL_MINUTES: Final = Decimal(30)
BITRATE: Final = "720p"
DIRECT_RELAYED_PERCENT: Final = Decimal(5)
"""Of people who could reach engines without (the source document, TURN Server Scaling)."""
CONNECTIONS: Final = 10


def inputs_of(asked: Asked, planned: Planned | None) -> tuple[Inputs, tuple[Assumption, ...]]:
    """What counts, and each input with its source; raises SizingError on a contradiction."""
    choices = Choices()
    spec = planned.cluster.spec if planned else CallClusterSpec()
    where = planned.title if planned else "default"
    usage = _usage(asked, choices)
    bitrate = _bitrate(asked, choices)
    overhead = choices.choose(
        "overheadPercent",
        "headers over media",
        "%",
        flag="--overhead-percent",
        given=asked.overhead_percent,
        otherwise=OVERHEAD_PERCENT,
        source="the source document, of TURN",
    )
    engines = _engines(asked, choices, spec, where, given=planned is not None)
    relayed = _relayed(asked, choices, spec, given=planned is not None)
    prices = _prices(asked, choices, spec.cost, where)
    pools = tuple(
        pool_terms(asked, choices, name, pool, prices) for name, pool in pools_of(planned, relayed)
    )
    return (
        Inputs(usage, bitrate, overhead, relayed, engines, pools, prices),
        tuple(choices.made),
    )


def _usage(asked: Asked, choices: Choices) -> Usage:
    if asked.users is not None:
        choices.note("users", "users", asked.users, "", "--users")
    if asked.concurrent is not None:
        choices.note(
            "concurrent", "people in calls at a time", asked.concurrent, "", "--concurrent"
        )
    hours = choices.choose(
        "hoursPerMonth",
        "hours of calling a user",
        "h a month",
        flag="--hours-per-month",
        given=asked.hours_per_month,
        otherwise=HOURS,
        source=ASSUMED,
    )
    days, share = BUSY_DAYS, BUSY_HOUR_PERCENT
    if asked.users is None or asked.concurrent is None:
        days = choices.choose(
            "busyDays",
            "days they spread over",
            "a month",
            flag="--busy-days",
            given=asked.busy_days,
            otherwise=BUSY_DAYS,
            source=ASSUMED,
        )
        share = choices.choose(
            "busyHourPercent",
            "of a day's hours in the busiest",
            "%",
            flag="--busy-hour-percent",
            given=asked.busy_hour_percent,
            otherwise=BUSY_HOUR_PERCENT,
            source=ASSUMED,
        )
    elif asked.busy_days is not None or asked.busy_hour_percent is not None:
        raise SizingError(
            "--users and --concurrent together say how many are in calls at a time: remove "
            "--busy-days and --busy-hour-percent, or --concurrent."
        )
    return Usage(
        users=None if asked.users is None else Decimal(asked.users),
        concurrent=None if asked.concurrent is None else Decimal(asked.concurrent),
        hours_per_month=hours,
        busy_days=days,
        busy_hour_percent=share,
        people_per_call=choices.choose(
            "peoplePerCall",
            "people in a call",
            "",
            flag="--people-per-call",
            given=asked.people_per_call,
            otherwise=PEOPLE_PER_CALL,
            source=ASSUMED,
        ),
        call_minutes=choices.choose(
            "callMinutes",
            "length of a call",
            "min",
            flag="--call-minutes",
            given=asked.call_minutes,
            otherwise=CALL_MINUTES,
            source=ASSUMED,
        ),
    )


def _bitrate(asked: Asked, choices: Choices) -> Bitrate:
    profile = BITRATES[asked.bitrate or BITRATE]
    source = f"{profile.name} of {ANALYSIS}"
    if asked.bitrate is None:
        source += ", the default"
    audio = choices.choose(
        "audioKilobits",
        "audio a person sends",
        "kbit/s",
        flag="--audio-kbit",
        given=asked.audio_kbit,
        otherwise=profile.audio_kilobits,
        source=source,
    )
    video = choices.choose(
        "videoKilobits",
        "video a person sends",
        "kbit/s",
        flag="--video-kbit",
        given=asked.video_kbit,
        otherwise=profile.video_kilobits,
        source=source,
    )
    if not audio + video:
        raise SizingError(
            "Neither audio nor video is sent: raise --audio-kbit or --video-kbit above 0."
        )
    return Bitrate(profile.name, audio, video)


def _engines(
    asked: Asked, choices: Choices, spec: CallClusterSpec, where: str, *, given: bool
) -> EngineTerms:
    scaling = spec.scaling
    if given and spec.store.type is StoreType.SQLITE and scaling.max_replicas > 1:
        raise SizingError(
            f"{where} has a SQLite store, which serves one pod, and maxReplicas "
            f"{scaling.max_replicas}: set scaling.maxReplicas to 1, or choose store.type "
            "PostgreSQL."
        )
    connections: int | None = CONNECTIONS
    if given:
        server = spec.store.postgresql
        connections = server.max_connections_per_pod if server is not None else None
    terms = EngineTerms(
        participants_per_pod=choices.choose(
            "participantsPerPod",
            "participants of a full pod",
            "",
            flag="--participants-per-pod",
            given=asked.participants_per_pod,
            otherwise=spec.capacity.participants_per_pod,
            source=f"{where}: capacity.participantsPerPod",
        ),
        target_percent=choices.choose(
            "targetPercent",
            "target utilisation",
            "%",
            flag="--target-percent",
            given=asked.target_percent,
            otherwise=scaling.target_utilization_percent,
            source=f"{where}: scaling.targetUtilizationPercent",
        ),
        new_call_limit_percent=choices.choose(
            "newCallLimitPercent",
            "limit for new calls",
            "%",
            flag="--new-call-limit-percent",
            given=asked.new_call_limit_percent,
            otherwise=scaling.new_call_limit_percent,
            source=f"{where}: scaling.newCallLimitPercent",
        ),
        max_blocking_per_million=choices.choose(
            "maxBlockingPerMillion",
            "blocking limit",
            "in a million",
            flag="--max-blocking-per-million",
            given=asked.max_blocking_per_million,
            otherwise=scaling.max_blocking_per_million,
            source=f"{where}: scaling.maxBlockingPerMillion",
        ),
        min_pods=scaling.min_replicas,
        max_pods=scaling.max_replicas if given else None,
        pod_megabits=choices.choose(
            "podMegabits",
            "what a full pod sends",
            "Mbit/s",
            flag="--pod-mbit",
            given=asked.pod_mbit,
            otherwise=POD_MEGABITS,
            source="default: where an engine's egress stress is 1",
        ),
        packets_per_second=choices.choose(
            "podPackets",
            "what a full pod forwards",
            "packets/s",
            flag="--pod-packets",
            given=asked.pod_packets,
            otherwise=ENGINE_PACKETS,
            source="default: where an engine's packet stress is 1",
        ),
        connections_per_pod=connections,
    )
    choices.note("minPods", "pods at least", terms.min_pods, "", f"{where}: scaling.minReplicas")
    if terms.max_pods is not None:
        choices.note("maxPods", "pods at most", terms.max_pods, "", f"{where}: scaling.maxReplicas")
    return terms


def _relayed(asked: Asked, choices: Choices, spec: CallClusterSpec, *, given: bool) -> Decimal:
    only = spec.exposure.type is EngineExposureType.TURN_ONLY
    if given and only and asked.relayed_percent not in (None, 100):
        raise SizingError(
            "exposure.type TurnOnly sends all media through relays, so --relayed-percent can only "
            "be 100: remove it, or set exposure.type HostPort."
        )
    return choices.choose(
        "relayedPercent",
        "media through relays",
        "%",
        flag="--relayed-percent",
        given=asked.relayed_percent,
        otherwise=Decimal(100) if only else DIRECT_RELAYED_PERCENT,
        source=f"exposure.type {spec.exposure.type}"
        + ("" if only else ", of which the source document has 5 % relayed"),
    )


def _prices(asked: Asked, choices: Choices, cost: Cost, where: str) -> Prices:
    currency = asked.currency or cost.currency
    flagged = (asked.pod_price, asked.egress_price)
    for flag, own in zip(flagged, (cost.pod_monthly, cost.egress_per_gb), strict=True):
        if flag is None and own and currency != cost.currency:
            raise SizingError(
                f"{where} has prices in {cost.currency}, and --currency {currency} converts "
                "nothing: give --pod-price and --egress-price too, or remove --currency."
            )
    choices.note(
        "currency",
        "currency",
        currency,
        "",
        "--currency" if asked.currency else f"{where}: cost.currency",
    )
    return Prices(
        currency=currency,
        pod_monthly=choices.price(
            "podPrice",
            "an engine pod",
            f"{currency} a month",
            (asked.pod_price, "--pod-price"),
            (money_of(cost.pod_monthly), f"{where}: cost.podMonthly"),
        ),
        egress_per_gb=choices.price(
            "egressPrice",
            "egress of engines",
            f"{currency} a GB",
            (asked.egress_price, "--egress-price"),
            (money_of(cost.egress_per_gb), f"{where}: cost.egressPerGB"),
        ),
        other_monthly=choices.price(
            "otherMonthly",
            "database, load balancer and so on",
            f"{currency} a month",
            (asked.other_monthly, "--other-monthly"),
            missing="not counted",
        ),
    )
