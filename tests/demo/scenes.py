"""The scenes of the demo. Each leads the load into a phase and waits for what must follow."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import quote

from tests.charts.dashboard import QUIET, queries
from tests.cluster.images import has_cargo
from tests.demo.media import watch_media_while_draining
from tests.demo.sizes import Sizes
from tests.demo.snapshot import Pod, Snapshot
from tests.demo.stage import Stage

REJECTED = "CredentialsRejected"
SETTLE_RECONCILES = 12
"""Rounds of the operator in which a drain would have begun, were one going to."""


@dataclass(frozen=True)
class Scene:
    """One act of the demo."""

    name: str
    title: str
    play: Callable[[Stage], None]


def scenario(sizes: Sizes) -> dict[str, object]:
    """The file for `callfleet load`, with a phase for each thing the scenes lead it into."""
    people = {"participantsPerCall": sizes.participants_per_call, "until": "command"}
    long = {"limitSeconds": 4 * sizes.limit_seconds}

    def phase(name: str, calls: int, **more: object) -> dict[str, object]:
        return {"name": name, "calls": calls, **people, **long, **more}

    return {
        "roomPrefix": "demo",
        "joinsPerSecond": 8,
        "phases": [
            phase("rise", sizes.peak_calls),
            phase("fall", sizes.evening_calls),
            phase("crowd", 1, allocations=sizes.turn_crowd),
            phase("wrong-credentials", 1, allocations=sizes.wrong_credentials, credentials="wrong"),
            phase("quiet", 1),
            phase("rise-unseen", sizes.peak_calls),
            phase("fall-unseen", sizes.evening_calls),
        ],
    }


def rise(stage: Stage) -> None:
    """More calls come than one pod may have; nobody had to be told."""
    stage.wait("everybody in calls", lambda _: stage.load.reached("rise"))
    seen = _wait_for_peak(stage)
    stage.expect(
        "rise",
        f"engines grow from 1 to {stage.sizes.peak_pods} or more and everybody hears everybody",
        met=seen.engines.desired >= stage.sizes.peak_pods,
        seen=seen.engines.decision.get("message", ""),
    )


def fall(stage: Stage) -> None:
    """Calls end everywhere; pods are drained and wait until their own people hang up."""
    stage.load.command(command="next")
    drained = _back_to_one_pod(stage, "fall")
    stage.expect("fall", "at least one pod drained with calls on it", met=drained > 0, seen=drained)


def crowd(stage: Stage) -> None:
    """More users than one relay may bear: some are refused until there are more relays."""
    wanted = stage.sizes.crowd_relays
    refused = _refusals(stage, 486, 508)
    stage.load.command(command="next")
    stage.wait("users refused", lambda _: _refusals(stage, 486, 508) > refused)
    stage.wait(f"{wanted} open relays", lambda seen: seen.relays.ready_and_open >= wanted)
    stage.wait("every user served", lambda _: stage.load.reached("crowd"))
    stage.expect(
        "crowd",
        "users are refused for want of capacity, relays grow, and then all are served",
        met=True,
        seen=f"{_refusals(stage, 486, 508) - refused} refusals, then "
        f"{stage.now.relays.ready_and_open} relays: "
        f"{stage.now.relays.decision.get('message', '')}",
    )


def wrong_credentials(stage: Stage) -> None:
    """Failures that no relay can cure raise a condition, never a pod."""
    stage.load.command(command="next")
    before = stage.now.relays.desired
    highest = before
    refused = _refusals(stage, 401)

    def reported(seen: Snapshot) -> bool:
        nonlocal highest
        highest = max(highest, seen.relays.desired)
        return seen.relays.conditions.get("ConnectionsFailing", ("", "", ""))[1] == REJECTED

    seen = stage.wait(f"the condition ConnectionsFailing with reason {REJECTED}", reported)
    stage.wait(f"the event {REJECTED}", lambda _: REJECTED in _event_reasons(stage, "TurnPool"))
    stage.expect(
        "wrong-credentials",
        "users with wrong credentials are refused; condition and event say why",
        met=_refusals(stage, 401) > refused,
        seen=seen.relays.conditions["ConnectionsFailing"][2],
    )
    stage.expect(
        "wrong-credentials",
        "relays do not grow",
        met=highest <= before,
        seen=f"{before} wanted before, {highest} at most since",
    )
    stage.load.command(command="next")


def dashboard(stage: Stage) -> None:
    """Prometheus answers each query of the dashboard, and a panel has something to show."""
    asked = list(queries({"namespace": stage.namespace, "cluster": "demo", "pool": "relays"}))
    answers = {query: _series(stage, query.expression) for query in asked}
    empty = [query for query, found in answers.items() if not found and query.panel not in QUIET]

    def filled(_: Snapshot) -> bool:
        empty[:] = [query for query in empty if not _series(stage, query.expression)]
        return not empty

    stage.wait("data in every panel of the dashboard", filled)
    stage.expect(
        "dashboard",
        "each query of the dashboard is answered, and panels show data",
        met=True,
        seen=f"{len(asked)} queries",
    )
    _plane(stage, "relays relay by the {} data plane", "callfleet_relay_info", "dataplane")
    _plane(stage, "engines forward by the {} media plane", "callfleet_engine_info", "mediaplane")


def prometheus_away(stage: Stage) -> None:
    """Without Prometheus the fleet may grow, and nothing is drained until it is back."""
    _prometheus(stage, replicas=0)
    seen = stage.wait(
        "the operator saying so", lambda s: s.engines.condition("MetricsAvailable") == "False"
    )
    message = seen.engines.conditions["MetricsAvailable"][2]
    stage.load.command(command="next")
    stage.wait("everybody in calls", lambda _: stage.load.reached("rise-unseen"))
    _wait_for_peak(stage)
    stage.expect("prometheus-away", "engines grow by what the pods say", met=True, seen=message)

    stage.load.command(command="next")
    stage.wait("fewer people", lambda _: stage.load.reached("fall-unseen"))
    rounds = stage.rounds()
    drained: set[str] = set()

    def many_rounds_later(seen: Snapshot) -> bool:
        drained.update(pod.name for pod in seen.engines.pods if pod.admission != "Open")
        return stage.rounds() >= rounds + SETTLE_RECONCILES

    stage.wait("twelve more rounds of the operator", many_rounds_later)
    stage.expect(
        "prometheus-away",
        "no drain starts while nobody can be sure of the load",
        met=not drained,
        seen=f"drained: {sorted(drained) or 'none'}",
    )
    _prometheus(stage, replicas=1)
    stage.wait(
        "Prometheus trusted again", lambda s: s.engines.condition("MetricsAvailable") == "True"
    )
    _back_to_one_pod(stage, "prometheus-away")


SCENES = (
    Scene("rise", "More and more calls", rise),
    Scene("fall", "Calls end; drained pods wait for their own people", fall),
    Scene("crowd", "More users than the relays can bear", crowd),
    Scene("wrong-credentials", "Users whose credentials nobody signed", wrong_credentials),
    Scene("dashboard", "What the dashboard shows of it", dashboard),
    Scene("prometheus-away", "Prometheus stops while load rises and falls", prometheus_away),
)


def _wait_for_peak(stage: Stage) -> Snapshot:
    """More than the participants need is right where the machine is busy: stress counts too."""
    pods = stage.sizes.peak_pods
    return stage.wait(
        f"{pods} open engine pods or more", lambda seen: seen.engines.ready_and_open >= pods
    )


def _back_to_one_pod(stage: Stage, scene: str) -> int:
    """Let each drained pod be emptied by its own people, and compare what they lost.

    Returns how many pods were drained with calls on them.
    """
    hung_up: set[str] = set()
    while True:
        seen = stage.wait(
            "a pod that drains, or only one left",
            lambda s: len(s.engines.pods) == 1 or bool(_draining_with_calls(stage, s, hung_up)),
        )
        if len(seen.engines.pods) == 1:
            break
        pod = _draining_with_calls(stage, seen, hung_up)[0]
        watch_media_while_draining(stage, scene, pod)
        stage.load.command(command="end-calls", pod=pod.name)
        hung_up.add(pod.uid)
    stage.expect(
        scene,
        "engines go back to 1; a pod with calls is only deleted after its people hung up",
        met=stage.load.counts["disconnected"] == 0,
        seen=f"{len(hung_up)} pods drained with calls on them, "
        f"{stage.load.counts['disconnected']} participants cut",
    )
    return len(hung_up)


def _draining_with_calls(stage: Stage, seen: Snapshot, done: set[str]) -> list[Pod]:
    return [
        pod
        for pod in seen.engines.pods
        if pod.admission == "Cordoned" and pod.uid not in done and stage.load.calls_on(pod.name)
    ]


def _refusals(stage: Stage, *codes: int) -> int:
    return sum(
        event["event"] == "allocation-refused" and event["code"] in codes
        for event in list(stage.load.events)
    )


def _event_reasons(stage: Stage, kind: str) -> set[str]:
    """Reasons of the events about the object of this kind; they follow the status at once."""
    reasons = stage.cluster.kubectl(
        "-n", stage.namespace, "get", "events", "--field-selector",
        f"involvedObject.kind={kind}", "-o", "jsonpath={.items[*].reason}",
    )  # fmt: skip
    return set(reasons.split())


def _plane(stage: Stage, expectation: str, info: str, label: str) -> None:
    """What moves the packets, by the pods' own metric."""
    expected = "native" if has_cargo() else "python"
    metric = f'{info}{{namespace="{stage.namespace}"'
    others = f'{metric},{label}!="{expected}"}}'
    mine = f'{metric},{label}="{expected}"}}'
    stage.wait(f"{info} in Prometheus", lambda _: _series(stage, mine) > 0)
    stage.expect(
        "dashboard",
        expectation.format(expected),
        met=not _series(stage, others),
        seen=f"{info} of {_series(stage, mine)} pods",
    )


def _series(stage: Stage, expression: str) -> int:
    """How many Prometheus has. Raises HarnessError for a query that it cannot answer."""
    path = f"/api/v1/namespaces/{stage.namespace}/services/prometheus:http/proxy/api/v1/query"
    answer = json.loads(stage.cluster.kubectl("get", f"--raw={path}?query={quote(expression)}"))
    return len(answer["data"]["result"])


def _prometheus(stage: Stage, *, replicas: int) -> None:
    stage.cluster.kubectl(
        "-n", stage.namespace, "scale", "deployment/prometheus", f"--replicas={replicas}"
    )
    gone_or_there = "delete" if replicas == 0 else "condition=Ready"
    stage.wait_for_pods("app.kubernetes.io/name=prometheus", gone_or_there)
