"""`status` and `explain` on a real API server, with statuses that rounds have written."""

from __future__ import annotations

import asyncio
import json
import socket
import sys
from pathlib import Path

import pytest
import yaml
from aiohttp import web

from callfleet_operator.gateway.resources import CALL_CLUSTERS, CONFIG_MAPS, PODS
from callfleet_operator.reconcile.keys import Key
from tests.callfleet_operator.cli.commands import LOOK, data, refused, rule, run, said, user
from tests.callfleet_operator.reconcile.specs import make_cluster, make_pool
from tests.callfleet_operator.reconcile.world import World

pytestmark = [pytest.mark.api, pytest.mark.peer]


async def grown(here: World) -> Key:
    """Two engines, one of them full, and a decision for each."""
    key = await make_cluster(here)
    await here.settle(key)
    here.of("calls-engine-0").used = here.of("calls-engine-0").calls = 10
    await here.scrape()
    await here.settle(key, rounds=2)
    return key


async def test_one_screen(here: World) -> None:
    await grown(here)
    text = await said(here, "status")
    assert f"CallCluster {here.namespace}/calls" in text
    assert "2 open of 2 wanted (1 to 3)" in text
    assert "utilisation 50 %, participants about 10" in text
    assert "calls-engine-0  Open" in text
    assert "#2" in text
    assert "1 to 2" in text
    # TurnOnly without a pool: joins are refused, and that is said.
    assert "! AddressKnown False, NoRelays" in text
    # The API server reaches no pod on loopback: what single pods carry is not known, and not 0.
    assert "unknown of 10" in text
    assert "What calls-engine-0, calls-engine-1 carries is unknown" in text
    assert "\x1b" not in text


async def test_for_programs(here: World) -> None:
    await grown(here)
    found = await data(here, "status", "calls")
    (fleet,) = found["fleets"]
    assert (fleet["kind"], fleet["name"], fleet["mode"]) == ("CallCluster", "calls", "Active")
    assert fleet["replicas"] == {"desired": 2, "open": 2, "draining": 0, "min": 1, "max": 3}
    assert (fleet["participants"], fleet["percent"]) == (10, 50)
    assert [pod["used"] for pod in fleet["pods"]] == [None, None]
    assert [one["number"] for one in fleet["decisions"]] == [2, 1]
    assert yaml.safe_load(await said(here, "status", "calls", "-o", "yaml")) == await data(
        here, "status", "calls"
    )


async def test_what_a_pod_says_of_itself(here: World) -> None:
    """Its own metrics, through the API server's proxy, which refuses addresses of loopback."""
    await grown(here)
    address = own_address()
    pod = await here.people.get(PODS, here.namespace, "calls-engine-0")
    assert pod is not None
    uid = pod["metadata"]["uid"]
    patch = {"status": {"podIP": address, "podIPs": [{"ip": address}]}}
    await here.change(PODS, "calls-engine-0", patch, "status")

    async def metrics(_request: web.Request) -> web.Response:
        return web.Response(
            text="callfleet_engine_participants 7\ncallfleet_engine_pending_joins 1\n"
            'callfleet_engine_calls 3\ncallfleet_engine_stress_ratio{resource="cpu"} 0.25\n'
        )

    app = web.Application()
    app.add_routes([web.get("/metrics", metrics)])
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, address, 9090).start()
        pods = (await data(here, "status"))["fleets"][0]["pods"]
    finally:
        await runner.cleanup()
    assert uid
    assert (pods[0]["used"], pods[0]["calls"], pods[0]["percent"]) == (8, 3, 80.0)
    assert pods[1]["used"] is None


def own_address() -> str:
    """An address of this machine that is not loopback; nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))
        address: str = probe.getsockname()[0]
        return address


async def test_all_that_is_not_known_is_said(here: World) -> None:
    await grown(here)
    guest = await user(
        here, "guest", rule("callfleet.dev", "callclusters turnpools", "get", "list")
    )
    text = await said(here, "status", kubeconfig=guest)
    assert "2 open of 2 wanted" in text
    assert "Pods are unknown: you may not list pods" in text
    assert "Decisions are unknown" in text
    looker = await user(here, "looker", *LOOK)
    text = await said(here, "status", kubeconfig=looker)
    assert "you may not get pods/proxy" in text
    assert "calls-engine-1  Open" in text


async def test_without_rights_it_says_which_is_missing(here: World) -> None:
    nobody = await user(here, "nobody")
    message = await refused(here, "status", kubeconfig=nobody)
    assert "You may not do that" in message
    assert 'cannot list resource "callclusters"' in message


async def test_draining_pods_say_why(here: World) -> None:
    key = await grown(here)
    here.of("calls-engine-0").used = here.of("calls-engine-0").calls = 1
    here.of("calls-engine-1").used = here.of("calls-engine-1").calls = 1
    await here.scrape()
    await here.settle(key, rounds=2)
    pods = (await data(here, "status"))["fleets"][0]["pods"]
    (draining,) = [pod for pod in pods if pod["state"] == "Draining"]
    assert draining["detail"] == "Surplus"
    assert draining["drainingSince"]


async def test_two_kinds_of_one_name(here: World) -> None:
    cluster = await make_cluster(here, "demo")
    pool = await make_pool(here, "demo")
    await here.settle(cluster, pool)
    both = (await data(here, "status", "demo"))["fleets"]
    assert [fleet["kind"] for fleet in both] == ["CallCluster", "TurnPool"]
    (one,) = (await data(here, "status", "tp/demo"))["fleets"]
    assert (one["kind"], one["allocations"]) == ("TurnPool", 0)
    message = await refused(here, "explain", "demo")
    assert message == (
        f"demo is a CallCluster and a TurnPool in namespace {here.namespace}: write "
        "callcluster/demo or turnpool/demo."
    )
    assert "decision 1" in await said(here, "explain", "turnpool/demo")


async def test_nothing_there(here: World) -> None:
    assert "no CallCluster and no TurnPool in namespace" in await said(here, "status")
    assert (await data(here, "status"))["fleets"] == []
    assert "choose another one with -n" in await refused(here, "status", "calls")
    await make_cluster(here)
    assert "there is callcluster/calls." in await refused(here, "explain", "cc/call")
    assert "No decision has changed the number" in await refused(here, "explain", "calls")
    assert "has not reported anything yet" in await said(here, "status")


async def test_a_decision_in_words(here: World) -> None:
    await grown(here)
    text = await said(here, "explain", "calls")
    assert f"CallCluster {here.namespace}/calls: decision 2" in text
    assert "The plan went from 1 to 2 open pods at " in text
    for stage in ("Classify", "Utilization", "FreeRoom", "Floors", "Bounds", "Total"):
        assert stage in text
    first = await said(here, "explain", "calls", "--decision", "1")
    assert "from 0 to 1 open pods" in first
    listed = await said(here, "explain", "calls", "--list")
    assert listed.index("#2") < listed.index("#1")
    trace = (await data(here, "explain", "calls"))["decisions"][0]["trace"]
    assert [stage["stage"] for stage in trace][:2] == ["Classify", "Utilization"]
    message = await refused(here, "explain", "calls", "--decision", "9")
    assert "is not kept: there are 1 to 2" in message


async def test_a_damaged_history_is_said(here: World) -> None:
    await grown(here)
    name = "calls-engine-decisions"
    await here.change(CONFIG_MAPS, name, {"data": {"decisions.json": '{"version": 2}'}})
    message = await refused(here, "explain", "calls")
    assert "written in version 2, this release reads 1" in message
    assert "Decisions are unknown" in await said(here, "status")


async def test_watch_goes_on_until_it_is_interrupted(here: World) -> None:
    key = await grown(here)
    process = await asyncio.create_subprocess_exec(
        *("env", "--default-signal=INT"),  # what runs in the background ignores it
        str(Path(sys.executable).with_name("callfleet")),
        *("status", "calls", "--watch", "--interval=0.5", "--no-live"),
        f"--namespace={here.namespace}",
        f"--kubeconfig={here.api.kubeconfig}",
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(60):
            while b"2 open of 2 wanted" not in await process.stdout.readline():
                pass
            await here.change_resource(key, {"spec": {"mode": "Paused"}})
            while b"Paused" not in await process.stdout.readline():
                pass
            process.send_signal(2)
            _, errors = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    assert (process.returncode, errors) == (0, b"")


async def test_errors_of_the_connection_are_one_sentence(here: World) -> None:
    missing = here.api.kubeconfig.with_name("no-such-file")
    message = await refused(here, "status", kubeconfig=missing)
    assert message.startswith("There is no kubeconfig at ")
    result = await run(here, "status", "--context=elsewhere")
    assert result.exit_code == 1
    assert "choose one with --context" in result.stderr
    broken = here.api.run.directory / "broken.kubeconfig"
    broken.write_text("clusters: 3\n")
    assert "kubeconfig" in await refused(here, "status", kubeconfig=broken)
    config = json.loads(here.api.kubeconfig.read_text())
    config["clusters"][0]["cluster"]["server"] = "https://127.0.0.1:1"
    away = here.api.run.directory / "away.kubeconfig"
    away.write_text(json.dumps(config))
    message = await refused(here, "status", "--request-timeout=5", kubeconfig=away)
    assert "The API server does not answer" in message


async def test_an_object_of_another_shape_is_said(here: World) -> None:
    await make_cluster(here)
    assert CALL_CLUSTERS.kind == "CallCluster"
    result = await run(here, "status", "a/b/c")
    assert result.exit_code == 2
    assert "KIND/NAME such as callcluster/calls" in result.stderr
    result = await run(here, "status", "pod/x")
    assert "kinds are callcluster (cc) and turnpool (tp)" in result.stderr
