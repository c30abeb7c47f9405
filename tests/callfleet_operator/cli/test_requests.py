"""Commands that ask for something, on a real API server, carried out by rounds."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from callfleet_operator.gateway.resources import CALL_CLUSTERS, PODS
from tests.callfleet_operator.cli.commands import LOOK, refused, rule, run, said, user
from tests.callfleet_operator.reconcile.specs import make_cluster
from tests.callfleet_operator.reconcile.world import World
from tests.cluster.clients import kubectl

pytestmark = [pytest.mark.api, pytest.mark.peer]


async def notes(here: World) -> dict[str, str]:
    body = await here.people.get(CALL_CLUSTERS, here.namespace, "calls")
    assert body is not None
    found: dict[str, str] = body["metadata"].get("annotations") or {}
    return found


async def mode(here: World) -> str:
    body = await here.people.get(CALL_CLUSTERS, here.namespace, "calls")
    assert body is not None
    return str(body["spec"]["mode"])


async def admission(here: World, pod: str) -> str:
    body = await here.people.get(PODS, here.namespace, pod)
    assert body is not None
    return str(body["metadata"]["labels"].get("callfleet.dev/admission", "Open"))


async def test_a_pod_is_drained_and_reopened(here: World) -> None:
    key = await make_cluster(here)
    await here.settle(key)
    here.of("calls-engine-0").used = here.of("calls-engine-0").calls = 2
    await here.scrape()
    text = await said(here, "drain", "calls-engine-0", "--reason", "noisy node")
    assert "no call is ended" in text
    assert "has been asked for already" in await said(here, "drain", "calls-engine-0")
    await here.settle(key, rounds=3)
    assert await admission(here, "calls-engine-0") == "Cordoned"
    screen = await said(here, "status")
    assert "asked for by " in screen
    assert "noisy node" in screen

    assert "takes new calls again" in await said(here, "undrain", "calls-engine-0")
    await here.round(key)
    assert await admission(here, "calls-engine-0") == "Open"
    message = await refused(here, "undrain", "calls-engine-0")
    assert "there is nothing to take back" in message


async def test_a_drain_of_the_plan_is_not_taken_back(here: World) -> None:
    key = await make_cluster(here)
    await here.settle(key)
    here.of("calls-engine-0").used = here.of("calls-engine-0").calls = 10
    await here.scrape()
    await here.settle(key, rounds=2)
    for pod in here.pods.values():
        pod.used = pod.calls = 1
    await here.scrape()
    await here.settle(key, rounds=2)
    (draining,) = [pod.name for pod in here.pods.values() if pod.admission == "draining"]
    message = await refused(here, "undrain", draining)
    assert "fewer open pods are wanted" in message
    assert "callfleet hold callcluster/calls --for 2h" in message
    assert "drains already" in await said(here, "drain", draining)


async def test_other_pods_are_left_alone(here: World) -> None:
    assert "There is no pod nothing" in await refused(here, "drain", "nothing")
    await here.people.create(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "other", "namespace": here.namespace},
            "spec": {"containers": [{"name": "c", "image": "i"}]},
        }
    )
    assert "belongs to no CallCluster or TurnPool" in await refused(here, "drain", "other")


async def test_a_request_in_a_mode_that_waits_says_so(here: World) -> None:
    key = await make_cluster(here)
    await here.settle(key)
    await said(here, "pause", "calls")
    text = await said(here, "drain", "calls-engine-0")
    assert "nothing happens before `callfleet resume callcluster/calls`" in text
    assert "stays open: its drain had not begun" in await said(here, "undrain", "calls-engine-0")


async def test_pause_and_resume(here: World) -> None:
    key = await make_cluster(here, mode="ScaleOutOnly")
    await here.settle(key)
    text = await said(here, "pause", "calls", "--reason", "incident 417")
    assert "is Paused; it was ScaleOutOnly" in text
    assert await mode(here) == "Paused"
    note = (await notes(here))["callfleet.dev/mode-note"]
    assert note.startswith("Paused by ")
    assert note.endswith(": incident 417")
    assert "incident 417" in await said(here, "pause", "calls")
    await here.round(key)
    assert (await here.condition(key, "ReconciliationPaused"))[0] == "True"
    assert "incident 417" in await said(here, "status")

    assert "is ScaleOutOnly again" in await said(here, "resume", "calls")
    assert await mode(here) == "ScaleOutOnly"
    assert await notes(here) == {}
    assert "not Paused but ScaleOutOnly" in await said(here, "resume", "calls")


async def test_resume_after_a_pause_by_hand_is_active(here: World) -> None:
    await make_cluster(here, mode="Paused")
    assert "is Active again" in await said(here, "resume", "calls")


async def test_hold(here: World) -> None:
    key = await make_cluster(here)
    await here.settle(key)
    text = await said(here, "hold", "calls", "--for", "2h", "--reason", "launch")
    assert "callcluster/calls keeps 1 open pods until " in text
    here.of("calls-engine-0").used = here.of("calls-engine-0").calls = 10
    await here.scrape()
    await here.settle(key, rounds=2)
    assert len(here.pods) == 1
    status, reason, message = await here.condition(key, "ScalingActive")
    assert (status, reason) == ("False", "HeldByAnnotation")
    assert "without it 2" in message
    held = datetime.fromisoformat((await notes(here))["callfleet.dev/hold-until"])
    assert timedelta(minutes=119) < held - datetime.now(UTC) < timedelta(minutes=121)
    assert "held until" in await said(here, "status")

    assert "is held no longer" in await said(here, "hold", "calls", "--release")
    assert await notes(here) == {}
    await here.settle(key, rounds=2)
    assert len(here.pods) == 2


async def test_a_hold_that_has_passed_ends_by_itself(here: World) -> None:
    key = await make_cluster(here)
    await here.settle(key)
    await said(here, "hold", "calls", "--for", "10m")
    here.of("calls-engine-0").used = here.of("calls-engine-0").calls = 10
    await here.scrape()
    await here.settle(key, rounds=1)
    assert len(here.pods) == 1
    here.later = timedelta(minutes=11)
    await here.round(key)
    assert (await here.condition(key, "ScalingActive"))[1] != "HeldByAnnotation"


async def test_a_hold_that_is_no_time_is_a_condition(here: World) -> None:
    key = await make_cluster(here)
    await here.change_resource(
        key, {"metadata": {"annotations": {"callfleet.dev/hold-until": "tomorrow"}}}
    )
    await here.settle(key)
    status, reason, message = await here.condition(key, "Accepted")
    assert (status, reason) == ("False", "InvalidAnnotation")
    assert "'tomorrow' is no time" in message
    assert "Write a time such as 2026-01-01T06:00:00Z" in message
    assert len(here.pods) == 1


@pytest.mark.parametrize(
    ("options", "said_"),
    [
        ((), "Give one of --until, --for and --release"),
        (("--for", "2h", "--release"), "Give one of"),
        (("--for", "soon"), "write a time such as 90s, 30m"),
        (("--for", "9999999d"), "longer than the calendar"),
        (("--until", "2020-01-01T00:00:00Z"), "is over"),
        (("--until", "2030-01-01T00:00:00"), "write a time with its zone"),
        (("--until", "noon"), "write a time with its zone"),
    ],
)
async def test_times_that_make_no_sense(here: World, options: tuple[str, ...], said_: str) -> None:
    result = await run(here, "hold", "calls", *options)
    assert result.exit_code == 2
    assert said_ in result.stderr


async def test_who_may_only_look_changes_nothing(here: World) -> None:
    key = await make_cluster(here)
    await here.settle(key)
    looker = await user(here, "looker", *LOOK)
    for command in (
        ("pause", "calls"),
        ("hold", "calls", "--for", "1h"),
        ("drain", "calls-engine-0"),
    ):
        message = await refused(here, *command, kubeconfig=looker)
        assert "You may not do that" in message
        assert "cannot patch resource" in message
    assert await mode(here) == "Active"


async def test_with_the_rights_that_the_documents_name(here: World) -> None:
    key = await make_cluster(here)
    await here.settle(key)
    doer = await user(
        here,
        "doer",
        *LOOK,
        rule("callfleet.dev", "callclusters turnpools", "patch"),
        rule("", "pods", "patch"),
    )
    await said(here, "hold", "calls", "--for", "1h", kubeconfig=doer)
    await said(here, "pause", "calls", kubeconfig=doer)
    await said(here, "drain", "calls-engine-0", kubeconfig=doer)
    assert f"doer-{here.namespace}" in (await notes(here))["callfleet.dev/hold-note"]


async def test_as_a_plugin_of_kubectl(here: World) -> None:
    key = await make_cluster(here)
    await here.settle(key)

    def plugin(*arguments: str) -> subprocess.CompletedProcess[str]:
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        return subprocess.run(
            [str(kubectl()), "callfleet", *arguments],
            env={**os.environ, "PATH": path, "KUBECONFIG": str(here.api.kubeconfig)},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    done = await asyncio.to_thread(plugin, "status", "calls", "-n", here.namespace)
    assert done.returncode == 0, done.stderr
    assert "1 open of 1 wanted" in done.stdout
    helped = await asyncio.to_thread(plugin, "hold", "--help")
    assert "Usage: kubectl callfleet hold" in helped.stdout


async def columns(here: World, *names: str) -> dict[str, Any]:
    """What `kubectl get` prints of the object."""
    arguments = ("get", "callcluster", "calls", "-n", here.namespace, "-o", "wide")
    head, row = (await asyncio.to_thread(here.api.kubectl, *arguments)).splitlines()
    found = dict(zip(head.split(), row.split(), strict=False))
    return {name: found[name] for name in names}


@pytest.mark.parametrize(
    ("setting", "pods", "scaling"),
    [
        ("Active", 2, ("True", "ValidMetricFound")),
        ("ScaleOutOnly", 2, ("True", "ScaleOutOnly")),
        ("DryRun", 1, ("False", "DryRun")),
        ("Paused", 1, ("False", "Paused")),
    ],
)
async def test_modes_under_rising_load(
    here: World, setting: str, pods: int, scaling: tuple[str, str]
) -> None:
    key = await make_cluster(here)
    await here.settle(key)
    await here.change_resource(key, {"spec": {"mode": setting}})
    here.of("calls-engine-0").used = here.of("calls-engine-0").calls = 10
    await here.scrape()
    await here.settle(key, rounds=3)
    assert len(here.pods) == pods
    assert (await here.condition(key, "ScalingActive"))[:2] == scaling
    shown = await columns(here, "DESIRED", "OPEN", "MODE")
    assert shown == {"DESIRED": str(pods), "OPEN": str(pods), "MODE": setting}
    would = (await here.status(key)).get("wouldScaleTo")
    assert would == (2 if setting == "DryRun" else None)
    paused = (await here.condition(key, "ReconciliationPaused"))[0]
    assert paused == ("True" if setting == "Paused" else "False")


@pytest.mark.parametrize(("setting", "pods"), [("Active", 1), ("ScaleOutOnly", 2), ("DryRun", 2)])
async def test_modes_under_falling_load(here: World, setting: str, pods: int) -> None:
    key = await make_cluster(here)
    await here.settle(key)
    here.of("calls-engine-0").used = here.of("calls-engine-0").calls = 10
    await here.scrape()
    await here.settle(key, rounds=3)
    assert len(here.pods) == 2
    await here.change_resource(key, {"spec": {"mode": setting}})
    here.of("calls-engine-0").used = here.of("calls-engine-0").calls = 0
    await here.scrape()
    await here.settle(key, rounds=5)
    assert len(here.pods) == pods
    if setting == "DryRun":
        assert (await here.status(key))["wouldScaleTo"] == 1
        assert "Active would steer to 1" in (await here.condition(key, "ScalingActive"))[2]
